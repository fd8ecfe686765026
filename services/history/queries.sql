-- name: contact_before
select entry_id, contact_id, contact_point_id, conversation_id, kind, event_type, occurred_at, message_id, author, content,
       text, details
from entry
where contact_id = $1 and ($2::text[] is null or kind = any($2)) and (occurred_at, entry_id) < ($3, $4)
order by occurred_at desc, entry_id desc
limit $5;

-- name: contact_after
select entry_id, contact_id, contact_point_id, conversation_id, kind, event_type, occurred_at, message_id, author, content,
       text, details
from entry
where contact_id = $1 and ($2::text[] is null or kind = any($2)) and (occurred_at, entry_id) > ($3, $4)
order by occurred_at, entry_id
limit $5;

-- name: conversation_before
select entry_id, contact_id, contact_point_id, conversation_id, kind, event_type, occurred_at, message_id, author, content,
       text, details
from entry
where conversation_id = $1 and ($2::text[] is null or kind = any($2)) and (occurred_at, entry_id) < ($3, $4)
order by occurred_at desc, entry_id desc
limit $5;

-- name: conversation_after
select entry_id, contact_id, contact_point_id, conversation_id, kind, event_type, occurred_at, message_id, author, content,
       text, details
from entry
where conversation_id = $1 and ($2::text[] is null or kind = any($2)) and (occurred_at, entry_id) > ($3, $4)
order by occurred_at, entry_id
limit $5;

-- name: changes_of
select message_id, event_type, content, details
from entry
where kind = 'status' and message_id = any($1::text[]);

-- name: contact_point
select contact_point_id, contact_id, inbox_id, channel, address, name
from contact_point
where contact_point_id = $1;

-- name: now
select pg_snapshot_xmin(pg_current_snapshot())::text;

-- name: recorded_after
select entry_id, contact_id, contact_point_id, conversation_id, kind, event_type, occurred_at, message_id, author, content,
       text, details, recorded_xid::text as xid
from entry
where contact_id = $1 and (recorded_xid, entry_id) > ($2::text::xid8, $3)
  and recorded_xid < pg_snapshot_xmin(pg_current_snapshot())
order by recorded_xid, entry_id
limit $4;
