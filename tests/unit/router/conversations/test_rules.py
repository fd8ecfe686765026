"""This file proves who may command, when a reply may go out, where a transfer leads, and what becomes of tags."""

from datetime import timedelta

import pytest

from libs.contracts.vocabulary import AuthorKind, Channel, ConversationState
from libs.workspace import Agent, Workspace
from services.router.conversations.domain.authority import refuse_author
from services.router.conversations.domain.queueing import Destination, Wish, destination, queue_of
from services.router.conversations.domain.refusal import Code, Refusal
from services.router.conversations.domain.reply import refuse_reply, refuse_snooze
from services.router.conversations.domain.tags import change_tags
from tests.unit.router.conversations.examples import HOUR, NOON, WORKSPACE, conversation

DAY = timedelta(days=1)


def code(refusal: object) -> Code | None:
    return refusal.code if isinstance(refusal, Refusal) else None


@pytest.mark.parametrize(
    ("kind", "agent", "holder", "refused"),
    [
        (AuthorKind.AGENT, "ayu", "ayu", None),
        (AuthorKind.AGENT, "budi", "ayu", Code.NOT_YOURS),
        (AuthorKind.AGENT, "hendra", "ayu", None),
        (AuthorKind.AGENT, "budi", None, None),
        (AuthorKind.AGENT, "gani", None, Code.NOT_YOURS),
        (AuthorKind.AGENT, "gani", "gani", None),
        (AuthorKind.AGENT, "stranger", None, Code.UNKNOWN_AGENT),
        (AuthorKind.AGENT, None, None, Code.UNKNOWN_AGENT),
        (AuthorKind.BOT, None, "ayu", None),
        (AuthorKind.SYSTEM, None, "ayu", None),
        (AuthorKind.CUSTOMER, None, None, Code.NOT_ALLOWED),
        (AuthorKind.UNKNOWN, "ayu", "ayu", Code.NOT_ALLOWED),
    ],
)
def test_authority(kind: AuthorKind, agent: str | None, holder: str | None, refused: Code | None) -> None:
    assert code(refuse_author(kind, agent, conversation(agent_id=holder), WORKSPACE.agents)) is refused


@pytest.mark.parametrize(
    ("channel", "after", "refused"),
    [
        (Channel.WHATSAPP, DAY, None),
        (Channel.WHATSAPP, DAY + timedelta(microseconds=1), Code.WINDOW_CLOSED),
        (Channel.WHATSAPP, -HOUR, None),
        (Channel.TELEGRAM, 90 * DAY, None),
        (Channel.WEBCHAT, 90 * DAY, None),
    ],
)
def test_reply_window_is_the_channels(channel: Channel, after: timedelta, refused: Code | None) -> None:
    assert code(refuse_reply(conversation(channel=channel), "ya", False, NOON + after)) is refused


def test_customer_who_never_wrote_has_opened_no_window() -> None:
    assert code(refuse_reply(conversation(customer_wrote_at=None), "ya", False, NOON)) is Code.WINDOW_CLOSED


def test_picture_without_words_is_a_reply() -> None:
    assert code(refuse_reply(conversation(), "", True, NOON)) is None
    assert code(refuse_reply(conversation(), "\n", False, NOON)) is Code.EMPTY


@pytest.mark.parametrize(
    ("state", "until", "refused"),
    [
        (ConversationState.OPEN, NOON + HOUR, None),
        (ConversationState.SNOOZED, NOON + HOUR, None),
        (ConversationState.RESOLVED, NOON + HOUR, Code.RESOLVED),
        (ConversationState.OPEN, NOON, Code.UNTIL_PAST),
        (ConversationState.OPEN, NOON + 366 * DAY, None),
        (ConversationState.OPEN, NOON + 367 * DAY, Code.UNTIL_FAR),
    ],
)
def test_snooze_ends_in_the_future_and_within_a_year(
    state: ConversationState, until: object, refused: Code | None
) -> None:
    assert code(refuse_snooze(conversation(state), until, NOON)) is refused  # type: ignore[arg-type]


def test_transfer_to_an_agent_of_the_pool_stays_in_its_queue() -> None:
    assert destination(WORKSPACE, conversation(), Wish(agent_id="budi")) == Destination(
        WORKSPACE.queues["umum"], "budi"
    )


def test_transfer_to_an_agent_who_serves_every_queue_of_another_pool_takes_the_first() -> None:
    everywhere = Agent("wati", "Wati", "logistik")
    workspace = Workspace("t", queues=WORKSPACE.queues, pools=WORKSPACE.pools, agents={"wati": everywhere})
    assert destination(workspace, conversation(), Wish(agent_id="wati")) == Destination(
        WORKSPACE.queues["gudang"], "wati"
    )


def test_transfer_to_an_agent_who_serves_nothing_is_refused() -> None:
    nowhere = Agent("wati", "Wati", "kosong")
    workspace = Workspace("t", queues=WORKSPACE.queues, agents={"wati": nowhere})
    assert code(destination(workspace, conversation(), Wish(agent_id="wati"))) is Code.NO_QUEUE


def test_queue_that_is_gone_gives_way_to_the_inboxes_and_that_to_none() -> None:
    gone = conversation(queue="gone")
    assert queue_of(WORKSPACE, gone) == WORKSPACE.queues["umum"]
    assert queue_of(Workspace("t"), gone) is None


@pytest.mark.parametrize(
    ("add", "remove", "left"),
    [
        (("b", "a"), (), ("vip", "b", "a")),
        (("vip",), (), ("vip",)),
        ((" b   c ", "", "b c"), (), ("vip", "b c")),
        (("b",), ("b", "vip"), ()),
        ((), ("never",), ("vip",)),
    ],
)
def test_tags_keep_their_order_and_are_there_once(
    add: tuple[str, ...], remove: tuple[str, ...], left: tuple[str, ...]
) -> None:
    assert change_tags(("vip",), add, remove) == left
