-- What happened to a conversation, as far as its clocks depend on it.
create table conversation (
    conversation_id text primary key,
    contact_point_id text not null,
    -- How far time has come for this conversation: the last event, or the last deadline that fired.
    reached timestamptz not null,
    -- Facts that are old enough not to change any more, folded together.
    base jsonb not null,
    facts jsonb not null
) with (fillfactor = 80);

-- A clock as it was last announced on `sla`.
create table clock (
    clock_id text primary key,
    conversation_id text not null,
    contact_point_id text not null,
    metric text not null,
    number bigint not null,
    queue text not null,
    policy text not null,
    workspace_version text not null,
    calendar text not null,
    target_seconds float8 not null,
    warn_at jsonb not null,
    started_at timestamptz not null,
    state text not null,
    due_at timestamptz not null,
    warned jsonb not null,
    breached boolean not null,
    pauses jsonb not null,
    ended_at timestamptz,
    reason text,
    version bigint not null,
    -- Ended so long ago that nothing can change it any more; not loaded by the flow.
    settled boolean not null
) with (fillfactor = 80);
create index clock_of_conversation on clock (conversation_id, started_at);
create index clock_next on clock (queue, due_at) where state = 'running' and not breached;
create index clock_next_anywhere on clock (due_at) where state = 'running' and not breached;
create index clock_open on clock (metric, policy) where state in ('running', 'paused');

-- Who holds a conversation's work, for people who ask what is due next.
create table holder (
    conversation_id text primary key,
    work_item_id text not null,
    agent_id text not null
) with (fillfactor = 80);
