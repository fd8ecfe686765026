"""This file throws arbitrary and damaged bodies at every adapter: none of them may raise anything but Unparsable."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.contracts.envelope import MAX_VALUE_BYTES, decode
from libs.contracts.payloads.inbound import UnsupportedIngested
from libs.contracts.vocabulary import Channel
from services.ingest.channels.adapter import Unparsable
from services.ingest.channels.forming import kept_body
from services.ingest.records import record_of
from tests.unit.ingest.corpus import NOW, body, inbox, names, parse

CHANNELS = [Channel.WHATSAPP, Channel.TELEGRAM, Channel.CUSTOM, Channel.WEBCHAT]
OWN = {
    "items": [
        {"id": "1", "kind": "message", "from": {"address": "a", "identifiers": [{"kind": "phone", "value": "0812"}]}, "text": "x", "media": [{"url": "https://x.example"}], "location": {"latitude": 1, "longitude": 2}},
        {"id": "2", "kind": "receipt", "from": {"address": "a"}, "message_id": "m", "status": "failed", "error": {"code": 1}},
        {"id": "3", "kind": "edit", "from": {"address": "a"}, "message_id": "m", "text": "x"},
    ]
}  # fmt: skip
REAL: dict[Channel, list[Any]] = {
    Channel.WHATSAPP: [json.loads(body(name)) for name in names("whatsapp")],
    Channel.TELEGRAM: [json.loads(body(name)) for name in names("telegram")],
    Channel.CUSTOM: [OWN],
    Channel.WEBCHAT: [OWN],
}
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(), max_size=20),
    st.sampled_from(["", "\x00", "\ud800", "text", "message", "x" * 300, "-1", "0", "+62", "9" * 25]),
)
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(spot for key, child in inner for spot in spots(child, (*path, key)))]


def damaged(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """The same value with something else at one path."""
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = damaged(value[path[0]], path[1:], by)
    return copy


def goes_through(channel: Channel, content: bytes) -> None:
    """The body is refused as a whole, or every item of it fits the log and comes back from it."""
    try:
        items = parse(channel, content)
    except Unparsable as fault:
        items = kept_body(content, str(fault), inbox(channel), NOW)
    for item in items:
        record = record_of(item, workspace="w", traceparent="", received_at=NOW)
        assert len(record.value) <= MAX_VALUE_BYTES
        assert sum(len(name) + len(value) for name, value in record.headers) < 4_000
        assert b"\\u0000" not in record.value.replace(b"\\\\", b"")
        decode(record.key, record.value, record.headers)
        assert not (isinstance(item, UnsupportedIngested) and item.reason.startswith("the adapter failed")), (
            item.reason
        )


@pytest.mark.parametrize("channel", CHANNELS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(channel: Channel, content: bytes) -> None:
    goes_through(channel, content)


@pytest.mark.parametrize("channel", CHANNELS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=ANY)
def test_arbitrary_json_never_raises(channel: Channel, value: Any) -> None:
    goes_through(channel, json.dumps(value).encode())


@pytest.mark.parametrize("channel", CHANNELS)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_real_body_damaged_in_two_places_never_raises(channel: Channel, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(REAL[channel]))
    for _ in range(2):
        value = damaged(value, data.draw(st.sampled_from(spots(value))), data.draw(ANY))
    goes_through(channel, json.dumps(value).encode())


@pytest.mark.parametrize("channel", CHANNELS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_real_body_cut_short_never_raises(channel: Channel, data: st.DataObject) -> None:
    content = json.dumps(data.draw(st.sampled_from(REAL[channel]))).encode()
    goes_through(channel, content[: data.draw(st.integers(0, len(content)))])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wrong=ANY, place=st.integers(0, 3))
def test_whatever_stands_among_whatsapp_messages_the_others_go_through(wrong: Any, place: int) -> None:
    whole = json.loads(body("whatsapp/composed_three_messages_one_contact.json"))
    messages = whole["entry"][0]["changes"][0]["value"]["messages"]
    good = {message["id"] for message in messages}
    messages.insert(place, wrong)
    items = parse(Channel.WHATSAPP, json.dumps(whole).encode())
    assert len(items) == 4
    assert good <= {item.item_id for item in items if not isinstance(item, UnsupportedIngested)}
