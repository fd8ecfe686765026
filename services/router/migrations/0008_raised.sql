-- The priority to which an SLA policy raised the conversation, until it comes to another queue or is resolved.
alter table conversation add column raised_priority bigint;
