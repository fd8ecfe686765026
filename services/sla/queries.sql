-- name: clocks_of
select c.clock_id, c.conversation_id, c.metric, c.queue, c.policy, c.workspace_version, c.calendar, c.target_seconds,
       c.warn_at, c.started_at, c.state, c.due_at, c.warned, c.breached, c.pauses, c.marks, c.changes, c.ended_at, c.reason,
       c.version, k.definition ->> 'zone' as zone
from clock c left join calendar k on k.version = c.calendar
where c.conversation_id = $1 and c.reason is distinct from 'superseded'
order by c.started_at, c.clock_id;

-- name: next_due
select c.clock_id, c.conversation_id, c.metric, c.queue, c.policy, c.workspace_version, c.calendar, c.target_seconds,
       c.warn_at, c.started_at, c.state, c.due_at, c.warned, c.breached, c.pauses, c.marks, c.changes, c.ended_at, c.reason,
       c.version, k.definition ->> 'zone' as zone, h.agent_id
from clock c left join calendar k on k.version = c.calendar left join holder h using (conversation_id)
where c.state = 'running' and not c.breached
order by c.due_at, c.clock_id
limit $1;

-- name: next_due_of_queue
select c.clock_id, c.conversation_id, c.metric, c.queue, c.policy, c.workspace_version, c.calendar, c.target_seconds,
       c.warn_at, c.started_at, c.state, c.due_at, c.warned, c.breached, c.pauses, c.marks, c.changes, c.ended_at, c.reason,
       c.version, k.definition ->> 'zone' as zone, h.agent_id
from clock c left join calendar k on k.version = c.calendar left join holder h using (conversation_id)
where c.queue = $2 and c.state = 'running' and not c.breached
order by c.due_at, c.clock_id
limit $1;

-- name: conversations_on_other_calendars
select v.conversation_id, v.contact_point_id, v.reached, v.base, v.facts, v.inbox_id
from conversation v
where v.conversation_id in (
    select c.conversation_id from clock c
    where c.state in ('running', 'paused') and c.policy = any($1::text[]) and c.calendar <> $2
)
order by v.conversation_id;

-- name: open_clocks
select t.metric, t.policy, t.open, t.overdue, coalesce(d.due, 0) as due
from (
    select metric, policy, sum(open)::bigint as open, sum(overdue)::bigint as overdue from tally group by metric, policy
) t left join (
    select metric, policy, count(*) as due from clock
    where state = 'running' and not breached and due_at between $1 and $2
    group by metric, policy
) d using (metric, policy);

-- name: recount
insert into tally (lane, metric, policy, open, overdue)
select '', metric, policy, sum(open), sum(overdue)
from (
    select metric, policy, count(*) as open, count(*) filter (where breached) as overdue
    from clock where state in ('running', 'paused')
    group by metric, policy
    union all
    select metric, policy, -open, -overdue from tally where lane <> ''
) counted
group by metric, policy
on conflict (lane, metric, policy) do update set open = excluded.open, overdue = excluded.overdue;
