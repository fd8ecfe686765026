-- Terms, warnings and escalation of a clock: what of them was announced.
alter table clock
    -- Shares of the target at which something is due, under the terms that count now.
    add column shares jsonb not null default '[]',
    -- Shares that were used up, under whatever terms.
    add column marks jsonb not null default '[]',
    -- When other terms began that count.
    add column changes jsonb not null default '[]',
    -- Steps of escalation that were announced; none is announced again.
    add column escalated jsonb not null default '[]';
create index clock_of_calendar on clock (calendar) where state in ('running', 'paused');

-- Which inbox a conversation belongs to: policies match by it.
alter table conversation add column inbox_id text not null default '';
