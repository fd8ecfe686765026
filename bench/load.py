"""This file drives a chain in open loop: sends by schedule whatever happens, and counts latency from the scheduled moment."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp


@dataclass(frozen=True, slots=True)
class Post:
    """One request, made ready beforehand. `name` is how the screen names it."""

    url: str
    body: bytes
    headers: dict[str, str]
    name: str


@dataclass(slots=True)
class Block:
    """What one block of one rate showed. Times in seconds from the scheduled send."""

    rate: float
    sent: int = 0
    refused: int = 0
    acks: list[float] = field(default_factory=list)
    screens: dict[str, list[float]] = field(default_factory=dict)
    """By what was seen (`hops 2`, `message`, `offer`)."""
    late_by: float = 0.0
    """How far behind its schedule the driver itself was at worst."""
    seconds: float = 0.0
    missing: int = 0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by process."""


class Screens:
    """Sockets that name what they show: `read(frame) -> [(name, what)]`."""

    def __init__(self, read: Callable[[str], Sequence[tuple[str, str]]]) -> None:
        self._read = read
        self._due: dict[str, float] = {}
        self._block: Block | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self.repeats = 0
        self._shown: set[tuple[str, str]] = set()

    async def open(self, urls: Sequence[tuple[str, dict[str, str]]]) -> None:
        self._session = aiohttp.ClientSession()
        for url, headers in urls:
            socket = await self._session.ws_connect(url, headers=headers, max_msg_size=0, autoping=True)
            self._tasks.append(asyncio.create_task(self._follow(socket)))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def expect(self, block: Block, due: dict[str, float]) -> None:
        self._block, self._due = block, due

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            now = time.monotonic()
            for name, what in self._read(message.data):
                due = self._due.get(name)
                if due is None or self._block is None:
                    continue
                if (name, what) in self._shown:
                    self.repeats += 1
                    continue
                self._shown.add((name, what))
                self._block.screens.setdefault(what, []).append(now - due)


async def drive(
    posts: Sequence[Post],
    rate: float,
    screens: Screens,
    wanted: str,
    *,
    expected: int | None = None,
    patience: float = 15.0,
) -> Block:
    """Send the posts at the rate; wait until the screens have shown all, or `expected`, of them, or patience (seconds) ends."""
    block = Block(rate)
    start = time.monotonic() + 0.2
    due = {post.name: start + n / rate for n, post in enumerate(posts)}
    screens.expect(block, due)
    connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def send(post: Post) -> None:
            at = due[post.name]
            try:
                async with session.post(post.url, data=post.body, headers=post.headers) as answer:
                    await answer.read()
                    if answer.status == 200:
                        block.acks.append(time.monotonic() - at)
                    else:
                        block.refused += 1
            except (aiohttp.ClientError, TimeoutError):
                block.refused += 1

        tasks = []
        for post in posts:
            wait = due[post.name] - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                block.late_by = max(block.late_by, -wait)
            tasks.append(asyncio.create_task(send(post)))
            block.sent += 1
        await asyncio.gather(*tasks)
        block.seconds = time.monotonic() - start
        until = time.monotonic() + patience
        expected = len(block.acks) if expected is None else expected
        while len(block.screens.get(wanted, ())) < expected and time.monotonic() < until:
            await asyncio.sleep(0.02)
    block.missing = expected - len(block.screens.get(wanted, ()))
    return block


def percentile(values: Sequence[float], q: float) -> float:
    """The q-quantile (nearest rank), NaN for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))] if ordered else float("nan")


def floor_frame(frame: str) -> Sequence[tuple[str, str]]:
    """What a frame of the floor's screen shows."""
    raw = json.loads(frame)
    return [(raw["body"]["n"], f"hops {raw['hops']}")]
