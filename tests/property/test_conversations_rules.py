"""This file searches for orders of events in which receipts, threading or identity would come out differently."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.ids import ContactId, ContactPointId
from libs.contracts.vocabulary import ConversationState, IdentifierKind, MessageStatus
from services.router.conversations.domain.conversation import (
    ContactPoint,
    Conversation,
    begin,
    hear,
    reopen,
    resolve,
    snooze,
)
from services.router.conversations.domain.identifiers import Evidence, email, phone
from services.router.conversations.domain.identity import Graph, decide
from services.router.conversations.domain.receipts import RANK, join
from services.router.conversations.domain.tags import change_tags
from services.router.conversations.domain.threading import Place, place_of_message
from tests.unit.router.conversations.examples import NOON, contact_point

STATUSES = st.lists(st.sampled_from(list(MessageStatus)), max_size=12)
DAY = timedelta(days=1)


@settings(deadline=None)
@given(heard=STATUSES, data=st.data())
def test_any_order_and_repetition_of_receipts_ends_the_same(
    heard: list[MessageStatus], data: st.DataObject
) -> None:
    def end(statuses: list[MessageStatus]) -> MessageStatus | None:
        known: MessageStatus | None = None
        for status in statuses:
            known = join(known, status)
        return known

    again = data.draw(st.permutations(heard + data.draw(st.lists(st.sampled_from(heard))) if heard else []))
    assert end(heard) == end(list(again))


@settings(deadline=None)
@given(heard=STATUSES)
def test_what_is_published_of_a_message_only_moves_up(heard: list[MessageStatus]) -> None:
    told: list[MessageStatus] = []
    for status in heard:
        known = told[-1] if told else None
        if (after := join(known, status)) is not known and after is not None:
            told.append(after)
    assert all(RANK[lower] < RANK[higher] for lower, higher in pairwise(told))


STEPS = st.lists(
    st.tuples(st.sampled_from(["message", "resolve", "snooze"]), st.integers(-72, 72)),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(steps=STEPS)
def test_messages_late_or_in_time_leave_at_most_one_conversation_that_is_not_resolved(
    steps: list[tuple[str, int]],
) -> None:
    point: ContactPoint = contact_point()
    all_of_them: dict[str, Conversation] = {}
    latest: Conversation | None = None
    for what, hours in steps:
        at = NOON + timedelta(hours=hours)
        if what == "message":
            match place_of_message(latest, at, DAY):
                case Place.BEGIN:
                    point, latest = begin(point, latest, queue="q", pool="p", at=at)
                case Place.REOPEN if latest is not None:
                    latest = reopen(latest, queue="q", pool="p", at=latest.no_earlier(at))
                case _:
                    pass
            assert latest is not None
            latest = hear(latest, at)
            assert latest.state is ConversationState.OPEN
        elif latest is not None and latest.state is not ConversationState.RESOLVED:
            moment = latest.no_earlier(at)
            latest = (
                resolve(latest, moment)
                if what == "resolve"
                else snooze(latest, until=moment + DAY, at=moment)
            )
        if latest is not None:
            before = all_of_them.get(latest.conversation_id)
            assert before is None or before.changed_at <= latest.changed_at
            all_of_them[latest.conversation_id] = latest
    live = [c for c in all_of_them.values() if c.state is not ConversationState.RESOLVED]
    assert len(live) <= 1
    assert sorted(c.number for c in all_of_them.values()) == list(range(1, point.conversations + 1))
    heard = [NOON + timedelta(hours=hours) for what, hours in steps if what == "message"]
    assert latest is None or latest.customer_wrote_at == max(heard)


EVIDENCE = st.builds(
    Evidence,
    kind=st.sampled_from([IdentifierKind.PHONE, IdentifierKind.EMAIL, IdentifierKind.EXTERNAL]),
    value=st.sampled_from("abc"),
    verified=st.booleans(),
)
PEOPLE = st.lists(st.sets(EVIDENCE, max_size=4), min_size=1, max_size=6)


def settled(
    people: list[tuple[int, set[Evidence]]],
) -> tuple[dict[int, ContactId], set[frozenset[ContactId]]]:
    """Contact points in an order: contact of each, and the pairs of contacts that were suggested."""
    graph, contacts, suggested = Graph(), dict[int, ContactId](), set[frozenset[ContactId]]()
    for number, shown in people:
        decision = decide(ContactPointId(f"p{number}"), None, shown, graph)
        for edge in decision.fresh:
            graph.add(edge)
        contacts[number] = decision.contact_id
        suggested |= {frozenset((decision.contact_id, one.other)) for one in decision.suggestions}
    return contacts, suggested


def components(people: list[set[Evidence]], *, verified_only: bool) -> set[frozenset[int]]:
    """Which contact points hang together by equal identifiers."""
    groups = [{number} for number in range(len(people))]
    for number, shown in enumerate(people):
        for other in range(number):
            mine, theirs = (
                {(one.kind, one.value) for one in evidence if one.verified or not verified_only}
                for evidence in (shown, people[other])
            )
            if mine & theirs:
                first = next(group for group in groups if number in group)
                second = next(group for group in groups if other in group)
                if first is not second:
                    groups.remove(second)
                    first |= second
    return {frozenset(group) for group in groups}


@settings(deadline=None)
@given(people=PEOPLE, data=st.data())
def test_equal_identifiers_are_linked_or_suggested_in_any_order(
    people: list[set[Evidence]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(list(enumerate(people))))
    contacts, suggested = settled(order)
    names = sorted(set(contacts.values()))
    groups = {frozenset({name}) for name in names}
    for pair in suggested:
        joined = {group for group in groups if group & pair}
        groups = (groups - joined) | {frozenset().union(*joined)}
    reached = {frozenset(n for n, contact in contacts.items() if contact in group) for group in groups}
    assert reached == components(people, verified_only=False)


@settings(deadline=None)
@given(people=PEOPLE, data=st.data())
def test_nobody_is_linked_but_by_verified_identifiers(
    people: list[set[Evidence]], data: st.DataObject
) -> None:
    contacts, _ = settled(data.draw(st.permutations(list(enumerate(people)))))
    together = components(people, verified_only=True)
    for one, contact in contacts.items():
        for other, theirs in contacts.items():
            if contact == theirs:
                assert any({one, other} <= group for group in together)


@settings(deadline=None)
@given(people=PEOPLE)
def test_one_contact_has_no_two_ids_in_the_owners_books_unless_one_contact_point_shows_both(
    people: list[set[Evidence]],
) -> None:
    single = [
        {e for e in shown if e.kind is not IdentifierKind.EXTERNAL}
        | set(sorted((e for e in shown if e.kind is IdentifierKind.EXTERNAL and e.verified), key=str)[:1])
        for shown in people
    ]
    contacts, _ = settled(list(enumerate(single)))
    books: dict[ContactId, set[str]] = {}
    for number, shown in enumerate(single):
        ids = {one.value for one in shown if one.kind is IdentifierKind.EXTERNAL}
        books.setdefault(contacts[number], set()).update(ids)
    assert all(len(ids) <= 1 for ids in books.values())


@settings(deadline=None)
@given(people=PEOPLE, data=st.data())
def test_decision_made_again_at_any_later_time_is_the_same(
    people: list[set[Evidence]], data: st.DataObject
) -> None:
    """As after a crash between the append and the commit, whatever others appended meanwhile."""
    graph, point, chosen = Graph(), ContactPointId("p"), data.draw(st.integers(0, len(people) - 1))
    mine = people[chosen]
    first = None
    for number, shown in enumerate(people):
        name = point if number == chosen else ContactPointId(f"p{number}")
        decision = decide(name, None, shown, graph)
        first = decision if number == chosen else first
        for edge in decision.fresh:
            graph.add(edge)
    again = decide(point, None, mine, graph)
    assert first is not None
    assert replace(again, fresh=first.fresh) == first
    assert again.fresh == ()


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_reading_of_identifiers(text: str) -> None:
    for region in ("ID", "US", "ZZ"):
        number = phone(text, region)
        assert number is None or phone(number, "ID") == number
    mailbox = email(text)
    assert mailbox is None or email(mailbox) == mailbox


@settings(deadline=None)
@given(
    tags=st.lists(st.text(max_size=5), max_size=5),
    add=st.lists(st.text(max_size=5)),
    remove=st.lists(st.text()),
)
def test_tags_are_unique_and_never_empty(tags: list[str], add: list[str], remove: list[str]) -> None:
    start = change_tags((), tags, ())
    assert isinstance(start, tuple)
    after = change_tags(start, add, remove)
    if isinstance(after, tuple):
        assert len(set(after)) == len(after)
        assert all(tag.strip() == tag and tag for tag in after)
