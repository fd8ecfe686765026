-- name: open_of_contact_points
select conversation_id from conversation_view
where contact_point_id = any($1::text[]) and state in ('open', 'snoozed');

-- name: is_in_view

state in ('open', 'snoozed') or conversation_id in (select conversation_id from work_view);

-- name: clock_is_in_view
conversation_id in (select conversation_id from conversation_view where state in ('open', 'snoozed'))
or conversation_id in (select conversation_id from work_view);

-- name: page
-- Conversations in the order in which they were opened, latest first; every argument but the last may be null.
select conversation_id, opened_at from conversation_view c
where ($1::text is null or pool = $1)
  and ($2::text is null or state = $2)
  and ($3::text is null or queue = $3)
  and ($4::text is null or exists (
        select 1 from work_view w where w.conversation_id = c.conversation_id
            and (w.agent_id = $4 or w.offers @> jsonb_build_array(jsonb_build_object('agent_id', $4::text)))))
  and ($5::timestamptz is null or (opened_at, conversation_id) < ($5, $6::text))
order by opened_at desc, conversation_id desc
limit $7;
