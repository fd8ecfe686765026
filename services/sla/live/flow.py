"""Work, clocks and channels in, service levels out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from libs.contracts.envelope import EnvelopeError, decode_envelope, decode_payload
from libs.service.background import running
from libs.service.process import App, Runtime
from services.sla.live import metrics
from services.sla.live.domain.levels import Levels
from services.sla.live.publishing import Telling
from services.sla.live.reading import TOPICS, fact_of
from services.sla.live.settings import Settings
from services.sla.live.stream import Stream

LOOK_BACK = timedelta(hours=24)
"""How far before its start the log is read again. What waits longer than this is not counted after a restart until its
next event; the windows need half an hour."""


class Intake:
    """Records in, facts to the fold."""

    def __init__(self, levels: Levels, channels: dict[str, str]) -> None:
        self._levels, self._channels = levels, channels

    def take(self, headers: Sequence[tuple[str, bytes]], value: bytes) -> None:
        """One record. Never raises for what a record holds."""
        try:
            event = decode_payload(decode_envelope(headers).type, value)
        except EnvelopeError:
            metrics.READ.labels("unreadable").inc()
            return
        fact = fact_of(event, self._channels)
        metrics.READ.labels("other" if fact is None else "counted").inc()
        if fact is not None:
            self._levels.add(fact)


def build(runtime: Runtime[Settings]) -> App:
    levels, workspace = Levels(), runtime.workspace
    intake = Intake(levels, {inbox.id: inbox.channel.value for inbox in workspace.inboxes.values()})
    stream = Stream(runtime.settings.kafka, TOPICS, intake.take, look_back=LOOK_BACK, time=runtime.time)

    @asynccontextmanager
    async def telling() -> AsyncIterator[None]:
        async with stream.running():
            await stream.caught_up()
            told = Telling(levels, runtime.publisher, runtime.time, workspace=workspace.id)
            async with running("telling", told.run(), runtime.died):
                yield

    return App(background=[telling])
