"""Desk: agents' commands in, a resumable feed out.

Owns: what agents see (schema `desk`: conversations with their latest messages, live work, SLA clocks, agents), their
connections, the feed's protocol (docs/feed.md).
Reads: `conversations`, `assignments`, `sla`, `agents`; HTTP and WebSocket from agents' desktops.
Emits: `commands`, `agent-commands` (first-hand: source `/desk/<agent>`, id = the caller's idempotency key); heartbeats of
connected agents.
Invariants: an agent gets every event of what he holds or is offered once, in its order, also across lost connections; where
that cannot be kept (a slow reader, a cursor too old, a restart) he gets a snapshot instead, never a gap. A slow reader
costs bounded memory. A push never waits for the projection's transaction. The desk decides nothing: whether a command is
carried out, the router says.

Read in this order: fold.py (what an event changes), handlers.py (the projection), live/ (the same fold in memory, who gets
what), feed/ (connections), commands/ (from request to answer).
"""
