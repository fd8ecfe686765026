-- What each calendar version says that a clock has pinned, so that clocks go on with it when the workspace says otherwise.
create table calendar (
    version text primary key,
    definition jsonb not null
);
