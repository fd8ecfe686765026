"""From what an agent asks to the record on the log and the answer."""

import asyncio
import json
from typing import Any

import pytest

from libs.contracts.envelope import decode
from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import commands as w
from libs.contracts.payloads.base import Payload
from libs.contracts.vocabulary import AuthorKind
from libs.flow.database import DatabaseAway
from libs.flow.publisher import PublishFailed
from libs.flow.wire import Outgoing
from libs.service.auth import Principal, Role
from libs.service.problems import Problem
from libs.timesource import SystemTime
from services.desk.commands import orders
from services.desk.commands.desk import Commands, Told, body_of, read
from services.desk.commands.requests import BODIES, LONGEST_TEXT, TARGETS
from services.desk.domain.conversation import Conversation, Message
from services.desk.live.following import Live
from services.desk.live.hub import Hub
from tests.unit.desk.story import START, WORKSPACE, Talk, agent_changed
from tests.unit.desk.test_live import Desk

AYU = Principal("ayu", "toko", Role.AGENT, START)
DEWI = Principal("dewi", "toko", Role.AGENT, START)
RINA = Principal("rina", "toko", Role.SUPERVISOR, START)
BOT = Principal("helpbot", "toko", Role.SERVICE, START)


class Begun(Live):
    """A live view that is there."""

    def __init__(self, hub: Hub) -> None:
        self.answers, self._hub, self._restorer = hub.answers, hub, None


