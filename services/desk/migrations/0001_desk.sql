-- What agents see: conversations with their latest messages, live work, SLA clocks, agents.

create table conversation_view (
    conversation_id text primary key,
    contact_point_id text not null,
    contact_id text not null,
    inbox_id text not null,
    version bigint not null,
    state text not null,
    opened_at timestamptz not null,
    changed_at timestamptz not null,
    complete boolean not null,
    channel text,
    queue text,
    pool text,
    priority bigint not null,
    customer_name text,
    tags jsonb not null,
    snoozed_until timestamptz,
    previous_conversation_id text,
    commands jsonb not null
) with (fillfactor = 70);
-- Lists go by pages of (opened_at, conversation_id); neither ever changes, so a page never shifts.
create index conversation_view_by_opening on conversation_view (pool, opened_at desc, conversation_id desc);
create index conversation_view_open on conversation_view (contact_point_id) where state in ('open', 'snoozed');

create table message_view (
    conversation_id text not null,
    message_id text not null,
    number bigint not null,
    version bigint not null,
    at timestamptz not null,
    note boolean not null,
    author_kind text not null,
    author_id text,
    author_name text,
    -- JSON as it goes out on the feed; text, since it is never searched.
    content text not null,
    reply_to text,
    status text,
    error text,
    reaction text,
    edited boolean not null,
    withdrawn boolean not null,
    primary key (conversation_id, message_id)
);

-- Live work items; one that has ended is deleted.
create table work_view (
    work_item_id text primary key,
    conversation_id text not null,
    contact_point_id text not null,
    pool text not null,
    queue text not null,
    version bigint not null,
    state text not null,
    changed_at timestamptz not null,
    agent_id text,
    reservation_id text,
    expires_at timestamptz,
    waiting_since timestamptz,
    wrap_up_until timestamptz,
    forced_by text
) with (fillfactor = 70);
create index work_view_by_conversation on work_view (conversation_id);
create index work_view_by_agent on work_view (agent_id) where agent_id is not null;

create table clock_view (
    clock_id text primary key,
    conversation_id text not null,
    metric text not null,
    policy text not null,
    queue text not null,
    version bigint not null,
    state text not null,
    started_at timestamptz not null,
    due_at timestamptz not null,
    fraction float8
);
create index clock_view_by_conversation on clock_view (conversation_id);

create table agent_view (
    agent_id text primary key,
    pool text not null,
    presence text not null,
    reason text,
    load bigint not null,
    capacity bigint not null,
    work_item_ids jsonb not null,
    version bigint not null,
    changed_at timestamptz not null,
    commands jsonb not null
) with (fillfactor = 70);
