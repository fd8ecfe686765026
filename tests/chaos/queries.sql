-- name: entries
select entry_id from history.entry;

-- name: timeline_numbers
-- Conversations whose events, as the timeline has them, are not numbered 1, 2, 3 …
select conversation_id, array_agg(version order by version) as versions
from (select conversation_id, (details->>'version')::bigint as version from history.entry where event_type = any($1::text[])) e
group by conversation_id
having count(*) <> max(version) or count(distinct version) <> count(*) or min(version) <> 1;

-- name: router_messages
select message_id from router.message;

-- name: conversations
select r.conversation_id, r.version as router, d.version as desk, r.state as router_state, d.state as desk_state
from router.conversation r full join desk.conversation_view d using (conversation_id);

-- name: work
select work_item_id, r.version as router, d.version as desk
from router.work_item r full join desk.work_view d using (work_item_id);

-- name: clocks
select clock_id, s.version as sla, d.version as desk
from sla.clock s full join desk.clock_view d using (clock_id);

-- name: agents
select agent_id, version as desk from desk.agent_view;

-- name: message_views
select conversation_id, count(*) as messages, max(version) as version from desk.message_view group by conversation_id;

-- name: left_over
select 'delivery.dispatch' as what, count(*) as rows from delivery.dispatch
union all select 'history.pending', count(*) from history.pending
union all select 'router.outbox', count(*) from router.outbox
union all select 'sla.outbox', count(*) from sla.outbox
union all select 'history.outbox', count(*) from history.outbox
union all select 'delivery.outbox', count(*) from delivery.outbox;
