-- Work that agents of another pool may take too: what a pool knows of items for which another pool decides.

alter table work_item
    -- the pool whose work it is, where another pool has it
    add column home text,
    -- of a guest: the number of the loan
    add column loan bigint not null default 0,
    -- pool -> number of the loan
    add column lent jsonb,
    -- of what was granted: the pool that has it, and what is to be done when it returns
    add column away text,
    add column asked jsonb;

-- Guests of other pools, and own work that was granted to them. A table of its own: an item is here in two pools at once.
create table lent_item (
    like work_item including defaults,
    primary key (pool, work_item_id)
) with (fillfactor = 70);
-- For an installation that has the later migrations of work_item, and for one that gets them next.
alter table lent_item
    add column if not exists vip boolean not null default false,
    add column if not exists raised bigint not null default 0;
create index lent_item_by_lane on lent_item (lane);
