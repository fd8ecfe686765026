"""This file names every figure of the history service."""

from prometheus_client import Counter, Gauge, Histogram

LAGS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5, 30, 300, 3600)

ENTRIES = Counter("sambung_history_entries_total", "Entries recorded", ["kind"])
WAITED = Counter(
    "sambung_history_waited_total", "Entries that had to wait until their contact was known", ["kind"]
)
LAG = Histogram(
    "sambung_history_apply_lag_seconds",
    "From an event's entry into the system to its entry on the timeline",
    buckets=LAGS,
)
CUT = Counter("sambung_history_cut_total", "Entries whose content was too large to be kept whole")
STREAMS = Gauge("sambung_history_streams", "Streams that this process serves")
STREAMED = Counter("sambung_history_streamed_total", "Entries sent on streams")
REFUSED = Counter("sambung_history_streams_refused_total", "Streams refused because too many are open")
