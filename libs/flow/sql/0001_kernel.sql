-- The kernel's own tables; one set in each service's schema.

create table lane (
    flow text not null,
    lane int not null,
    epoch bigint not null default 0,
    next_seq bigint not null default 1,
    -- Part of the lane's source name, so that a restored database never repeats a (source, id).
    incarnation text not null,
    -- "<topic>/<partition>" -> sequence of the last event to it; JSON text.
    tails text not null default '{}',
    owner text,
    lease_until timestamptz,
    primary key (flow, lane)
) with (fillfactor = 50);

create table member (
    flow text not null,
    member_id text not null,
    beat_at timestamptz not null,
    lock_key int not null,
    primary key (flow, member_id)
) with (fillfactor = 50);

create table "position" (
    flow text not null,
    lane int not null,
    topic text not null,
    next_offset bigint not null,
    primary key (flow, lane, topic)
) with (fillfactor = 50);

create table watermark (
    flow text not null,
    lane int not null,
    topic text not null,
    source text not null,
    seq bigint not null,
    primary key (flow, lane, topic, source)
) with (fillfactor = 50);

create table outbox (
    flow text not null,
    lane int not null,
    first_seq bigint not null,
    records bytea not null,
    primary key (flow, lane, first_seq)
);

create table timer (
    flow text not null,
    lane int not null,
    id text not null,
    key text not null,
    due timestamptz not null,
    name text not null,
    body text not null,
    cause text not null default '',
    primary key (flow, lane, id)
);

create table effect (
    flow text not null,
    lane int not null,
    id text not null,
    key text not null,
    seq bigint not null,
    name text not null,
    body text not null,
    cause text not null default '',
    primary key (flow, lane, id)
);

-- First-hand events that were handled. Kept longer than any provider retries (7 days).
create table seen (
    day date not null,
    digest uuid not null,
    primary key (digest, day)
) partition by range (day);

create table dead_letter (
    id bigint generated always as identity primary key,
    flow text not null,
    lane int not null,
    key text not null,
    -- 'dead': could not be handled; 'parked': waits behind a dead one of its key
    state text not null check (state in ('dead', 'parked')),
    topic text not null,
    "offset" bigint not null,
    record_time bigint not null,
    record_key bytea,
    record_value bytea,
    record_headers text not null,
    reason text not null,
    detail text not null,
    at timestamptz not null default now(),
    replay boolean not null default false
);
create index dead_letter_by_key on dead_letter (flow, lane, key, id);
