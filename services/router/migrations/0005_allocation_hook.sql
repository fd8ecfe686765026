-- Work whose allocation hook is asked: until when its answer is waited for, and how often it was asked.

alter table work_item add column hook_until timestamptz;
alter table work_item add column hook_asks bigint not null default 0;
