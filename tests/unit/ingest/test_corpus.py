"""This file proves that every real body becomes what the golden file says, and nothing that the log cannot hold."""

import json

import pytest

from libs.contracts.envelope import decode
from libs.contracts.vocabulary import Channel
from services.ingest.channels import ADAPTERS
from services.ingest.channels.adapter import RawRequest, Unparsable
from services.ingest.channels.forming import kept_body
from services.ingest.records import record_of
from tests.unit.ingest.corpus import GOLDEN, NOW, PAYLOADS, body, inbox, kinds, names, parse, told

ALL = names("whatsapp") + names("telegram")
MALFORMED = sorted(path.name for path in (PAYLOADS / "whatsapp").glob("malformed_*[0-9].txt"))


def test_every_real_body_becomes_what_the_golden_file_says() -> None:
    assert kinds() == json.loads(GOLDEN.read_text())


def test_the_corpus_is_whole() -> None:
    assert (len(names("whatsapp")), len(names("telegram")), len(MALFORMED)) == (189, 63, 8)


@pytest.mark.parametrize("name", ALL)
def test_every_real_body_is_at_least_one_item(name: str) -> None:
    assert parse(Channel(name.partition("/")[0]), body(name))


@pytest.mark.parametrize("name", ALL)
def test_every_item_comes_back_from_its_record_unchanged(name: str) -> None:
    for item in parse(Channel(name.partition("/")[0]), body(name)):
        record = record_of(item, workspace="w", traceparent="", received_at=NOW)
        event = decode(record.key, record.value, record.headers)
        assert event.data == item
        assert (event.envelope.source, event.envelope.id) == (f"/ingest/{item.inbox_id}", item.item_id)
        assert event.key == item.contact_point_id


@pytest.mark.parametrize("name", ALL)
def test_the_same_body_later_has_the_same_item_ids_and_contact_points(name: str) -> None:
    channel = Channel(name.partition("/")[0])
    later = RawRequest(body(name), NOW.replace(hour=9))
    again = ADAPTERS[channel].parse(later, inbox(channel))
    first = parse(channel, body(name))
    assert [(i.item_id, i.contact_point_id) for i in first] == [
        (i.item_id, i.contact_point_id) for i in again
    ]


@pytest.mark.parametrize("name", MALFORMED)
def test_a_published_body_that_is_no_json_is_kept_whole(name: str) -> None:
    content = body(f"whatsapp/{name}")
    with pytest.raises(Unparsable) as fault:
        parse(Channel.WHATSAPP, content)
    (item,) = kept_body(content, str(fault.value), inbox(Channel.WHATSAPP), NOW)
    assert item.raw["body"] == content.decode()
    assert told(item).startswith("unsupported: no JSON")
