-- How many clocks are open and overdue, kept up in the transactions that change them: counting a million rows every few seconds
-- holds up everything else. Each lane counts what it opened less what it ended; only sums over all rows mean something.
create table tally (
    -- Its number; '' for what is counted in no lane's row: clocks kept before there were tallies.
    lane text not null,
    metric text not null,
    policy text not null,
    open bigint not null,
    overdue bigint not null,
    primary key (lane, metric, policy)
) with (fillfactor = 50);
-- Migrating clocks to another calendar is rare, and finds them by `clock_open`.
drop index clock_of_calendar;
