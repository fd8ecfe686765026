-- Contact points, conversations, the names of messages, and the evidence of who is who. No text of any message is kept here.

create table contact_point (
    contact_point_id text primary key,
    contact_id text not null,
    inbox_id text not null,
    channel text not null,
    address text not null,
    name text,
    first_seen_at timestamptz not null,
    conversation_id text,
    conversations bigint not null,
    identifiers jsonb not null
) with (fillfactor = 80);
create index contact_point_by_contact on contact_point (contact_id);

-- Changed by every message: room on the page keeps that away from the indexes.
create table conversation (
    conversation_id text primary key,
    contact_point_id text not null,
    contact_id text not null,
    inbox_id text not null,
    channel text not null,
    number bigint not null,
    state text not null,
    version bigint not null,
    queue text not null,
    pool text not null,
    opened_at timestamptz not null,
    changed_at timestamptz not null,
    resolved_at timestamptz,
    snoozed_until timestamptz,
    customer_wrote_at timestamptz,
    agent_id text,
    last_agent_id text,
    work_items bigint not null,
    work_item_id text,
    work_requested_at timestamptz,
    work_due_at timestamptz,
    tags jsonb not null,
    clocks jsonb not null
) with (fillfactor = 60);
create index conversation_by_contact_point on conversation (contact_point_id, number);

create table message (
    message_id text primary key,
    contact_point_id text not null,
    conversation_id text not null,
    provider_message_id text,
    status text,
    occurred_at timestamptz not null,
    edited_at timestamptz
) with (fillfactor = 80);

-- What the provider calls a message of ours. A name that no message claims yet holds the receipts that came early.
create table message_name (
    lookup text primary key,
    contact_point_id text not null,
    message_id text,
    status text,
    error jsonb,
    occurred_at timestamptz
);

-- The identity graph: one edge for each identifier that a contact point showed. Only ever added to; `id` is the order.
create table evidence (
    id bigint generated always as identity,
    kind text not null,
    value text not null,
    contact_point_id text not null,
    verified boolean not null,
    contact_id text not null,
    at timestamptz not null,
    primary key (kind, value, contact_point_id, verified)
);
create index evidence_by_contact on evidence (contact_id);

-- Compare and append: adds edges unless an identifier that the decision looked at has gained one meanwhile.
-- Lanes that decide about the same identifier at once wait for each other here, in one order, and the later decides again.
create function append_evidence(
    asked_kinds text[], asked_values text[], expected bigint,
    kinds text[], vals text[], contact_points text[], verifieds boolean[], contacts text[], ats timestamptz[]
) returns boolean language plpgsql as $$
begin
    -- 128 stripes instead of a lock for each identifier: a large batch must not fill the server's table of locks.
    perform pg_advisory_xact_lock(7743, s.stripe) from (
        select distinct hashtext(k.kind || ':' || k.value) & 127 as stripe
        from unnest(asked_kinds, asked_values) as k(kind, value) order by 1
    ) s;
    -- Whatever is built on these edges is committed later and synchronously, which flushes them too.
    perform set_config('synchronous_commit', 'off', true);
    if (select count(*) from evidence e join unnest(asked_kinds, asked_values) as k(kind, value)
            on e.kind = k.kind and e.value = k.value) <> expected then
        return false;
    end if;
    insert into evidence (kind, value, contact_point_id, verified, contact_id, at)
        select u.kind, u.value, u.contact_point_id, u.verified, u.contact_id, u.at
        from unnest(kinds, vals, contact_points, verifieds, contacts, ats) with ordinality
            as u(kind, value, contact_point_id, verified, contact_id, at, place)
        order by u.place;
    return true;
end
$$;
