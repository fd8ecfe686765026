-- Messages that wait to be sent or are being sent. A row goes when its end has been reported.
create table dispatch (
    message_id text primary key,
    contact_point_id text not null,
    conversation_id text not null,
    inbox_id text not null,
    channel text not null,
    address text not null,
    content jsonb not null,
    reply_to text,
    -- Place in the line of its contact point.
    number bigint not null,
    state text not null,
    -- How often the provider was asked.
    attempts bigint not null default 0,
    -- How often the kernel was told to send; also counts those that our own rate limit put off.
    tries bigint not null default 0,
    -- Status in a receipt that came before the answer to the request.
    receipt text,
    last_fault jsonb,
    requested_at timestamptz not null,
    due_at timestamptz
);
create index dispatch_by_contact_point on dispatch (contact_point_id);
create index dispatch_by_inbox on dispatch (inbox_id, requested_at);
