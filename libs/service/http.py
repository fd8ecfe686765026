"""This file makes the HTTP application of a service and serves it inside the process's own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.routing import Mount

from libs.service import problems

GRACE = 5
"""Seconds for requests under way when the process drains."""


def application(service: str, api: APIRouter | None) -> FastAPI:
    """The service's routes, with problem documents for everything that goes wrong."""
    app = FastAPI(title=f"Sambung {service}", redoc_url=None)
    problems.install(app)
    if api is not None:
        app.include_router(api)
        # include_router passes over mounted applications.
        app.router.routes.extend(route for route in api.routes if isinstance(route, Mount))
    return app


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class HttpServer:
    """Serves one ASGI application until stopped."""

    def __init__(
        self, app: Any, listener: socket.socket, died: Callable[[str, BaseException | None], None]
    ) -> None:
        self._listener, self._died = listener, died
        self._server = _Server(
            uvicorn.Config(
                app,
                http="httptools",
                ws="websockets-sansio",
                # Frames are small and many: deflate costs more time and 300 kB a socket than it saves.
                ws_per_message_deflate=False,
                ws_max_size=1_048_576,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=65,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Returns when requests are answered."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._listener]))
        self._task.add_done_callback(self._ended)
        await self._server.up.wait()

    async def stop(self) -> None:
        """No more connections; returns when the requests under way are answered, or GRACE is over."""
        if self._task is None:
            self._listener.close()
            return
        self._server.should_exit = True
        await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._server.up.set()
        if not self._server.should_exit:
            self._died("http", None if task.cancelled() else task.exception())


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
