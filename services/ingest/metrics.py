"""This file names every figure that ingest gives to Prometheus."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter(
    "sambung_ingest_requests_total", "Calls by what they were answered", ["inbox", "channel", "outcome"]
)
"""outcome: taken, refused, unavailable"""
ITEMS = Counter("sambung_ingest_items_total", "Items acknowledged by the broker", ["inbox", "kind"])
"""kind: message, receipt, edit, reaction, signal, unsupported"""
REJECTED = Counter(
    "sambung_ingest_rejected_total", "Calls that were not taken, by reason", ["inbox", "reason"]
)
"""reason: bad_signature, bad_handshake, unparsable, too_large, unknown_inbox, broker_away, overloaded"""
UNSUPPORTED = Counter(
    "sambung_ingest_unsupported_total",
    "Items kept because they could not be understood",
    ["inbox", "channel"],
)
ACK = Histogram(
    "sambung_ingest_ack_seconds",
    "From the whole body received to acknowledged by the broker",
    ["channel"],
    buckets=(0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5),
)
VISITORS = Gauge("sambung_ingest_visitors_connected", "Visitors' sockets that are open", ["inbox"])
SHOWN = Counter("sambung_ingest_answers_shown_total", "Messages written to visitors' sockets", ["inbox"])


@cache
def counter(of: Counter, *labels: str) -> Counter:
    """`of.labels(...)`, looked up once: it takes as long as a good part of reading an item."""
    return of.labels(*labels)
