-- One event on a contact's timeline. Rows are only ever added.
create table entry (
    entry_id text primary key,
    contact_id text not null,
    contact_point_id text not null,
    conversation_id text,
    kind text not null,
    event_type text not null,
    occurred_at timestamptz not null,
    message_id text,
    author jsonb,
    content jsonb,
    text text not null,
    details jsonb not null,
    -- The transaction that recorded it. Among transactions that are all over, this order never changes: followers go by it.
    recorded_xid xid8 not null default pg_current_xact_id()
);
create index entry_of_contact on entry (contact_id, occurred_at, entry_id);
create index entry_recorded on entry (contact_id, recorded_xid, entry_id);
create index entry_of_conversation on entry (conversation_id, occurred_at, entry_id);
create index entry_of_message on entry (message_id) where kind = 'status';

-- Which contact a contact point belongs to, as the last event of `conversations` said.
create table contact_point (
    contact_point_id text primary key,
    contact_id text not null,
    inbox_id text,
    channel text,
    address text,
    name text
);

-- Entries that wait until their contact is known: assignments may be read before the conversation that they are about.
create table pending (
    entry_id text primary key,
    contact_point_id text not null,
    -- Order of arrival within the contact point.
    number bigint not null,
    entry jsonb not null
);
create index pending_of_contact_point on pending (contact_point_id, number);
