-- Matching that learns: when work was assigned, how far its queue's rules are relaxed, and what handle times were seen.

alter table work_item add column assigned_at timestamptz;
alter table work_item add column wake_at timestamptz;
alter table work_item add column step bigint not null default 0;
alter table work_item add column preferred_skills jsonb;
alter table agent_state add column given bigint not null default 0;

create table learned (
    pool text not null,
    -- demand, handling
    kind text not null,
    name text not null,
    lane bigint not null,
    period bigint not null,
    n double precision not null,
    total double precision not null,
    past_n double precision not null,
    past_total double precision not null,
    primary key (pool, kind, name)
) with (fillfactor = 50);
create index learned_by_lane on learned (lane);