class Wire:
    """A publisher behind which a router answers."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.records = desk, list[Outgoing]()
        self.answer: list[Payload] = []
        self.away = False

    async def publish(self, records: list[Outgoing]) -> None:
        if self.away:
            raise PublishFailed("away")
        self.records += records
        name = self.events()[-1].envelope.name
        self.desk.say(*self.answer, cause=name)

    def events(self) -> list[Any]:
        return [decode(r.key, r.value, r.headers) for r in self.records]


class Counter:
    """Everything about commands, with a conversation that ayu holds."""

    def __init__(self, *, answer_within: float = 3.0) -> None:
        self.desk, self.talk = Desk(), Talk()
        self.desk.say(self.talk.opened(), self.talk.work(a.WorkAssigned, agent_id="ayu"))
        self.wire = Wire(self.desk)
        live = Begun(self.desk.hub)
        self.commands = Commands(
            orders.Orders(live, None, WORKSPACE),  # type: ignore[arg-type]
            self.wire,  # type: ignore[arg-type]
            SystemTime(),
            answer_within=answer_within,
        )

    async def ask(
        self, command: str, target: str = "cnv_1", who: Principal = AYU, key: str | None = "k1", **body: Any
    ) -> Told:
        return await self.commands.carry_out(who, command, target, body_of(command, json.dumps(body)), key)

    async def refused(self, command: str, target: str = "cnv_1", **more: Any) -> Problem:
        with pytest.raises(Problem) as raised:
            await self.ask(command, target, **more)
        return raised.value


@pytest.fixture(autouse=True)
def no_tables(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Conversation, tuple[Message, ...]]]:
    """What the projection would say about conversations that are not in memory."""
    rows: dict[str, tuple[Conversation, tuple[Message, ...]]] = {}

    async def conversations(_database: Any, ids: list[str]) -> dict[str, Any]:
        return {i: rows[i] for i in ids if i in rows}

    monkeypatch.setattr(orders, "conversations", conversations)
    return rows


async def test_a_command_becomes_one_record_named_by_its_key() -> None:
    counter = Counter()
    counter.wire.answer = [counter.talk.answered("baik")]
    told = await counter.ask("reply", text="baik")
    assert told.status == 200
    said = json.loads(told.body)
    assert (said["command_id"], said["status"]) == ("k1", "done")
    assert said["event"]["data"]["content"]["text"] == "baik"
    (event,) = counter.wire.events()
    assert event.envelope.name == "/desk/ayu#k1"
    assert event.envelope.correlation_id == "cnv_1"
    assert event.envelope.workspace == "toko"
    assert event.key == "cpt_1"
    assert event.data == w.SendReply(
        conversation_id="cnv_1", contact_point_id="cpt_1", content={"kind": "text", "text": "baik"},
        author={"kind": "agent", "agent_id": "ayu", "name": "Ayu"},
    )  # fmt: skip


COMMANDS: list[tuple[str, str, dict[str, Any], type[Payload], bytes]] = [
    (
        "reply",
        "cnv_1",
        {"content": {"kind": "text", "text": "x"}, "reply_to": "msg_1"},
        w.SendReply,
        b"cpt_1",
    ),
    ("note", "cnv_1", {"text": "x"}, w.AddNote, b"cpt_1"),
    ("resolve", "cnv_1", {"reason": "done"}, w.ResolveConversation, b"cpt_1"),
    ("snooze", "cnv_1", {"until": "2026-03-03T08:00:00+07:00"}, w.SnoozeConversation, b"cpt_1"),
    ("transfer", "cnv_1", {"queue": "billing"}, w.TransferConversation, b"cpt_1"),
    ("transfer", "cnv_1", {"agent_id": "budi"}, w.TransferConversation, b"cpt_1"),
    ("transfer", "cnv_1", {"skill": "refund", "level": 2}, w.TransferConversation, b"cpt_1"),
    ("transfer", "cnv_1", {"agent_id": "budi", "warm": True}, w.ConsultWork, b"support"),
    ("tags", "cnv_1", {"add": ["vip"]}, w.TagConversation, b"cpt_1"),
    ("priority", "cnv_1", {"priority": 5}, w.PrioritiseConversation, b"cpt_1"),
    ("presence", "", {"presence": "break", "reason": "makan"}, w.SetPresence, b"support"),
    ("accept", "rsv_1", {}, w.AcceptReservation, b"support"),
    ("decline", "rsv_1", {"reason": "x"}, w.DeclineReservation, b"support"),
    ("accept", "rsv_1", {"version": 3}, w.AcceptReservation, b"support"),
    ("complete", "wki_1", {}, w.CompleteWork, b"support"),
    ("next", "", {}, w.NextWork, b"support"),
    ("take", "wki_1", {}, w.TakeWork, b"support"),
]


@pytest.mark.parametrize(("command", "target", "body", "kind", "key"), COMMANDS)
async def test_every_command_goes_to_the_topic_and_key_of_its_kind(
    command: str, target: str, body: dict[str, Any], kind: type[Payload], key: bytes
) -> None:
    counter = Counter(answer_within=0.0)
    told = await counter.ask(command, target, **body)
    assert told.status == 202
    (record,) = counter.wire.records
    (event,) = counter.wire.events()
    assert isinstance(event.data, kind)
    assert record.key == key
    if command in TARGETS and TARGETS[command] != "conversation_id":
        assert getattr(event.data, TARGETS[command]) == target


async def test_a_warm_transfer_is_about_the_holder_and_names_who_ordered_it() -> None:
    counter = Counter(answer_within=0.0)
    asked: dict[str, Any] = {"skill": "refund", "level": 3, "warm": True}
    assert (await counter.ask("transfer", who=RINA, **asked)).status == 202
    (event,) = counter.wire.events()
    assert event.data == w.ConsultWork(
        agent_id="ayu",
        pool="support",
        work_item_id="wki_cnv_1_1",
        ordered_by="rina",
        skill="refund",
        level=3,
    )


async def test_a_warm_transfer_needs_somebody_who_holds_the_conversation() -> None:
    counter = Counter()
    counter.desk.say(counter.talk.work(a.WorkQueued))
    problem = await counter.refused("transfer", agent_id="budi", warm=True)
    assert (problem.status, problem.code) == (409, "not_held")
    problem = await counter.refused("transfer", "cnv_9", key="k2", agent_id="budi", warm=True)
    assert problem.status == 404


async def test_an_agent_has_no_work_of_another_pool_taken_over() -> None:
    problem = await Counter().refused("transfer", who=DEWI, agent_id="budi", warm=True)
    assert (problem.status, problem.code) == (403, "other_pool")


async def test_an_agent_commands_what_another_pool_lent_them() -> None:
    counter = Counter()
    assert (await counter.refused("note", who=DEWI, text="x")).code == "other_pool"
    counter.desk.say(counter.talk.work(a.WorkAssigned, agent_id="dewi", pool="finance"))
    counter.wire.answer = [counter.talk.noted("x", by="dewi")]
    assert (await counter.ask("note", who=DEWI, key="k2", text="x")).status == 200


@pytest.mark.parametrize(("agent_id", "pool"), [("dewi", "finance"), ("budi", "support")])
async def test_an_order_about_lent_work_goes_to_the_pool_whose_agent_is_to_have_it(
    agent_id: str, pool: str
) -> None:
    counter = Counter(answer_within=0.0)
    counter.desk.say(counter.talk.work(a.WorkAssigned, agent_id="dewi", pool="finance"))
    await counter.ask("force-assign", "wki_cnv_1_1", who=RINA, agent_id=agent_id)
    (event,) = counter.wire.events()
    assert (event.key, event.data.pool) == (pool, pool)


async def test_who_asked_for_work_is_told_which_it_is() -> None:
    counter = Counter()
    said = a.CommandAnswer(command_id="k1", code="ok", work_item_id="wki_7")
    counter.wire.answer = [agent_changed("ayu", 2, said)]
    told = await counter.ask("next", "")
    assert json.loads(told.body)["event"]["data"]["answer"]["work_item_id"] == "wki_7"


async def test_a_forced_assignment_goes_to_the_pool_of_the_work_and_names_who_ordered_it() -> None:
    counter = Counter(answer_within=0.0)
    assert (await counter.refused("force-assign", "wki_cnv_1_1", agent_id="budi")).status == 403
    assert (
        await counter.refused("force-assign", "wki_none", who=RINA, key="k2", agent_id="budi")
    ).status == 404
    problem = await counter.refused("force-assign", "wki_cnv_1_1", who=RINA, key="k3", agent_id="x")
    assert (problem.status, problem.code) == (404, "unknown_agent")
    assert (
        await counter.ask("force-assign", "wki_cnv_1_1", who=RINA, key="k4", agent_id="budi")
    ).status == 202
    (event,) = counter.wire.events()
    assert event.data == w.ForceAssign(
        agent_id="budi", pool="support", work_item_id="wki_cnv_1_1", ordered_by="rina"
    )


async def test_a_refusal_is_told_with_its_code_and_again_on_a_repeat() -> None:
    counter = Counter()
    counter.wire.answer = [counter.talk.refused("k1", "window_closed")]
    for _ in range(2):
        problem = await counter.refused("reply", text="x")
        assert (problem.status, problem.code) == (409, "window_closed")
        assert problem.extra == {"command_id": "k1"}
    assert len(counter.wire.records) == 1


async def test_an_agents_command_is_answered_by_its_own_answer_only() -> None:
    counter = Counter(answer_within=0.2)
    counter.wire.answer = [
        agent_changed("budi"),
        agent_changed("ayu", 2, a.CommandAnswer(command_id="k1", code="not_yours")),
    ]
    problem = await counter.refused("accept", "rsv_9")
    assert (problem.status, problem.code) == (409, "not_yours")


async def test_a_repeat_is_answered_without_another_record() -> None:
    counter = Counter()
    counter.wire.answer = [counter.talk.noted("x")]
    first = json.loads((await counter.ask("note", text="x")).body)
    again = json.loads((await counter.ask("note", text="x")).body)
    assert again == first | {"repeated": True}
    assert len(counter.wire.records) == 1


async def test_one_key_for_two_commands_is_a_mistake() -> None:
    counter = Counter(answer_within=0.0)
    await counter.ask("note", text="x")
    for command, body in (("note", {"text": "y"}), ("reply", {"text": "x"})):
        problem = await counter.refused(command, **body)
        assert (problem.status, problem.code) == (422, "key_reused")
    assert len(counter.wire.records) == 1


async def test_the_same_key_of_another_agent_is_another_command() -> None:
    counter = Counter(answer_within=0.0)
    await counter.ask("note", text="x")
    await counter.ask("note", who=RINA, text="y")
    assert {e.envelope.name for e in counter.wire.events()} == {"/desk/ayu#k1", "/desk/rina#k1"}


async def test_without_a_key_each_command_is_its_own() -> None:
    counter = Counter(answer_within=0.0)
    for _ in range(2):
        await counter.ask("note", key=None, text="x")
    names = [e.envelope.name for e in counter.wire.events()]
    assert len(set(names)) == 2


async def test_two_repeats_at_once_get_the_same_answer() -> None:
    counter = Counter()
    both = [asyncio.ensure_future(counter.ask("note", text="x")) for _ in range(2)]
    while len(counter.wire.records) < 2:
        await asyncio.sleep(0)
    counter.desk.say(counter.talk.noted("x"), cause="/desk/ayu#k1")
    one, two = await asyncio.gather(*both)
    assert json.loads(one.body)["event"] == json.loads(two.body)["event"]
    assert {e.envelope.name for e in counter.wire.events()} == {"/desk/ayu#k1"}, (
        "the kernel takes them as one"
    )


async def test_what_could_not_be_published_may_be_sent_again_under_the_same_key() -> None:
    counter = Counter(answer_within=0.0)
    counter.wire.away = True
    with pytest.raises(PublishFailed):
        await counter.ask("note", text="x")
    counter.wire.away = False
    assert (await counter.ask("note", text="x")).status == 202


async def test_another_pools_conversation_is_not_an_agents_to_command() -> None:
    counter = Counter(answer_within=0.0)
    problem = await counter.refused("note", who=DEWI, text="x")
    assert (problem.status, problem.code) == (403, "other_pool")
    assert (await counter.ask("note", who=RINA, text="x")).status == 202
    assert (await counter.ask("note", who=BOT, text="x")).status == 202
    assert [e.data.author.kind for e in counter.wire.events()] == [AuthorKind.AGENT, AuthorKind.BOT]


async def test_an_unknown_conversation_is_not_found_and_one_of_old_is(
    no_tables: dict[str, tuple[Conversation, tuple[Message, ...]]],
) -> None:
    counter = Counter(answer_within=0.0)
    assert (await counter.refused("note", "cnv_old", text="x")).status == 404
    known = counter.desk.view.open["cnv_1"].conversation
    assert known is not None
    no_tables["cnv_old"] = (known, ())
    assert (await counter.ask("note", "cnv_old", key="k2", text="x")).status == 202


@pytest.mark.parametrize("target", ["", "a b", "\0", "x" * 201, "../x", "é"])
async def test_an_id_that_nobody_gave_out_is_not_found(target: str) -> None:
    for command, body in (("note", {"text": "x"}), ("accept", {})):
        counter = Counter()
        assert (await counter.refused(command, target, **body)).status == 404
        assert counter.wire.records == []


async def test_an_agent_who_is_not_in_the_workspace_commands_nothing() -> None:
    counter = Counter(answer_within=0.0)
    gone = Principal("gone", "toko", Role.AGENT, START)
    for command, body in (("presence", {"presence": "available"}), ("note", {"text": "x"})):
        problem = await counter.refused(command, who=gone, key=None, **body)
        assert (problem.status, problem.code) == (403, "unknown_agent")


async def test_a_command_to_work_whose_conversation_is_still_on_its_way_is_taken() -> None:
    counter = Counter(answer_within=0.0)
    counter.desk.say(Talk("2").work(a.WorkAssigned, agent_id="ayu"))
    assert (await counter.ask("note", "cnv_2", text="x")).status == 202
    assert counter.wire.records[0].key == b"cpt_2"


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 129, "é", "a\n", "#"])
async def test_a_key_that_cannot_be_an_events_name_is_refused(key: str) -> None:
    assert (await Counter().refused("note", key=key, text="x")).code == "invalid_key"


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("reply", {}),
        ("reply", {"text": ""}),
        ("reply", {"text": "x", "content": {"kind": "text"}}),
        ("reply", {"text": "x" * (LONGEST_TEXT + 1)}),
        ("reply", {"content": {"kind": "hologram"}}),
        ("note", {"text": 7}),
        ("note", {"text": "x", "secret": True}),
        ("note", {"text": "a\0b"}),
        ("reply", {"content": {"kind": "text", "text": "x", "details": {"deep": [{"\0": 1}]}}}),
        ("snooze", {}),
        ("snooze", {"until": "tomorrow"}),
        ("snooze", {"until": "2026-03-03T08:00:00"}),
        ("transfer", {}),
        ("transfer", {"queue": "a", "agent_id": "b"}),
        ("transfer", {"queue": "a", "warm": True}),
        ("transfer", {"skill": "a", "level": 6}),
        ("accept", {"version": 0}),
        ("tags", {}),
        ("tags", {"add": ["x" * 65]}),
        ("presence", {"presence": "asleep"}),
        ("accept", {"x": 1}),
        ("force-assign", {}),
    ],
)
def test_a_body_that_does_not_fit_is_refused_by_field(command: str, body: dict[str, Any]) -> None:
    with pytest.raises(Problem) as refused:
        body_of(command, json.dumps(body))
    assert refused.value.status == 422
    assert refused.value.extra["errors"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 5000])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Problem) as refused:
        body_of("note", raw)
    assert refused.value.status == 422


def test_a_frame_says_the_same_as_a_request() -> None:
    command, target, body = read(
        {"type": "command", "id": "k", "command": "note", "conversation_id": "cnv_1", "text": "x"}
    )
    assert (command, target, body) == ("note", "cnv_1", BODIES["note"].model_validate({"text": "x"}))
    assert read({"command": "presence", "presence": "busy"})[1] == ""


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "command"},
        {"command": "fly"},
        {"command": ["note"]},
        {"command": "note", "text": "x"},
        {"command": "note", "conversation_id": 7, "text": "x"},
        {"command": "note", "conversation_id": "cnv_1"},
        {"command": "note", "conversation_id": "cnv_1", "text": "\ud800"},
        {"command": "note", "conversation_id": "cnv_1", "text": "x", "\ud800": 1},
    ],
)
async def test_a_frame_that_does_not_fit_is_answered_as_a_problem(frame: dict[str, Any]) -> None:
    told = await Counter().commands.from_frame(AYU, frame)
    assert told.status == 422
    assert json.loads(told.body)["status"] == 422


@pytest.mark.parametrize(
    ("fault", "code"), [(PublishFailed("x"), "broker_away"), (DatabaseAway("x"), "database_away")]
)
async def test_a_frame_during_an_outage_is_answered_503(
    fault: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter()

    async def away(*_: Any) -> None:
        raise fault

    monkeypatch.setattr(counter.wire, "publish", away)
    frame = {"id": "k", "command": "note", "conversation_id": "cnv_1", "text": "x"}
    told = await counter.commands.from_frame(AYU, frame)
    assert (told.status, json.loads(told.body)["code"]) == (503, code)
