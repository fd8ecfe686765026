-- A lane reads its timers in the order in which they fire, some at a time.
create index timer_next on timer (flow, lane, due, id collate "C");
