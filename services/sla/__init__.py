"""Keeps the promises about time: how soon customers are answered, and how soon their matter is settled.

Owns: SLA clocks, what of each conversation they are computed from, and the calendars that they have pinned (schema `sla`).
Reads: `conversations` (opened, reopened, resolved, snoozed, transferred, messages); `assignments`, to say who holds what is late.
Emits: `sla` (clock.started, paused, resumed, warned, breached, met, cancelled).
Invariants: a clock is a function of what happened and when it happened, not of when it was read: any order of arrival and
any outage give the same clocks; a breach is stamped with its deadline; exactly at the deadline is met; a clock keeps the
policy and the calendar with which it was started.
"""
