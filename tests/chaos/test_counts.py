"""This file proves that the counts of a campaign can fail: each is shown a story with one thing wrong in it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from deploy.demo.ledger import Incoming, Ledger, Outgoing, Reply
from deploy.demo.organisation import CUSTOM, found
from libs.contracts.ids import ConversationId, clock_id
from libs.contracts.payloads.sla import ClockBreached, ClockEvent, ClockMet, ClockStarted, ClockWarned
from libs.contracts.vocabulary import Channel, Metric
from libs.workspace import Workspace
from tests.chaos.clocks import expected, fired
from tests.chaos.log import Log, Step
from tests.chaos.replies import replies
from tests.chaos.stores import numbers

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=10)
TALK = "cnv_1"
FIRST_RESPONSE = clock_id(ConversationId(TALK), Metric.FIRST_RESPONSE, 1)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """First response in 6 s, resolution in 60 s, warnings at half and at four fifths."""
    return found(tmp_path_factory.mktemp("workspace"), "http://127.0.0.1:9").workspace


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def step(kind: str, version: int, seconds: float, *, answer: bool = False) -> Step:
    queue = "umum" if kind in ("conversation.opened.v1", "conversation.reopened.v1") else None
    return Step(kind, version, after(seconds), queue, answer)


def story() -> Log:
    """Answered after 8 s, two too late, and resolved at once."""
    log = Log()
    log.conversations[TALK] = [
        step("conversation.opened.v1", 1, 0),
        step("message.received.v1", 2, 0),
        step("message.queued.v1", 3, 8, answer=True),
        step("conversation.resolved.v1", 4, 8),
    ]
    for metric, target in ((Metric.FIRST_RESPONSE, 6.0), (Metric.RESOLUTION, 60.0)):
        name = clock_id(ConversationId(TALK), metric, 1)
        told: list[ClockEvent] = [event(ClockStarted, name, metric, target, 0, target_seconds=target)]
        if metric is Metric.FIRST_RESPONSE:
            told += [event(ClockWarned, name, metric, target, target * s, fraction=s) for s in (0.5, 0.8)]
            told.append(event(ClockBreached, name, metric, target, target))
        told.append(event(ClockMet, name, metric, target, 8))
        log.clocks[name] = [one.model_copy(update={"version": n}) for n, one in enumerate(told, 1)]
    return log


def event(
    kind: type[ClockEvent], name: str, metric: Metric, target: float, seconds: float, **more: float
) -> ClockEvent:
    return kind(
        clock_id=name,
        conversation_id=TALK,
        contact_point_id="cpt_1",
        metric=metric,
        policy="standar",
        queue="umum",
        started_at=START,
        due_at=after(target),
        occurred_at=after(seconds),
        version=0,
        **more,
    )


def renumbered(events: list[ClockEvent]) -> list[ClockEvent]:
    return [one.model_copy(update={"version": number}) for number, one in enumerate(events, 1)]


def test_a_story_in_which_every_timer_fired_once_has_no_offender(workspace: Workspace) -> None:
    finding = fired(story(), workspace, NOW)
    assert finding.offenders == []
    assert finding.checked == 6


def without(kind: type[ClockEvent]) -> Callable[[list[ClockEvent]], list[ClockEvent]]:
    return lambda events: renumbered([one for one in events if not isinstance(one, kind)])


def doubled(kind: type[ClockEvent]) -> Callable[[list[ClockEvent]], list[ClockEvent]]:
    return lambda events: renumbered(
        [copy for one in events for copy in ([one, one] if isinstance(one, kind) else [one])]
    )


def stamped_late(events: list[ClockEvent]) -> list[ClockEvent]:
    late = timedelta(seconds=1)
    return [
        one.model_copy(update={"occurred_at": one.occurred_at + late})
        if isinstance(one, ClockBreached)
        else one
        for one in events
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without(ClockBreached), "0 breaches stand, 1 expected"),
        (doubled(ClockBreached), "2 breaches stand, 1 expected"),
        (without(ClockWarned), "0 warnings at 0.5"),
        (doubled(ClockWarned), "2 warnings at 0.8"),
        (stamped_late, "breach stamped 2026-03-02 08:00:07"),
        (lambda events: events[1:], "its events are numbered [2, 3, 4, 5]"),
        (lambda events: [], "no event"),
    ],
)
def test_a_timer_that_fired_wrongly_is_named(
    workspace: Workspace, change: Callable[[list[ClockEvent]], list[ClockEvent]], said: str
) -> None:
    log = story()
    log.clocks[FIRST_RESPONSE] = change(log.clocks[FIRST_RESPONSE])
    assert any(said in offender for offender in fired(log, workspace, NOW).offenders)


def test_a_breach_of_a_conversation_that_was_answered_exactly_at_the_deadline_is_named(
    workspace: Workspace,
) -> None:
    log = story()
    log.conversations[TALK][2] = step("message.queued.v1", 3, 6, answer=True)
    assert any("1 breaches stand, 0 expected" in told for told in fired(log, workspace, NOW).offenders)


def test_a_clock_that_nothing_started_is_named(workspace: Workspace) -> None:
    log = story()
    log.clocks["clk_stray"] = log.clocks[FIRST_RESPONSE]
    assert any("clk_stray" in offender for offender in fired(log, workspace, NOW).offenders)


def test_a_reopened_conversation_that_nobody_answered_has_new_clocks(workspace: Workspace) -> None:
    steps = [
        step("conversation.opened.v1", 1, 0),
        step("conversation.resolved.v1", 2, 4),
        # The message that reopened it was sent before it was resolved, and came after.
        step("conversation.reopened.v1", 3, 3),
    ]
    clocks = {
        (clock.clock_id, clock.started_at, clock.ended_at) for clock in expected(TALK, steps, workspace)
    }
    named = {
        (clock_id(ConversationId(TALK), metric, number), after(start), end and after(end))
        for metric in (Metric.FIRST_RESPONSE, Metric.RESOLUTION)
        for number, start, end in ((1, 0, 4), (3, 4, None))
    }
    assert clocks == named


@pytest.mark.parametrize("versions", [[1, 2, 4], [1, 2, 2, 3], [2, 1, 3], [2, 3]])
def test_a_gap_or_another_order_on_the_log_is_named(versions: list[int]) -> None:
    log = Log()
    log.conversations[TALK] = [step("message.received.v1", version, version) for version in versions]
    assert numbers(log, []).offenders == [f"{TALK} on the log: {versions}"]


def ledger_and_log(
    channel: Channel, *, said: int = 1, copies: int = 1, taken: str = "done"
) -> tuple[Ledger, Log]:
    ledger, log, text = Ledger(), Log(), "Sudah dikirim. (tiket 1)"
    ledger.said(Incoming(CUSTOM, "a", "1", "1", "Halo?", 0.0))
    ledger.replies[text] = Reply(TALK, "cpt_1", "agen-01", text, taken)
    if copies:
        ledger.outgoing[channel, "msg_1"] = Outgoing(channel, "msg_1", "a", text, "1", copies)
    log.replies[text] = said
    return ledger, log


@pytest.mark.parametrize(
    ("channel", "said", "copies", "taken", "broken", "repeated"),
    [
        (Channel.CUSTOM, 1, 1, "done", 0, 0),
        (Channel.CUSTOM, 1, 2, "done", 1, 0),
        (Channel.WEBCHAT, 1, 2, "done", 1, 0),
        (Channel.WHATSAPP, 1, 2, "done", 0, 1),
        (Channel.TELEGRAM, 1, 3, "", 0, 1),
        (Channel.WHATSAPP, 1, 0, "done", 1, 0),
        (Channel.WHATSAPP, 0, 0, "accepted", 1, 0),
        (Channel.WHATSAPP, 0, 0, "refused", 0, 0),
        (Channel.WHATSAPP, 0, 1, "refused", 1, 0),
        (Channel.WHATSAPP, 2, 2, "done", 1, 0),
    ],
)
def test_lost_and_doubled_replies_are_told_apart_from_those_that_may_be_repeated(
    channel: Channel, said: int, copies: int, taken: str, broken: int, repeated: int
) -> None:
    finding, again = replies(*ledger_and_log(channel, said=said, copies=copies, taken=taken))
    assert (len(finding.offenders), len(again)) == (broken, repeated)
