"""Ingest: webhooks and web chat in, one stream of normalised items out.

Owns: the channel adapters, signatures, the normal form of what providers send. No tables.
Reads: HTTP from providers and visitors; `outbound` (only to show answers to visitors who are connected here).
Emits: `inbound`, keyed by contact point, source `/ingest/<inbox>`, id = the provider's own key.
Invariants: a 2xx means that every item of the body is on the log, acknowledged by all replicas. A repeated webhook has
the same (source, id), item by item. One bad item never costs the others; it is kept as unsupported with its reason.
Nothing but the broker stands on the path of a webhook: no database, no call to anybody.

Read in this order: channels/adapter.py (what a channel is), channels/__init__.py (the table), api.py and intake.py (the
path of a webhook), visitors/ (web chat).
"""
