"""This file asks a broker two questions by hand, so that readiness is known without a client library or an event loop."""

import socket
import struct

API_VERSIONS, METADATA = 18, 3


def broker_answers(host: str, port: int, timeout: float = 2.0) -> bool:
    """Whether the broker speaks the protocol, counts itself among the live brokers and knows its controller."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            versions = _ask(connection, API_VERSIONS, 0, b"")
            if struct.unpack_from(">h", versions)[0] != 0:
                return False
            # Version 1 with an empty list: no topic, only brokers and controller.
            return _live_brokers(_ask(connection, METADATA, 1, struct.pack(">i", 0))) > 0
    except (OSError, struct.error, EOFError):
        return False


def _ask(connection: socket.socket, api: int, version: int, body: bytes) -> bytes:
    request = struct.pack(">hhih", api, version, 1, -1) + body  # correlation 1, null client id
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", _read(connection, 4))
    return _read(connection, size)[4:]


def _read(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise EOFError("the broker hung up")
        received += chunk
    return bytes(received)


def _live_brokers(metadata: bytes) -> int:
    """The number of brokers in a Metadata v1 response, or 0 while it names no controller."""
    (count,) = struct.unpack_from(">i", metadata)
    at = 4
    for _ in range(count):
        at += 4  # node id
        at += 2 + struct.unpack_from(">h", metadata, at)[0] + 4  # host, port
        (rack,) = struct.unpack_from(">h", metadata, at)
        at += 2 + max(rack, 0)
    (controller,) = struct.unpack_from(">i", metadata, at)
    return count if controller >= 0 else 0
