"""This file names every figure of the SLA service."""

from prometheus_client import Counter, Gauge, Histogram

LATENESS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600, 21_600)

OPEN = Gauge("sambung_sla_open_clocks", "Clocks not ended, over all processes", ["metric", "policy"])
DUE = Gauge(
    "sambung_sla_due_clocks",
    "Running clocks due within five minutes, over all processes",
    ["metric", "policy"],
)
OVERDUE = Gauge(
    "sambung_sla_overdue_clocks",
    "Clocks breached and not ended yet, over all processes",
    ["metric", "policy"],
)
STARTED = Counter("sambung_sla_started_total", "Clocks started", ["metric", "policy"])
WARNED = Counter("sambung_sla_warned_total", "Warnings", ["metric", "policy"])
BREACHED = Counter("sambung_sla_breached_total", "Deadlines missed", ["metric", "policy"])
RETARGETED = Counter("sambung_sla_retargeted_total", "New terms for running clocks", ["metric", "policy"])
ESCALATED = Counter("sambung_sla_escalated_total", "Steps of escalation", ["metric", "policy", "step"])
CORRECTED = Counter(
    "sambung_sla_corrected_total",
    "Breaches taken back, since what was in time came late",
    ["metric", "policy"],
)
MET = Counter(
    "sambung_sla_met_total", "Clocks ended by what they waited for", ["metric", "policy", "in_time"]
)
CANCELLED = Counter("sambung_sla_cancelled_total", "Clocks that became moot", ["metric", "policy", "reason"])
FIRED_LATE = Histogram(
    "sambung_sla_firing_lateness_seconds",
    "From the moment a warning or deadline was due to its being handled",
    ["what", "metric", "policy"],
    buckets=LATENESS,
)
"""what: warning, deadline, escalation (past the deadline)"""
