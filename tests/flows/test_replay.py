"""This file proves that what the flow decided on the real database is decided again from its logs alone."""

from datetime import timedelta
from random import Random

import pytest

from libs.contracts.decided import Decided
from libs.contracts.payloads.assignments import ReservationOffered
from libs.contracts.payloads.commands import CompleteWork, DeclineReservation
from libs.contracts.vocabulary import Presence
from libs.flow.harness import Harness
from libs.flow.recording import gather
from services.router.replay.comparison import compare
from services.router.replay.rows import from_json, read_rows, to_json
from tests.flows.test_assignment import (
    ASSIGNMENT,
    POOL,
    SECOND,
    accept,
    available,
    beat,
    command,
    harness,
    presence,
    withdraw,
    work,
)

pytestmark = pytest.mark.postgres


class Story:
    """Agents and customers who do anything at any time, on a router that is killed now and then."""

    def __init__(self, h: Harness, rng: Random) -> None:
        self._h, self._rng = h, rng
        self._items: list[str] = []

    async def go_on(self) -> None:
        h, rng = self._h, self._rng
        agent = rng.choice(["ayu", "budi"])
        match rng.choices(range(8), [5, 4, 3, 3, 2, 2, 5, 1])[0]:
            case 0:
                self._items.append(str(len(self._items)))
                await work(h, self._items[-1], queue=rng.choice(["billing", "sales"]))
            case 1:
                await accept(h, agent, self._an_offer())
            case 2 if self._items:
                await withdraw(h, rng.choice(self._items), wrap_up=rng.random() < 0.5)
            case 3:
                asked = DeclineReservation(agent_id=agent, pool=POOL, reservation_id=self._an_offer())
                await command(h, asked)
            case 4 if self._items:
                asked_to = CompleteWork(
                    agent_id=agent, pool=POOL, work_item_id=f"wki_{rng.choice(self._items)}"
                )
                await command(h, asked_to)
            case 5:
                await presence(h, agent, rng.choice([*Presence][:4]))
            case 6:
                await h.advance(timedelta(seconds=rng.choice([1, 5, 12, 31, 50])))
                await beat(h, *(a for a in ("ayu", "budi") if rng.random() < 0.8))
            case 7:
                await h.crash()

    def _an_offer(self) -> str:
        offers = [e.data for e in self._h.emitted if isinstance(e.data, ReservationOffered)]
        return (
            offers[-1 - int(len(offers) * self._rng.random() ** 4)].reservation_id if offers else "rsv_none"
        )


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_the_log_gives_every_decision_again(postgres_dsn: str, seed: int) -> None:
    async with harness(postgres_dsn) as h:
        story = Story(h, Random(seed))
        await available(h, "ayu", "budi")
        for _ in range(150):
            await story.go_on()
        found = compare(gather(h.logs()), ASSIGNMENT)
        assert found.differences == []
        assert found.events == len(h.emitted) > 100


@pytest.mark.parametrize("seed", range(30, 36))
async def test_what_the_tables_hold_is_enough_to_begin_in_the_middle(postgres_dsn: str, seed: int) -> None:
    async with harness(postgres_dsn) as h:
        story = Story(h, Random(seed))
        await available(h, "ayu", "budi")
        for _ in range(75):
            await story.go_on()
        async with h.database.connection() as connection:
            rows = from_json(to_json(await read_rows(connection)))
        before = len(h.emitted)
        for _ in range(75):
            await story.go_on()
        found = compare(gather(h.logs()), ASSIGNMENT, begin=rows)
        assert found.differences == []
        assert found.events == len(h.emitted) - before


async def test_an_event_says_what_was_read_and_how_many_timers_had_fired(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "ayu")
        await beat(h, "ayu")
        first = (await work(h, "1"))[0].envelope
        assert Decided.parse(first.decided) == Decided(
            h.time.now(), Decided.parse(first.decided).opened, 0, {"agent-commands": 4, "work": 1}
        )
        await h.advance(31 * SECOND)
        last = h.emitted[-1].envelope
        assert (Decided.parse(last.decided).timers, Decided.parse(last.decided).at) == (1, h.time.now())
        await h.crash()
        after = (await work(h, "2"))[0].envelope
        assert Decided.parse(after.decided).opened != Decided.parse(first.decided).opened
        assert Decided.parse(after.decided).timers == 0
