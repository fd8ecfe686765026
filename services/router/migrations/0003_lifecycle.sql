-- Reservations as values of their own, so that one item can be offered to several agents, and released units.
-- The columns of the single offer stay, unused, for processes of the release before: they write their own rows on.

alter table work_item
    -- the offers that stand: [{reservation_id, agent_id, expires_at, turn}]
    add column reservations jsonb not null default '[]',
    add column released boolean not null default false,
    alter column offer_turn set default 0;

alter table agent_state
    add column offered_turn bigint not null default 0;

alter table conversation
    add column spoke_at timestamptz,
    add column silent boolean not null default false;

update work_item
set reservations = jsonb_build_array(jsonb_build_object(
        'reservation_id', reservation_id, 'agent_id', agent_id, 'expires_at', expires_at, 'turn', offer_turn)),
    agent_id = null
where state = 'offered' and reservation_id is not null;
