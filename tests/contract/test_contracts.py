"""This file proves that topics, types and examples agree, and that readers follow the reader rule."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2 as kafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts import registry
from libs.contracts.envelope import (
    BadPayload,
    Envelope,
    NotAnEvent,
    UnknownType,
    decode,
    decode_envelope,
    decode_payload,
    encode_headers,
    encode_value,
)
from libs.contracts.topics import murmur2, topic_map, topic_of_type
from libs.contracts.vocabulary import Channel, MessageStatus
from libs.flow.wire import Outgoing, pack, unpack
from tools.topics_page import PAGE, page

EXAMPLES = Path("libs/contracts/examples")


def example(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return loaded


def test_every_type_has_an_example_and_every_example_a_type() -> None:
    assert {p.stem for p in EXAMPLES.iterdir()} == set(registry.all_models()) == set(topic_of_type())


@pytest.mark.parametrize("name", sorted(registry.all_models()))
def test_an_example_survives_the_wire_unchanged(name: str) -> None:
    raw = example(name)
    payload = decode_payload(name, json.dumps(raw["data"]).encode())
    assert decode_payload(name, encode_value(payload)) == payload
    envelope = Envelope(**raw["envelope"] | {"time": datetime.fromisoformat(raw["envelope"]["time"])})
    event = decode(b"key", encode_value(payload), encode_headers(envelope))
    assert (event.envelope, event.data) == (envelope, payload)


@pytest.mark.parametrize("name", sorted(registry.all_models()))
def test_a_reader_ignores_fields_that_it_does_not_know(name: str) -> None:
    raw = example(name)["data"]
    assert decode_payload(name, json.dumps(raw | {"added_later": {"x": [1]}}).encode()) == decode_payload(
        name, json.dumps(raw).encode()
    )


def test_a_word_from_a_newer_writer_reads_as_unknown() -> None:
    assert Channel("carrier_pigeon") is Channel.UNKNOWN
    assert MessageStatus("shredded") is MessageStatus.UNKNOWN


def test_a_bad_payload_names_the_field_and_what_was_expected() -> None:
    with pytest.raises(BadPayload, match=r"heartbeat\.v1: pool: Field required"):
        decode_payload("heartbeat.v1", b'{"agent_id": "a"}')
    with pytest.raises(UnknownType, match=r"order\.shipped"):
        decode_payload("order.shipped.v9", b"{}")
    for body in (b"", b"\xff\xfe", b"[" * 3_000_000, b'{"a":' * 100_000, None):
        with pytest.raises(BadPayload):
            decode_payload("heartbeat.v1", body)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("ce_id", b"1")],
        [("ce_id", b"\xff"), ("ce_source", b"s"), ("ce_type", b"t"), ("ce_time", b"2026-01-01T00:00:00Z")],
        [("ce_id", b"1"), ("ce_source", b"s"), ("ce_type", b"t"), ("ce_time", b"yesterday")],
        [("ce_id", b"1"), ("ce_source", b"s"), ("ce_type", b"t"), ("ce_time", b"2026-01-01T00:00:00")],
        [
            ("ce_id", b"1"),
            ("ce_source", b"s"),
            ("ce_type", b"t"),
            ("ce_time", b"2026-01-01T00:00:00Z"),
            ("ce_sequence", b"x"),
        ],
        [("ce_id", None), ("ce_source", b"s"), ("ce_type", b"t"), ("ce_time", b"2026-01-01T00:00:00Z")],
    ],
)
def test_a_record_that_is_no_event_is_told_apart(headers: list[tuple[str, Any]]) -> None:
    with pytest.raises(NotAnEvent):
        decode_envelope(headers)


@given(st.binary(max_size=80))
def test_our_partitioner_is_kafkas(key: bytes) -> None:
    assert murmur2(key) & 0xFFFFFFFF == kafka_murmur2(key) & 0xFFFFFFFF


@given(
    st.lists(
        st.tuples(
            st.text(max_size=5),
            st.integers(0, 99),
            st.binary(),
            st.binary(),
            st.lists(st.tuples(st.text(), st.binary()), max_size=3),
        ),
        max_size=4,
    )
)
def test_packed_records_come_back_as_they_were(raw: list[Any]) -> None:
    records = [Outgoing(*fields) for fields in raw]
    assert unpack(pack(records)) == records


def test_the_page_of_topics_is_current() -> None:
    assert PAGE.read_text() == page()


def test_each_topic_says_who_writes_and_who_reads() -> None:
    for topic in topic_map().topics.values():
        assert topic.producer
        assert topic.consumers
        assert topic.types


def test_envelope_times_are_utc_on_the_wire() -> None:
    envelope = Envelope(id="1", source="/s", type="heartbeat.v1", time=datetime(2026, 3, 2, 8, tzinfo=UTC))
    assert dict(encode_headers(envelope))["ce_time"] == b"2026-03-02T08:00:00+00:00"
