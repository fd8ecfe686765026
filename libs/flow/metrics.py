"""This file names every figure that the kernel gives to Prometheus."""

from functools import lru_cache
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

M = TypeVar("M", Counter, Histogram)

MILLIS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5)

RECORDS = Counter("sambung_flow_records_total", "Records by what became of them", ["flow", "outcome"])
"""outcome: handled, duplicate, gap, dropped, undeclared, dead, parked"""
DROPPED = Counter(
    "sambung_flow_dropped_total", "Items that a handler dropped, by its reason", ["flow", "reason"]
)
DEAD = Counter(
    "sambung_flow_dead_letters_total", "Records kept as dead letters, by reason", ["flow", "reason"]
)
DEAD_OPEN = Gauge(
    "sambung_flow_dead_letters_open", "Dead letters and parked records that wait for a person", ["flow"]
)
BATCH = Histogram(
    "sambung_flow_batch_items", "Items in a batch", ["flow"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
COMMIT = Histogram(
    "sambung_flow_transaction_seconds", "The one transaction of a batch", ["flow"], buckets=MILLIS
)
PUBLISH = Histogram(
    "sambung_flow_publish_seconds", "From commit to the broker's acknowledgement", ["flow"], buckets=MILLIS
)
OUTBOX = Gauge(
    "sambung_flow_outbox_batches",
    "Batches in the outbox: acknowledged by the broker, and deleted with the next transaction",
    ["flow"],
)
LAG_RECORDS = Gauge(
    "sambung_flow_lag_records", "Records not yet applied, over this process's lanes", ["flow"]
)
LAG_SECONDS = Gauge(
    "sambung_flow_lag_seconds", "Age of the oldest record taken from the log and not yet applied", ["flow"]
)
LANES = Gauge("sambung_flow_lanes", "Lanes that this process serves", ["flow"])
TAKEOVERS = Counter("sambung_flow_takeovers_total", "Lanes taken, by why they were free", ["flow", "why"])
LOST = Counter("sambung_flow_lanes_lost_total", "Lanes that another process took from this one", ["flow"])
RELOADS = Counter(
    "sambung_flow_reloads_total",
    "Times a lane threw its memory away and read its rows again",
    ["flow", "why"],
)
STOPPED = Gauge(
    "sambung_flow_lanes_stopped", "Lanes stopped because too many records in a row were dead", ["flow"]
)
TIMERS = Gauge(
    "sambung_flow_timers", "Timers in memory over this process's lanes; a lane holds its next ones", ["flow"]
)
TIMER_LATENESS = Histogram(
    "sambung_flow_timer_lateness_seconds", "From due to handled", ["flow"], buckets=(*MILLIS, 30, 300, 3600)
)
EFFECTS = Gauge("sambung_flow_effects", "Effects asked for and not ended", ["flow"])
APPLIED = Histogram(
    "sambung_flow_apply_seconds",
    "From entry into the system to applied",
    ["flow"],
    buckets=(*MILLIS, 30, 300),
)


@lru_cache(maxsize=4096)
def of(metric: M, *labels: str | int) -> M:
    """`metric.labels(…)`, which looks it up under a lock each time. For what is counted at every record or timer."""
    return metric.labels(*labels)
