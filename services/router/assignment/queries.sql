-- name: story
select at, type, work_item_id, version, data
from decision
where conversation_id = $1
order by at, work_item_id, version
limit $2

-- name: waiting
select work_item_id, conversation_id, contact_point_id, queue, channel, priority, vip, skills, waiting_since, due_at,
       only_agent_id, offers, hook_until
from work_item
where pool = $1 and state = 'queued'
order by case when $3 then greatest(waiting_since, least(coalesce(due_at, 'infinity'), waiting_since + interval '1 hour'))
              else waiting_since end - priority * $4::interval, waiting_since, work_item_id
limit $2

-- name: counts
select state, count(*) as items
from work_item
where pool = $1
group by state

-- name: agents
with claim as (
    select w.agent_id, w.work_item_id, case when w.released then 0 else w.units end as units
    from work_item w where w.pool = $1 and w.agent_id is not null
    union all
    select r.offer ->> 'agent_id', w.work_item_id, w.units
    from work_item w, jsonb_array_elements(w.reservations) as r(offer) where w.pool = $1
    union all
    -- claimed from another pool
    select r.offer ->> 'agent_id', w.work_item_id, w.units
    from lent_item w, jsonb_array_elements(w.reservations) as r(offer) where w.pool = $1
)
select a.agent_id, a.presence, a.reason, a.since, a.capacity, a.version,
       coalesce(sum(c.units), 0)::bigint as load,
       coalesce(array_agg(c.work_item_id order by c.work_item_id) filter (where c.work_item_id is not null), '{}') as work_item_ids
from agent_state a
left join claim c on c.agent_id = a.agent_id
where a.pool = $1 and a.listed
group by a.pool, a.agent_id
order by a.agent_id
