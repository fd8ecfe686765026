"""This file proves that whole batches come through, and that what is too large for a record is cut, not lost."""

import json
import random
from typing import Any

import pytest

from libs.contracts.envelope import MAX_VALUE_BYTES, decode
from libs.contracts.payloads.inbound import Item, MessageIngested, UnsupportedIngested
from libs.contracts.vocabulary import Channel
from services.ingest.channels.adapter import Unparsable
from services.ingest.channels.forming import KEPT_CHARACTERS, MAX_ITEMS, kept_body
from services.ingest.records import record_of
from tests.unit.ingest.corpus import NOW, body, inbox, names, parse, told

LISTS = ("messages", "statuses")


def real_items() -> list[tuple[str, dict[str, Any], list[Any]]]:
    """Every message and status of the corpus that names its customer itself, with the contacts that stood beside it."""
    found = []
    for name in names("whatsapp"):
        for entry in json.loads(body(name))["entry"]:
            for change in entry["changes"]:
                value = change["value"]
                if change.get("field") == "messages":
                    contacts = value.get("contacts", [])
                    found += [("statuses", raw, contacts) for raw in value.get("statuses", [])]
                    found += [
                        ("messages", raw, contacts) for raw in value.get("messages", []) if "from" in raw
                    ]
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", ["one change", "a change each", "an entry each"])
def test_a_batch_of_50_real_items_is_50_items(seed: int, shape: str) -> None:
    chosen = random.Random(seed).sample(real_items(), 50)
    changes = [
        {"field": "messages", "value": {kind: [raw], "contacts": contacts}} for kind, raw, contacts in chosen
    ]
    match shape:
        case "one change":
            value: dict[str, Any] = {name: [raw for kind, raw, _ in chosen if kind == name] for name in LISTS}
            value["contacts"] = [contact for _, _, contacts in chosen for contact in contacts]
            entries = [{"id": "1", "changes": [{"field": "messages", "value": value}]}]
        case "a change each":
            entries = [{"id": "1", "changes": changes}]
        case _:
            entries = [{"id": "1", "changes": [change]} for change in changes]
    items = parse(Channel.WHATSAPP, {"object": "whatsapp_business_account", "entry": entries})
    alone = [
        told(parse(Channel.WHATSAPP, {"entry": [{"id": "1", "changes": [change]}]})[0]).partition(" | ")[0]
        for change in changes
    ]
    assert len(items) == 50
    assert sorted(told(item).partition(" | ")[0] for item in items) == sorted(alone)


def texts(*bodies: str) -> dict[str, Any]:
    messages = [
        {
            "from": "6281234567890",
            "id": f"wamid.{n}",
            "timestamp": "1750030073",
            "type": "text",
            "text": {"body": words},
        }
        for n, words in enumerate(bodies)
    ]
    return {"entry": [{"id": "1", "changes": [{"field": "messages", "value": {"messages": messages}}]}]}


def read_back(item: Item) -> Item:
    record = record_of(item, workspace="w", traceparent="", received_at=NOW)
    assert len(record.value) <= MAX_VALUE_BYTES
    event = decode(record.key, record.value, record.headers)
    assert event.envelope.id == item.item_id
    assert isinstance(event.data, Item)
    return event.data


def test_a_thousand_updates_in_one_body_are_a_thousand_items() -> None:
    items = parse(Channel.WHATSAPP, texts(*["halo"] * 1000))
    assert [item.item_id for item in items] == [f"wamid.{n}" for n in range(1000)]


def test_a_body_of_more_items_than_any_provider_sends_is_no_body() -> None:
    assert len(parse(Channel.CUSTOM, {"items": [{}] * MAX_ITEMS})) == MAX_ITEMS
    with pytest.raises(Unparsable, match="more than"):
        parse(Channel.CUSTOM, {"items": [{}] * (MAX_ITEMS + 1)})


def test_a_message_with_its_raw_item_too_large_for_a_record_loses_the_end_of_the_raw_item_only() -> None:
    (item,) = parse(Channel.WHATSAPP, texts("é" * 300_000))
    found = read_back(item)
    assert isinstance(found, MessageIngested)
    assert found.content.text == "é" * 300_000
    assert set(found.raw) == {"cut", "bytes", "sha256"}


def test_a_message_too_large_by_itself_is_kept_as_unsupported_with_its_sender() -> None:
    (item,) = parse(Channel.WHATSAPP, texts("é" * 1_000_000))
    found = read_back(item)
    assert isinstance(found, UnsupportedIngested)
    assert found.reason.startswith("too large: ")
    assert (found.address, len(found.raw["cut"])) == ("6281234567890", KEPT_CHARACTERS)


@pytest.mark.parametrize("filling", [b"x", b"\x01", b"\x00", "é".encode(), b"\xff"])
def test_three_megabytes_of_anything_are_kept_in_one_record(filling: bytes) -> None:
    content = filling * (3_000_000 // len(filling))
    (item,) = kept_body(content, "no JSON", inbox(Channel.WHATSAPP), NOW)
    found = read_back(item)
    assert isinstance(found, UnsupportedIngested)
    assert found.raw["bytes"] == len(content)
    assert (
        found.item_id
        == kept_body(content, "no JSON", inbox(Channel.WHATSAPP), NOW.replace(hour=1))[0].item_id
    )
