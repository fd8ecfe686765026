"""This file lives recordings again under other policies, and counts what came of it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from libs.contracts.envelope import Envelope, Event
from libs.contracts.payloads.assignments import AgentChanged, WorkAssigned, WorkCancelled, WorkRequested
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.commands import Heartbeat, SetPresence
from libs.contracts.vocabulary import Channel, Presence
from libs.flow.recording import gather
from libs.workspace import Agent, Pool, Queue, Workspace
from services.router.replay import __main__ as command
from services.router.replay.handling import Handling, level_factors, patience
from services.router.replay.history import Answer, History, Item, Response, history
from services.router.replay.measures import Measures, busy_shares, jain, measure
from services.router.replay.what_if import WhatIf
from tests.unit.router.replay.test_replay import DEMO, demo, pools, workspace

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def adds_up(found: Measures) -> bool:
    return (
        found.answered + found.abandoned + found.open == found.requests
        and len(found.waits) == found.answered
        and list(found.waits) == sorted(found.waits)
        and 0 <= found.late <= found.due <= found.requests
        and found.affinity <= found.known
        and found.queue[-1][1] == found.open
        and all(length >= 0 for _, length in found.queue)
    )


def test_the_table_of_the_recording_and_of_two_policies_adds_up() -> None:
    columns = command.runs(demo(), workspace(), pools(auto_accept=True), seed=1)
    assert list(columns) == ["recorded", "same policy", "other policy"]
    assert all(map(adds_up, columns.values()))
    assert len({m.requests for m in columns.values()}) == 1
    assert columns["recorded"].answered == columns["recorded"].requests
    mean = {name: sum(m.waits, timedelta(0)) / len(m.waits) for name, m in columns.items()}
    assert mean["other policy"] < mean["same policy"]


def test_one_seed_is_one_what_if() -> None:
    one, other = (command.runs(demo(), workspace(), workspace(), seed=3) for _ in range(2))
    assert one == other
    assert one["same policy"] == one["other policy"]


# -- worked out by hand -----------------------------------------------------------------------------------------------


def centre(agents: int = 1, level: int = 3, *, auto_accept: bool = True) -> Workspace:
    return Workspace(
        "test",
        "v",
        queues={"q": Queue("q", "main", {"refund": 1})},
        pools={"main": Pool("main", auto_accept=auto_accept)},
        agents={f"a{n}": Agent(f"a{n}", "A", "main", {"refund": level}, (), 1) for n in range(agents)},
    )


def asked(name: str, at: int, **values: object) -> Item:
    begins = BEGIN + at * SECOND
    request = WorkRequested(
        work_item_id=name,
        conversation_id=f"cnv_{name}",
        contact_point_id=f"cpt_{name}",
        pool="main",
        queue="q",
        channel=Channel.WHATSAPP,
        skills={"refund": 1},
        requested_at=begins,
        due_at=begins + 15 * SECOND,
    )
    item = Item(request, Event(Envelope(name, "/t", request.type, begins), request, "main"))
    return replace(item, **values)  # type: ignore[arg-type]


def handled(name: str, at: int, held: int, seconds: int, agent: str = "a0") -> Item:
    since = BEGIN + held * SECOND
    ends = since + seconds * SECOND
    return asked(name, at, assigned_at=since, agent_id=agent, held_since=since, ended_at=ends)


def past(items: Sequence[Item], agents: int = 1, ends: int = 300) -> History:
    names = [f"a{n}" for n in range(agents)]
    told: list[tuple[int, SetPresence | Heartbeat]] = [
        (0, SetPresence(agent_id=name, pool="main", presence=Presence.AVAILABLE)) for name in names
    ]
    told += [(at, Heartbeat(agent_id=name, pool="main")) for at in range(15, ends, 15) for name in names]
    return History(
        items={item.request.work_item_id: item for item in items},
        presence=[
            Event(Envelope(f"c{n}", "/desk", what.type, BEGIN + at * SECOND), what, "main")
            for n, (at, what) in enumerate(told)
        ],
        begins=BEGIN,
        ends=BEGIN + ends * SECOND,
    )


def lived(history: History, before: Workspace, after: Workspace) -> list[Payload]:
    return [made.payload for made in WhatIf(history, Handling(history, before, 1), after).run()]


def assigned(emitted: Sequence[Payload]) -> dict[str, tuple[str, float]]:
    return {
        p.work_item_id: (p.agent_id, (p.occurred_at - BEGIN).total_seconds())
        for p in emitted
        if isinstance(p, WorkAssigned)
    }


def test_handle_times_are_those_recorded_and_the_next_begins_when_they_end() -> None:
    history = past([handled("1", 0, 0, 40), handled("2", 5, 40, 20)], agents=2)
    assert assigned(lived(history, centre(), centre())) == {"1": ("a0", 0), "2": ("a0", 40)}
    assert assigned(lived(history, centre(2), centre(2))) == {"1": ("a0", 0), "2": ("a1", 5)}


def test_what_raising_vips_would_have_changed_is_seen_in_a_recording_that_was_made_without() -> None:
    important = handled("3", 6, 60, 20)
    important = replace(important, request=important.request.model_copy(update={"vip": True}))
    history = past([handled("1", 0, 0, 40), handled("2", 5, 40, 20), important])
    plain, pool = centre(), Pool("main", auto_accept=True, vip_priority=2)
    raised = replace(plain, pools={"main": pool})
    assert [
        name for name, _ in sorted(assigned(lived(history, plain, plain)).items(), key=lambda a: a[1][1])
    ] == ["1", "2", "3"]
    assert assigned(lived(history, plain, raised)) == {"1": ("a0", 0), "3": ("a0", 40), "2": ("a0", 60)}


def test_who_gave_up_leaves_after_the_same_wait_unless_somebody_is_there_before() -> None:
    gone = asked("2", 5, given_up=True, ended_at=BEGIN + 25 * SECOND)
    history = past([handled("1", 0, 0, 40), gone], agents=2)
    found = measure(history, lived(history, centre(), centre()))
    assert (found.answered, found.abandoned, found.late, found.due) == (1, 1, 1, 2)
    assert found.queue[-2:] == ((BEGIN + 5 * SECOND, 1), (BEGIN + 25 * SECOND, 0))
    assert measure(history, lived(history, centre(2), centre(2))).abandoned == 0


def test_who_was_answered_waits_longer_than_recorded_only_by_the_patience_that_fits() -> None:
    gone = asked("2", 5, given_up=True, ended_at=BEGIN + 25 * SECOND)
    served = handled("1", 0, 10, 40)
    assert patience([gone, served]) == 30 * SECOND
    assert patience([served]) is None
    model = Handling(past([gone, served]), centre(), 1)
    leaves = model.leaves_after(served)
    assert leaves is not None
    assert leaves > 10 * SECOND
    assert model.leaves_after(gone) == 20 * SECOND
    assert Handling(past([served]), centre(), 1).leaves_after(served) is None


def test_work_takes_longer_with_an_agent_of_a_slower_level() -> None:
    history = past([handled(f"{n}", n, n, 100 if n % 2 else 50, f"a{n % 2}") for n in range(60)])
    both = replace(
        centre(2),
        agents={"a0": Agent("a0", "A", "main", {"refund": 5}), "a1": Agent("a1", "B", "main", {"refund": 2})},
    )
    model = Handling(history, both, 1)
    assert model.factors[2] / model.factors[5] == pytest.approx(2.0)
    fast = history.items["0"]
    assert model.time(fast, "a0", both) == 50 * SECOND
    assert model.time(fast, "a1", both).total_seconds() == pytest.approx(100.0)


def test_levels_with_few_samples_have_no_factor() -> None:
    assert level_factors([(1, SECOND)] * 19 + [(2, 4 * SECOND)] * 20).keys() == {2}


def test_offers_are_answered_as_the_agent_answered_others() -> None:
    history = past([handled("1", 0, 0, 40)])
    history.responses["a0"] = [Response(Answer.ACCEPTED, 7 * SECOND)]
    assert assigned(lived(history, centre(), centre(auto_accept=False))) == {"1": ("a0", 7)}


def test_who_misses_an_offer_is_back_when_they_were() -> None:
    history = past([handled("1", 0, 0, 40)])
    history.responses["a0"] = [Response(Answer.MISSED, 50 * SECOND)]
    emitted = lived(history, centre(), centre(auto_accept=False))
    back = [p for p in emitted if isinstance(p, AgentChanged) and p.presence is Presence.BUSY]
    assert next(p.reason for p in back) == "missed"
    times = [p.occurred_at for p in emitted if isinstance(p, AgentChanged) and p.load == 1]
    assert BEGIN + 50 * SECOND in times


def test_a_conversation_comes_back_no_sooner_than_its_work_before_has_ended() -> None:
    first, again = handled("1", 0, 0, 40), handled("2", 45, 45, 10)
    request = again.request.model_copy(update={"conversation_id": first.request.conversation_id})
    other = handled("0", 0, 0, 30)
    history = past([other, first, replace(again, request=request)])
    assert assigned(lived(history, centre(), centre())) == {"0": ("a0", 0), "1": ("a0", 30), "2": ("a0", 70)}


def test_who_still_waits_when_the_recording_ends_is_waited_for_as_long_again() -> None:
    items = [handled(str(n), 0, 0, 100) for n in range(5)]
    history = past(items, ends=140)
    found = measure(history, lived(history, centre(), centre()))
    assert (found.answered, found.open) == (3, 2)
    assert found.waits == (0 * SECOND, 100 * SECOND, 200 * SECOND)
    assert found.late == 4


def test_who_was_there_when_the_recording_began_is_there() -> None:
    """Nobody says so in a recording that begins late; the first state of each agent does."""
    comes = {
        r.offset for r in demo().of("agent-commands", 9) if b"set_presence" in dict(r.headers)["ce_type"]
    }
    records = [r for topic in demo().topics for r in demo().all(topic)]
    late = gather(r for r in records if r.topic != "agent-commands" or r.offset not in comes)
    past_of_it = history(late)
    told = [e.data for e in past_of_it.presence if isinstance(e.data, SetPresence)]
    assert {p.agent_id for p in told} == {"agen-01", "agen-02", "agen-03"}
    model = Handling(past_of_it, workspace(), 1)
    assert len(assigned([made.payload for made in WhatIf(past_of_it, model, workspace()).run()])) > 50


# -- measures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "wait"), [(0.5, 5), (0.9, 9), (0.99, 10), (0.0, 1)])
def test_percentiles_are_waits_that_somebody_had(share: float, wait: int) -> None:
    waits = tuple(n * SECOND for n in range(1, 11))
    found = Measures(10, 10, 0, waits, 0, 0, None, None, 0, 0, ())
    assert found.wait(share) == wait * SECOND
    assert replace(found, waits=()).wait(share) is None


def test_jains_index_is_one_for_equals_and_one_in_n_for_one_who_has_all() -> None:
    assert jain([0.4, 0.4, 0.4]) == pytest.approx(1.0)
    assert jain([0.9, 0.0, 0.0]) == pytest.approx(1 / 3)
    assert jain([0.0, 0.0]) == 1.0


def state(at: int, presence: Presence, load: int) -> AgentChanged:
    return AgentChanged(
        agent_id="a0",
        pool="main",
        presence=presence,
        load=load,
        capacity=2,
        version=1,
        occurred_at=BEGIN + at * SECOND,
    )


def test_busy_is_the_share_of_the_time_in_which_the_agent_was_there() -> None:
    states = [
        state(0, Presence.AVAILABLE, 0),
        state(10, Presence.AVAILABLE, 2),
        state(30, Presence.OFFLINE, 1),
        state(90, Presence.BUSY, 1),
    ]
    assert busy_shares(states, BEGIN + 100 * SECOND) == [pytest.approx(30 / 40)]
    assert busy_shares([state(0, Presence.OFFLINE, 0)], BEGIN + 9 * SECOND) == []


def test_who_gives_up_in_time_is_no_breach_and_not_in_its_base() -> None:
    history = past([asked("1", 0), asked("2", 0)])
    gone = [
        WorkCancelled(
            work_item_id=name,
            conversation_id="c",
            contact_point_id="p",
            pool="main",
            queue="q",
            version=2,
            occurred_at=BEGIN + at * SECOND,
            reason="gone",
        )
        for name, at in (("1", 15), ("2", 16))
    ]
    found = measure(history, gone)
    assert (found.abandoned, found.late, found.due) == (2, 1, 1)


# -- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    import typer

    app = typer.Typer()
    app.command()(command.main)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_the_command_says_zero_differences_and_ends_well() -> None:
    code, said = run(str(DEMO))
    assert code == 0
    assert "0 differences" in said


def other_policy(folder: Path) -> Path:
    document = yaml.safe_load((DEMO / "workspace.yaml").read_text())
    document["pools"]["layanan"]["auto_accept"] = True
    path = folder / "other.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_command_ends_badly_where_the_workspace_is_another(tmp_path: Path) -> None:
    code, said = run(str(DEMO), "--recorded", str(other_policy(tmp_path)))
    assert code == 1
    assert "name the workspace file of that time" in said


@pytest.mark.parametrize("form", ["png", "svg", "none"])
def test_another_policy_gives_a_table_and_a_plot(tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    code, said = run(str(DEMO), "--policy", str(other_policy(tmp_path)), "--out", str(out), "--plot", form)
    assert code == 0, said
    assert "wait p90 s" in said
    found = json.loads((out / "what-if.json").read_text())
    assert found["other policy"]["requests"] == found["recorded"]["requests"] > 100
    pictures = [path.name for path in out.iterdir() if path.suffix != ".json"]
    assert pictures == ([] if form == "none" else [f"what-if.{form}"])


def test_the_command_says_what_to_do_about_a_folder_that_is_no_recording(tmp_path: Path) -> None:
    code, said = run(str(tmp_path))
    assert code == 2
    assert "make record OUT=FOLDER" in said
