"""Keeps the promises about time: how soon customers are answered, and how soon their matter is settled.

Owns: SLA clocks, what of each conversation they are computed from, and the calendars that they have pinned (schema `sla`).
Reads: `conversations` (opened, reopened, resolved, snoozed, transferred, tagged, prioritised, messages); `assignments`, for the
time to assignment and to say who holds what is late; `sla-commands`, to move open clocks to the newest terms.
Emits: `sla` (clock.started, paused, resumed, retargeted, warned, escalated, breached, met, cancelled).
Invariants: a clock is a function of what happened and when it happened, not of when it was read: any order of arrival and
any outage give the same clocks; a breach is stamped with its deadline; exactly at the deadline is met; a clock keeps the
version of policy and calendar with which it was started, whatever the workspace says later; a step of escalation is announced
once.
"""
