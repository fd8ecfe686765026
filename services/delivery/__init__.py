"""Sends messages to the providers and reports what became of each.

Owns: which messages wait to be sent, and in which order (schema `delivery`).
Reads: `outbound` (message.requested); `conversations` (message.status_changed), to learn that a provider had a message after all.
Emits: `deliveries` (delivery.reported): exactly one for every message.requested, accepted or failed.
Invariants: messages to one contact point are sent in the order they were asked for, one at a time, also across retries;
a provider's limit delays only its own inbox; a secret never reaches a log, a metric or a table.
Ends in doubt are the channel's: see `channels/`, each says what it does when a request may or may not have arrived.
"""
