"""This file keeps a lane's pools: an engine each in memory, a row for each live work item and each agent, and the story."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.flow.store import Log, Session, Store, Table, no_collection
from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.engine import Engine
from services.router.assignment.domain.learning import Cell
from services.router.assignment.domain.policy import Policy
from services.router.assignment.domain.work import WorkItem


@dataclass(frozen=True, slots=True)
class Decided:
    """One published event of a work item, as the routing story shows it. Outlives the item."""

    work_item_id: str
    version: int
    conversation_id: str
    pool: str
    at: datetime
    type: str
    data: dict[str, Any]


class AssignmentStore(Store):
    """Engines are caches of the rows: `discard` throws them away, `open` builds them again."""

    def __init__(self, lane: int, policy_of: Callable[[str], Policy]) -> None:
        super().__init__(lane)
        self._policy_of = policy_of
        self.engines: dict[str, Engine] = {}
        self.work_items = Table("work_item", WorkItem, key=["work_item_id"], group="pool")
        self.agents = Table("agent_state", AgentState, key=["pool", "agent_id"], group="pool")
        self.decisions = Log("decision", Decided, key=["work_item_id", "version"])
        self.learned = Table("learned", Cell, key=["pool", "kind", "name"], group="pool")
        self.foreign = Table("lent_item", WorkItem, key=["pool", "work_item_id"], group="pool")
        """What other pools decide about: guests, and what was granted to them."""
        self.tables = (self.work_items, self.agents, self.decisions, self.learned, self.foreign)

    async def open(self, db: Session) -> None:
        await self.work_items.load_all(db, "lane = $1", self.lane)
        await self.agents.load_all(db, "lane = $1", self.lane)
        await self.learned.load_all(db, "lane = $1", self.lane)
        await self.foreign.load_all(db, "lane = $1", self.lane)
        with no_collection():
            self.build()

    def build(self) -> None:
        """Make the engines anew from the rows in memory."""
        self.engines.clear()
        for pool in (
            {row.pool for row in self.work_items}
            | {row.pool for row in self.foreign}
            | {row.pool for row in self.agents}
            | {row.pool for row in self.learned}
        ):
            items = [row for t in (self.work_items, self.foreign) if t.has(pool) for row in t.of(pool)]
            agents = self.agents.of(pool) if self.agents.has(pool) else ()
            cells = self.learned.of(pool) if self.learned.has(pool) else ()
            self.engines[pool] = Engine(self._policy_of(pool), self.lane, items, agents, cells)

    def engine(self, pool: str) -> Engine:
        engine = self.engines.get(pool)
        if engine is None:
            engine = self.engines[pool] = Engine(self._policy_of(pool), self.lane)
        return engine

    def save(self, engine: Engine) -> None:
        """Put the rows that the engine changed."""
        changes = engine.take_changes()
        for item in changes.items:
            if item.foreign or self.foreign.has(item.pool):
                self._remove(item)
            (self.foreign if item.foreign else self.work_items).put(item)
        for item in changes.ended:
            self._remove(item)
        for agent in changes.agents:
            self.agents.put(agent)
        for cell in changes.learned:
            self.learned.put(cell)

    def _remove(self, item: WorkItem) -> None:
        """From the table that has it for this pool: the row of an item that another pool decides about is not ours to delete."""
        if self.work_items.has(item.pool) and self.work_items.get(item.pool, item.work_item_id):
            self.work_items.delete(item)
        if self.foreign.has(item.pool) and self.foreign.get(item.pool, item.pool, item.work_item_id):
            self.foreign.delete(item)

    def discard(self) -> None:
        super().discard()
        self.engines.clear()
