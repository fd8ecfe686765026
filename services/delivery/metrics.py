"""This file names every figure of delivery."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
AGES = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600, 3600, 21_600, 86_400)

ATTEMPTS = Counter(
    "sambung_delivery_attempts_total", "Sends by what the provider said", ["channel", "outcome"]
)
"""outcome: accepted, refused, retry, unknown; put_off when our own limit kept it from being sent"""
ATTEMPT = Histogram(
    "sambung_delivery_attempt_seconds", "One request to a provider", ["channel"], buckets=SECONDS
)
ENDED = Histogram(
    "sambung_delivery_age_seconds", "From request to its end", ["channel", "status"], buckets=AGES
)
"""status: accepted, failed"""
WAITING = Gauge("sambung_delivery_waiting", "Messages not ended, over all processes", ["inbox"])
OLDEST = Gauge(
    "sambung_delivery_oldest_seconds", "Age of the oldest message not ended, over all processes", ["inbox"]
)
