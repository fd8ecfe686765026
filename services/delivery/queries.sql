-- name: waiting
select inbox_id, count(*) as messages, extract(epoch from clock_timestamp() - min(requested_at))::float8 as oldest
from dispatch group by inbox_id;
