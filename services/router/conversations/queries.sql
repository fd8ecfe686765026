-- name: evidence
-- The edges of the identifiers asked for, and the external ids of the contacts that hold them.
with asked as (
    select e.id, e.kind, e.value, e.verified, e.contact_point_id, e.contact_id
    from evidence e join unnest($1::text[], $2::text[]) as k(kind, value) on e.kind = k.kind and e.value = k.value
)
select a.kind, a.value, a.verified, a.contact_point_id, a.contact_id, true as asked, a.id from asked a
union all
select x.kind, x.value, x.verified, x.contact_point_id, x.contact_id, false, x.id
from evidence x
where x.kind = 'external' and x.verified and x.contact_id in (select contact_id from asked where verified)
order by asked desc, id

-- name: append
select append_evidence($1::text[], $2::text[], $3::bigint,
    $4::text[], $5::text[], $6::text[], $7::boolean[], $8::text[], $9::timestamptz[])

-- name: conversation
select c.conversation_id, c.contact_point_id, c.contact_id, c.inbox_id, c.channel, c.number, c.state, c.version, c.queue,
    c.pool, c.opened_at, c.changed_at, c.resolved_at, c.snoozed_until, c.customer_wrote_at, c.agent_id, c.work_item_id,
    c.work_requested_at, c.work_due_at, array(select jsonb_array_elements_text(c.tags)) as tags, p.address, p.name as customer_name
from conversation c join contact_point p on p.contact_point_id = c.contact_point_id
where c.conversation_id = $1

-- name: contact_points
select contact_point_id, inbox_id, channel, address, name, first_seen_at, conversation_id, conversations
from contact_point where contact_id = $1
order by first_seen_at, contact_point_id limit 200

-- name: contact_evidence
select kind, value, verified, contact_point_id, at from evidence
where contact_id = $1
order by id limit 500
