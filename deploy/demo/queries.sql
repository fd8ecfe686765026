-- name: entries
select event_type, message_id, conversation_id, contact_point_id, contact_id, content->>'text' as text,
       author->>'kind' as author, details->>'status' as status
from history.entry
where contact_id in (select contact_id from history.contact_point where contact_point_id = any($1::text[]))
  and contact_point_id = any($1::text[])
  and event_type = any('{conversation.opened.v1,message.received.v1,message.queued.v1,message.status_changed.v1}'::text[]);

-- name: decisions
select conversation_id, work_item_id, version, at, type, data->>'agent_id' as agent_id, data->>'forced_by' as forced_by,
       data ? 'explanation' as explained
from router.decision
where conversation_id = any($1::text[])
order by work_item_id, version;

-- name: schemas
select table_schema from information_schema.tables where table_name = 'dead_letter' order by 1;
