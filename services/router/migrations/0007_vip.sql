-- Work of conversations with the tag vip, and what that added to its priority.

alter table work_item
    add column vip boolean not null default false,
    add column raised bigint not null default 0;
