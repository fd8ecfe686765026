"""Live service levels against a count over the whole log at once."""

from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.sla.live.domain.levels import Level, Levels
from services.sla.live.reading import fact_of
from tests.unit.sla.live_story import START, Told, as_read, batch, story

SPAN = timedelta(minutes=50)
SEEDS = st.integers(0, 2**32)


def folded(told: list[Told]) -> Levels:
    levels = Levels()
    for event in told:
        fact = fact_of(event, {})
        if fact is not None:
            levels.add(fact)
    return levels


def plain(level: Level) -> dict[str, Any]:
    figures: dict[str, Any] = {"waiting": level.waiting, "oldest": level.oldest_since}
    for window in level.windows:
        seconds = int(window.length.total_seconds())
        figures[f"offered_{seconds}"] = window.offered
        figures[f"answered_{seconds}"] = window.answered
        figures[f"abandoned_{seconds}"] = window.abandoned
        figures[f"within_target_{seconds}"] = window.within
        figures[f"missed_target_{seconds}"] = window.missed
        speed = window.average_speed_of_answer
        figures[f"speed_{seconds}"] = None if speed is None else round(speed.total_seconds(), 6)
    return figures


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal, a mean to the microsecond: it is rounded once here and once there."""
    return one.keys() == other.keys() and all(
        abs(one[k] - other[k]) <= 2e-6
        if k.startswith("speed") and one[k] and other[k]
        else one[k] == other[k]
        for k in one
    )


def idle(figures: dict[str, Any]) -> bool:
    return not any(figures.values())


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, conversations=st.integers(1, 25), minute=st.integers(1, 60))
def test_figures_equal_a_batch_computation_in_every_order_the_log_allows(
    seed: int, conversations: int, minute: int
) -> None:
    random = Random(seed)
    told = story(random, conversations=conversations, span=SPAN)
    at = START + timedelta(minutes=minute)
    expected = batch(told, at)
    got = {tuple(level.key): plain(level) for level in folded(as_read(random, told)).at(at)}
    assert got.keys() >= expected.keys()
    wrong = [key for key in expected if not same(got[key], expected[key])]
    assert wrong == []
    assert all(idle(got[key]) for key in got.keys() - expected.keys())


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, minute=st.integers(1, 50))
def test_forgetting_what_is_over_changes_no_figure(seed: int, minute: int) -> None:
    random = Random(seed)
    told = story(random, conversations=15, span=timedelta(hours=3))
    kept, lean = folded(told), Levels()
    for event in told:
        fact = fact_of(event, {})
        if fact is not None:
            lean.add(fact)
            lean.forget(event.occurred_at)
    at = told[-1].occurred_at.replace(microsecond=0) + timedelta(minutes=minute)
    lean.forget(at)
    assert lean.at(at) == kept.at(at)
    assert len(lean) <= len(kept)
