"""This file names the figures that every service process gives to Prometheus, and writes them out."""

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.exposition import choose_encoder

INFO = Gauge("sambung_service_info", "1 for each process that runs", ["service", "workspace", "version"])
"""version: of the workspace; two at once mean that a process was not restarted"""
READY = Gauge("sambung_service_ready", "1 while /readyz says yes")
RESPONSES = Counter("sambung_http_responses_total", "Answers over HTTP by status", ["status"])
LOOP_LAG = Gauge("sambung_service_loop_lag_seconds", "How late the event loop was at worst, lately")


def exposition(accept: str) -> tuple[bytes, str]:
    """Everything registered in this process, and its media type."""
    encode, media_type = choose_encoder(accept)
    return encode(REGISTRY), media_type
