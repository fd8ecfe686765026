"""This file keeps connected agents present: a heartbeat for each of them, three in every presence lease."""

from datetime import timedelta

import structlog

from libs.contracts.payloads.commands import Heartbeat
from libs.flow.publisher import Publisher, PublishFailed, first_hand
from libs.flow.wire import Outgoing
from libs.timesource import TimeSource, jitter, random_token
from libs.workspace import Workspace
from services.desk import metrics
from services.desk.fold import COMMANDS_OF_THE_DESK
from services.desk.live.hub import Hub

log = structlog.get_logger(__name__)

LOOK_EVERY = 0.5
"""Seconds; also how long after connecting the first heartbeat goes out at the latest."""
BATCH = 500


class Heartbeats:
    """One per agent, however many connections he has. A disconnect just ends them: the lease lapses by itself."""

    def __init__(self, hub: Hub, publisher: Publisher, workspace: Workspace, time: TimeSource) -> None:
        self._hub, self._publisher, self._workspace, self._time = hub, publisher, workspace, time
        self._due: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            await self.beat()
            await self._time.sleep(LOOK_EVERY)

    async def beat(self) -> None:
        """Publish the heartbeats that are due now. Those that could not be published stay due."""
        now = self._time.monotonic()
        connected = [a for a in self._hub.connected() if a in self._workspace.agents]
        self._due = {a: self._due.get(a, now) for a in connected}
        due = [a for a in connected if self._due[a] <= now]
        for first in range(0, len(due), BATCH):
            part = due[first : first + BATCH]
            try:
                await self._publisher.publish([self._record(a) for a in part])
            except PublishFailed as fault:
                metrics.HEARTBEATS.labels("failed").inc(len(part))
                log.warning("heartbeats were not published", agents=len(part), fault=str(fault)[:200])
                return
            metrics.HEARTBEATS.labels("published").inc(len(part))
            for agent_id in part:
                # Agents who came back together after a restart of the desk drift apart.
                self._due[agent_id] = now + self._interval(agent_id).total_seconds() * jitter(0.8, 1.0)

    def _interval(self, agent_id: str) -> timedelta:
        return self._workspace.pools[self._workspace.agents[agent_id].pool].presence_lease / 3

    def _record(self, agent_id: str) -> Outgoing:
        pool = self._workspace.agents[agent_id].pool
        return first_hand(
            Heartbeat(agent_id=agent_id, pool=pool),
            key=pool,
            source=f"{COMMANDS_OF_THE_DESK}{agent_id}",
            id=f"heartbeat-{random_token()}",
            at=self._time.now(),
            workspace=self._workspace.id,
        )
