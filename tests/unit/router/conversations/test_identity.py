"""This file proves whom a contact point is taken for, given what was shown before."""

from collections.abc import Iterable

from libs.contracts.ids import ContactId, ContactPointId, contact_id
from libs.contracts.vocabulary import IdentifierKind
from services.router.conversations.domain.identifiers import Evidence
from services.router.conversations.domain.identity import (
    MOST_EDGES,
    MOST_SHARING,
    Decision,
    Graph,
    Reason,
    decide,
)


def verified(value: str, kind: IdentifierKind = IdentifierKind.PHONE) -> Evidence:
    return Evidence(kind, value, verified=True)


def claimed(value: str, kind: IdentifierKind = IdentifierKind.PHONE) -> Evidence:
    return Evidence(kind, value, verified=False)


P, E = verified("+62811"), verified("a@b.id", IdentifierKind.EMAIL)
X1, X2 = (verified(value, IdentifierKind.EXTERNAL) for value in ("1", "2"))


class Book:
    """Contact points that come one after another."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.contacts: dict[str, ContactId] = {}

    def shows(self, point: str, *evidence: Evidence) -> Decision:
        decision = decide(ContactPointId(point), self.contacts.get(point), evidence, self.graph)
        for edge in decision.fresh:
            self.graph.add(edge)
        self.contacts[point] = decision.contact_id
        return decision

    def suggested(self, decision: Decision) -> set[tuple[ContactId, Reason]]:
        return {(one.other, one.reason) for one in decision.suggestions}


def con(point: str) -> ContactId:
    return contact_id(ContactPointId(point))


def test_contact_point_that_shows_nothing_known_is_its_own_contact() -> None:
    decision = Book().shows("a", P, E)
    assert (decision.contact_id, decision.linked_by, decision.suggestions) == (con("a"), (), ())
    assert {(edge.value, edge.contact_id) for edge in decision.fresh} == {
        (P.value, con("a")),
        (E.value, con("a")),
    }


def test_free_identifiers_of_a_linked_contact_point_belong_to_its_contact() -> None:
    book = Book()
    book.shows("a", P)
    book.shows("b", P, E)
    assert book.shows("c", E).contact_id == con("a")


def test_a_claim_never_links_whichever_side_makes_it() -> None:
    for first, second in ((P, claimed(P.value)), (claimed(P.value), P), (claimed(P.value), claimed(P.value))):
        book = Book()
        book.shows("a", first)
        decision = book.shows("b", second)
        assert (decision.contact_id, decision.linked_by) == (con("b"), ())
        assert book.suggested(decision) == {(con("a"), Reason.CLAIMED)}


def test_strongest_kind_decides_and_the_others_are_suggested() -> None:
    book = Book()
    book.shows("a", E)
    book.shows("b", P)
    book.shows("c", X1)
    decision = book.shows("d", E, P, X1)
    assert (decision.contact_id, decision.linked_by) == (con("c"), (X1,))
    assert book.suggested(decision) == {(con("a"), Reason.CONFLICTING), (con("b"), Reason.CONFLICTING)}


def test_another_id_in_the_owners_books_forbids_the_link() -> None:
    book = Book()
    book.shows("a", X1, P)
    decision = book.shows("b", X2, P)
    assert (decision.contact_id, book.suggested(decision)) == (con("b"), {(con("a"), Reason.CONFLICTING)})
    assert book.shows("c", X1, P).contact_id == con("a")
    assert book.shows("d", P).contact_id == con("a")


def test_claimed_id_in_the_owners_books_forbids_nothing() -> None:
    book = Book()
    book.shows("a", X1, P)
    assert book.shows("b", claimed("2", IdentifierKind.EXTERNAL), P).contact_id == con("a")


def test_known_contact_point_never_moves() -> None:
    book = Book()
    book.shows("a", P)
    book.shows("b", E)
    decision = book.shows("b", P)
    assert (decision.contact_id, book.suggested(decision)) == (con("b"), {(con("a"), Reason.CONFLICTING)})


def test_claim_that_is_verified_later_is_new_evidence() -> None:
    book = Book()
    book.shows("a", claimed(P.value))
    assert len(book.shows("a", P).fresh) == 1
    assert book.shows("b", P).contact_id == con("a")


def test_same_evidence_again_appends_nothing_and_decides_the_same() -> None:
    book = Book()
    book.shows("a", P)
    before = book.shows("b", P, E)
    book.shows("c", E, claimed(P.value))
    del book.contacts["b"]
    again = book.shows("b", P, E)
    assert (again.contact_id, again.linked_by, again.suggestions) == (
        before.contact_id,
        before.linked_by,
        before.suggestions,
    )
    assert again.fresh == ()


def names(prefix: str, count: int) -> Iterable[str]:
    return (f"{prefix}{number}" for number in range(count))


def test_what_many_claim_suggests_nothing_more() -> None:
    book = Book()
    for name in names("p", MOST_SHARING):
        book.shows(name, claimed(P.value))
    assert len(book.shows("q", claimed(P.value)).suggestions) == MOST_SHARING
    assert book.shows("r", claimed(P.value)).suggestions == ()


def test_what_everybody_shows_is_not_kept_for_ever_and_still_links_to_its_first_holder() -> None:
    book = Book()
    for name in names("p", MOST_EDGES):
        book.shows(name, P)
    decision = book.shows("q", P)
    assert (decision.contact_id, decision.fresh) == (con("p0"), ())


def test_many_claims_do_not_keep_the_owner_from_being_known() -> None:
    book = Book()
    for name in names("p", MOST_EDGES + 1):
        book.shows(name, claimed(P.value))
    book.shows("owner", P)
    assert book.shows("again", P).contact_id == con("owner")
