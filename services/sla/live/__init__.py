"""Tells how each queue does on each channel, over the last 5 and 30 minutes and now: derived, never a truth.

Owns: nothing. All of it is folded again from the log at every start.
Reads: `assignments`, `sla`, and `conversations` for the channel.
Emits: `service-levels` (service_level.measured), and the same figures as gauges.
Invariants: a figure is a function of the events before its `as_of` by event time, whatever the order in which they were read
and however often; nothing is published before the log has been read to where it ended at the start; nobody decides by it.
"""
