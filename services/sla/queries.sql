-- name: clocks_of
select clock_id, conversation_id, metric, queue, policy, workspace_version, calendar, target_seconds, started_at, state,
       due_at, warned, breached, ended_at, reason, version
from clock
where conversation_id = $1 and reason is distinct from 'superseded'
order by started_at, clock_id;

-- name: next_due
select c.clock_id, c.conversation_id, c.metric, c.queue, c.policy, c.workspace_version, c.calendar, c.target_seconds,
       c.started_at, c.state, c.due_at, c.warned, c.breached, c.ended_at, c.reason, c.version, h.agent_id
from clock c left join holder h using (conversation_id)
where c.state = 'running' and not c.breached
order by c.due_at, c.clock_id
limit $1;

-- name: next_due_of_queue
select c.clock_id, c.conversation_id, c.metric, c.queue, c.policy, c.workspace_version, c.calendar, c.target_seconds,
       c.started_at, c.state, c.due_at, c.warned, c.breached, c.ended_at, c.reason, c.version, h.agent_id
from clock c left join holder h using (conversation_id)
where c.queue = $2 and c.state = 'running' and not c.breached
order by c.due_at, c.clock_id
limit $1;

-- name: open_clocks
select metric, policy, count(*) as open,
       count(*) filter (where state = 'running' and not breached and due_at between $1 and $2) as due,
       count(*) filter (where breached) as overdue
from clock
where state in ('running', 'paused')
group by metric, policy;
