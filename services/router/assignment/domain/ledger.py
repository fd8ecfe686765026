"""This file keeps, by agent, the work items that take of their capacity, and how much; a function of the items alone."""

from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain.capacity import NOTHING, Load
from services.router.assignment.domain.work import WorkItem


class Ledger:
    """Every item is entered as it is, and removed as it was entered before it changes."""

    def __init__(self) -> None:
        self._items: dict[str, dict[str, WorkItem]] = {}
        self._loads: dict[str, Load] = {}

    def add(self, item: WorkItem) -> None:
        for agent_id, units in item.claims():
            self._items.setdefault(agent_id, {})[item.work_item_id] = item
            if units:
                self._loads.setdefault(agent_id, Load()).add(item.channel, units)

    def remove(self, item: WorkItem) -> None:
        for agent_id, units in item.claims():
            del self._items[agent_id][item.work_item_id]
            if units:
                self._loads[agent_id].remove(item.channel, units)

    def load(self, agent_id: str) -> Load:
        return self._loads.get(agent_id, NOTHING)

    def agents(self) -> list[str]:
        """Who has anything."""
        return [agent_id for agent_id, items in self._items.items() if items]

    def of(self, agent_id: str) -> list[WorkItem]:
        """All that is offered to the agent, held, or wrapped up, by id."""
        items = self._items.get(agent_id, {})
        return [items[i] for i in sorted(items)]

    def held(self, agent_id: str, *states: WorkState) -> list[WorkItem]:
        """What the agent holds (in these states only, where given), by id."""
        return [i for i in self.of(agent_id) if i.agent_id == agent_id and (not states or i.state in states)]

    def offered(self, agent_id: str) -> list[WorkItem]:
        """What is offered to the agent, by id."""
        return [i for i in self.of(agent_id) if i.offer_to(agent_id) is not None]

    def latest_offer(self, agent_id: str) -> int:
        """The turn of the latest standing offer; 0 without one."""
        offers = (i.offer_to(agent_id) for i in self._items.get(agent_id, {}).values())
        return max((offer.turn for offer in offers if offer is not None), default=0)
