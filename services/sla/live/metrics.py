"""This file names every figure of the live service levels."""

from prometheus_client import Counter, Gauge

FIGURES = Gauge(
    "sambung_service_level",
    "How a queue does on a channel over the last seconds; -1 for an average of nothing",
    ["queue", "channel", "seconds", "figure"],
)
"""figure: offered, answered, abandoned, within_target, missed_target, average_speed_of_answer_seconds"""
WAITING = Gauge("sambung_service_level_waiting", "Work items that nobody holds", ["queue", "channel"])
OLDEST = Gauge(
    "sambung_service_level_oldest_seconds",
    "How long the longest of them has waited; 0 where none waits",
    ["queue", "channel"],
)
READ = Counter("sambung_service_level_events_total", "Records read, by what they were", ["outcome"])
"""outcome: counted, other (of no concern here), unreadable"""
PUBLISHED = Counter("sambung_service_level_published_total", "Measurements published", ["outcome"])
"""outcome: published, failed"""
