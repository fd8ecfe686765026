"""This file tells the figures: as gauges, and on `service-levels` at most once a second for each queue and channel."""

from datetime import datetime, timedelta

import structlog

from libs.contracts.payloads.levels import ServiceLevelMeasured, WindowLevel
from libs.contracts.vocabulary import Channel
from libs.flow.publisher import Publisher, PublishFailed, first_hand
from libs.flow.wire import Outgoing
from libs.timesource import TimeSource
from services.sla.live import metrics
from services.sla.live.domain.course import UNKNOWN
from services.sla.live.domain.levels import Key, Level, Levels, Window

log = structlog.get_logger(__name__)

EVERY = 1.0
AGAIN_AFTER = timedelta(seconds=60)
"""What has not changed is said again after this, so that a reader who comes later needs no more than the last minutes."""
FORGET_AFTER = timedelta(seconds=60)
SOURCE = "/sla.live"


class Telling:
    """`look` once a second, with the whole second that has just ended as the windows' end."""

    def __init__(self, levels: Levels, publisher: Publisher, time: TimeSource, *, workspace: str) -> None:
        self._levels, self._publisher, self._time, self._workspace = levels, publisher, time, workspace
        self._told: dict[Key, tuple[Level, datetime]] = {}
        self._forgotten_at = datetime.min.replace(tzinfo=time.now().tzinfo)

    async def run(self) -> None:
        while True:
            await self.look()
            # To just after the next whole second, whatever this one took.
            await self._time.sleep(EVERY - self._time.now().microsecond / 1_000_000)

    async def look(self) -> None:
        """Tell what has changed. What could not be published is told at the next look."""
        at = self._time.now().replace(microsecond=0)
        if at - self._forgotten_at >= FORGET_AFTER:
            self._levels.forget(at)
            self._forgotten_at = at
        levels = self._levels.at(at)
        for level in levels:
            _show(level, at)
        news = [level for level in levels if self._is_news(level, at)]
        try:
            await self._publisher.publish([self._record(level, at) for level in news])
        except PublishFailed as fault:
            metrics.PUBLISHED.labels("failed").inc(len(news))
            log.warning("service levels were not published", levels=len(news), fault=str(fault)[:200])
            return
        metrics.PUBLISHED.labels("published").inc(len(news))
        self._told |= {level.key: (level, at) for level in news}

    def _is_news(self, level: Level, at: datetime) -> bool:
        told = self._told.get(level.key)
        if told is None:
            # Work is often read a moment before its conversation: nobody need hear of a channel that was not known then.
            return level.key.channel != UNKNOWN or not level.idle
        if told[0] != level:
            return True
        return at - told[1] >= AGAIN_AFTER

    def _record(self, level: Level, at: datetime) -> Outgoing:
        key = level.key
        return first_hand(
            payload_of(level, at),
            key=key.queue,
            source=SOURCE,
            id=f"{key.queue}/{key.channel}/{int(at.timestamp())}",
            at=at,
            workspace=self._workspace,
            recorded_at=self._time.now(),
        )


def payload_of(level: Level, at: datetime) -> ServiceLevelMeasured:
    """The level as it goes over the wire."""
    return ServiceLevelMeasured(
        queue=level.key.queue,
        channel=Channel(level.key.channel),
        as_of=at,
        windows=tuple(map(_window, level.windows)),
        waiting=level.waiting,
        oldest_waiting_since=level.oldest_since,
    )


def _window(window: Window) -> WindowLevel:
    speed = window.average_speed_of_answer
    return WindowLevel(
        seconds=int(window.length.total_seconds()),
        offered=window.offered,
        answered=window.answered,
        abandoned=window.abandoned,
        within_target=window.within,
        missed_target=window.missed,
        average_speed_of_answer=None if speed is None else speed.total_seconds(),
    )


def _show(level: Level, at: datetime) -> None:
    for window in map(_window, level.windows):
        figures = window.model_dump(exclude={"seconds", "average_speed_of_answer"})
        speed = window.average_speed_of_answer
        figures["average_speed_of_answer_seconds"] = -1 if speed is None else speed
        for figure, value in figures.items():
            metrics.FIGURES.labels(*level.key, window.seconds, figure).set(value)
    since = level.oldest_since
    metrics.WAITING.labels(*level.key).set(level.waiting)
    metrics.OLDEST.labels(*level.key).set(0 if since is None else max(0.0, (at - since).total_seconds()))
