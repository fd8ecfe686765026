"""This file names every figure of the desk."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5, 30)

CONNECTED = Gauge("sambung_desk_connections", "Feeds that are connected now", ["transport"])
"""transport: websocket, sse"""
FRAMES = Counter("sambung_desk_frames_total", "Frames given to connections", ["transport"])
RESYNCS = Counter(
    "sambung_desk_resyncs_total", "Snapshots sent because a feed could not go on, by why", ["reason"]
)
"""reason: slow, too_old, ahead, bad_cursor"""
PUSH_LAG = Histogram(
    "sambung_desk_push_lag_seconds",
    "From entry into the system to the queue of a connection",
    buckets=SECONDS,
)
COMMAND = Histogram(
    "sambung_desk_command_seconds",
    "From a command's arrival to its answer",
    ["command", "outcome"],
    buckets=SECONDS,
)
"""outcome: done, refused, accepted (no answer in time), repeated, unavailable"""
OPEN = Gauge("sambung_desk_open_conversations", "Conversations in the live view")
RESTORED = Counter(
    "sambung_desk_restored_total", "Conversations read again from the projection, by outcome", ["outcome"]
)
"""outcome: whole, gone, behind (the projection did not catch up), away (no database)"""
FAULTS = Counter(
    "sambung_desk_live_faults_total", "Events that the live view could not take in: a bug, see the log"
)
HEARTBEATS = Counter(
    "sambung_desk_heartbeats_total", "Heartbeats of connected agents, by outcome", ["outcome"]
)
"""outcome: published, failed"""
