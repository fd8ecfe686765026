-- Matching: live work items, agents, and the story of each conversation's routing.

create table work_item (
    work_item_id text primary key,
    lane bigint not null,
    pool text not null,
    conversation_id text not null,
    contact_point_id text not null,
    queue text not null,
    channel text not null,
    skills jsonb not null,
    units bigint not null,
    priority bigint not null,
    due_at timestamptz,
    last_agent_id text,
    only_agent_id text,
    excluded_agent_ids jsonb not null,
    waiting_since timestamptz not null,
    state text not null,
    version bigint not null,
    changed_at timestamptz not null,
    agent_id text,
    reservation_id text,
    offers bigint not null,
    offer_turn bigint not null,
    expires_at timestamptz,
    wrap_until timestamptz,
    -- agent -> when they turned it down
    declined jsonb
) with (fillfactor = 70);
create index work_item_by_lane on work_item (lane);
create index work_item_by_pool on work_item (pool, state);

create table agent_state (
    pool text not null,
    agent_id text not null,
    lane bigint not null,
    version bigint not null,
    capacity bigint not null,
    listed boolean not null,
    presence text not null,
    reason text,
    since timestamptz,
    heartbeat_at timestamptz,
    touched bigint not null,
    idle_since timestamptz,
    lost_at timestamptz,
    resume_presence text,
    resume_reason text,
    -- the last few [reservation or work item id, how it ended]
    ended jsonb not null,
    primary key (pool, agent_id)
) with (fillfactor = 50);
create index agent_state_by_lane on agent_state (lane);

-- Every published event of a work item; it stays when the item has ended.
create table decision (
    work_item_id text not null,
    version bigint not null,
    conversation_id text not null,
    pool text not null,
    at timestamptz not null,
    type text not null,
    data jsonb not null,
    primary key (work_item_id, version)
);
create index decision_by_conversation on decision (conversation_id, at);
