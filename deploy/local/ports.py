"""This file finds free TCP ports on the loopback address."""

import random
import socket

HOST = "127.0.0.1"
# Below the range that Linux (from 32768) and macOS (from 49152) give to outgoing connections. Inside it, a client that
# keeps reconnecting to a dead broker's port can be given that very port as its own and connect to itself, and then the
# broker cannot bind it again.
LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a port whose old connections linger in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nobody listens on at this moment; the caller must be ready to lose it."""
    for port in random.sample(range(LOWEST, HIGHEST), 500):
        if is_free(port):
            return port
    raise OSError(f"no free TCP port found on {HOST} between {LOWEST} and {HIGHEST}")
