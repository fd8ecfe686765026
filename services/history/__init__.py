"""Keeps one timeline per customer, over all channels and conversations, and shows it: pages, and a stream that can be resumed.

Owns: timeline entries, and which contact a contact point belongs to (schema `history`).
Reads: `conversations`, `assignments`, `sla`, `identity`: every type.
Emits: `timeline` (entry.recorded), keyed by contact.
Invariants: each event is exactly one entry, which never changes; an entry whose contact is not known yet waits and is not
lost; entries are ordered by (occurred_at, entry_id) for people and by (recorded_xid, entry_id) for followers, and neither
order ever changes.
"""
