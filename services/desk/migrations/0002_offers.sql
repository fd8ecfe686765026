-- All offers of a work item that stand: [{reservation_id, agent_id, expires_at}]. The first one's columns stay for lists.

alter table work_view
    add column offers jsonb not null default '[]',
    add column idle boolean not null default false;

update work_view
set offers = jsonb_build_array(jsonb_build_object(
        'reservation_id', reservation_id, 'agent_id', agent_id, 'expires_at', expires_at))
where state = 'offered' and reservation_id is not null;
