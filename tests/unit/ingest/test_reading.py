"""This file proves that nothing that a body may hold breaks what reads it, the log or the database."""

import json
from typing import Any

import pytest

from libs.contracts.vocabulary import Channel
from services.ingest.channels.adapter import Unparsable
from services.ingest.channels.forming import key_of, phone_identifier
from services.ingest.channels.reading import (
    MAX_DEPTH,
    integer_of,
    json_of,
    name_of,
    number_of,
    storable,
    unix_time,
    word_of,
    written_time,
)
from services.ingest.records import record_of
from tests.unit.ingest.corpus import NOW, parse


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_three_megabytes_of_nesting_are_no_body(opening: bytes) -> None:
    with pytest.raises(Unparsable, match="nested too deep"):
        json_of(opening * (3_000_000 // len(opening)))


@pytest.mark.parametrize("depth", [MAX_DEPTH, 150, 199, 250, 700])
def test_what_is_nested_too_deep_for_readers_stays_as_text(depth: int) -> None:
    found = json_of(b'{"a":' * depth + b'"x"' + b"}" * depth)
    assert depth_of(found) <= MAX_DEPTH
    if depth > MAX_DEPTH:
        assert '"x"' in json.dumps(found) or '\\"x' in json.dumps(found)


@pytest.mark.parametrize(
    "wrong", [b"", b"halo", b"{", b'{"a":NaN}', b'{"a":Infinity}', b"\xff\xfe\x00", b'{"a":1}{}', b"9" * 5000]
)
def test_what_is_no_json_is_no_body(wrong: bytes) -> None:
    with pytest.raises(Unparsable):
        json_of(wrong)


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b'"a\\u0000b"', "a\ufffdb"),
        (b'"a\\ud800b"', "a\ufffdb"),
        (b'"a\\udc00\\ud800b"', "a\ufffd\ufffdb"),
        (b'"\\ud83d\\udc4d"', "\N{THUMBS UP SIGN}"),
        (b'"\xff"', "\ufffd"),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"\\u0000":["\\ud800",{"b":"\\u0000"}]}', {"\ufffd": ["\ufffd", {"b": "\ufffd"}]}),
    ],
)
def test_what_cannot_be_stored_is_replaced(raw: bytes, read: Any) -> None:
    found = json_of(raw)
    assert found == read
    json.dumps(found, ensure_ascii=False).encode()


def test_a_number_too_large_for_a_float_is_null_on_the_log() -> None:
    (item,) = parse(Channel.TELEGRAM, b'{"update_id":1,"poll":{"a":1e999}}')
    assert item.raw["poll"]["a"] == float("inf")
    record = record_of(item, workspace="w", traceparent="", received_at=NOW)
    assert json.loads(record.value)["raw"]["poll"] == {"a": None}


def test_storable_leaves_everything_else_alone() -> None:
    value = {"a": [1, 2.5, True, None, "é👍\n"], "b": {}}
    assert storable(value) == value


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("x", "x"),
        (" x ", "x"),
        (5, "5"),
        (-100, "-100"),
        (0, "0"),
        ("", None),
        (True, None),
        (1.5, None),
        (None, None),
        ([], None),
        ("x" * 201, None),
        (1 << 64, None),
    ],
)
def test_a_word_is_short_and_not_empty(value: object, word: str | None) -> None:
    assert word_of(value) == word


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        ("-5", None),
        ("٥", None),
        ("", None),
        (True, None),
        (5.0, None),
        (1 << 63, None),
        ("9" * 30, None),
    ],
)
def test_an_integer_fits_64_bits(value: object, number: int | None) -> None:
    assert integer_of(value) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        (1.5, 1.5),
        ("1", None),
        (True, None),
        (10**400, None),
        (float("inf"), None),
        (float("nan"), None),
    ],
)
def test_a_number_is_finite(value: object, number: float | None) -> None:
    assert number_of(value) == number


def test_a_name_is_cut_where_it_is_too_long() -> None:
    assert name_of("x" * 1000) == "x" * 200
    assert name_of("  ") is None


@pytest.mark.parametrize(
    "value", ["2026-11-19T10:00:00+07:00", "2026-11-19T03:00:00Z", "1795057200", 1795057200]
)
def test_times_are_read_in_every_spelling_that_the_own_form_allows(value: object) -> None:
    assert written_time(value, NOW).isoformat() == "2026-11-19T03:00:00+00:00"


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-19T10:00:00",
        "yesterday",
        "",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        None,
        {},
        "x" * 100,
    ],
)
def test_a_time_without_zone_or_out_of_reason_is_the_time_of_receipt(value: object) -> None:
    assert written_time(value, NOW) == NOW


def test_seconds_of_the_far_future_are_not_believed() -> None:
    assert unix_time(int(NOW.timestamp()) + 86_000, NOW) > NOW
    assert unix_time(int(NOW.timestamp()) + 87_000, NOW) == NOW


def test_a_key_that_is_too_long_becomes_its_digest() -> None:
    assert key_of("a", "b") == "a/b"
    long = key_of("a" * 150, "b" * 150)
    assert len(long) < 40
    assert long != key_of("a" * 150, "c" * 150)


@pytest.mark.parametrize(
    ("digits", "e164"),
    [
        ("6281234567890", "+6281234567890"),
        ("16505551234", "+16505551234"),
        ("333333333333", None),
        ("0", None),
        ("", None),
    ],
)
def test_only_a_number_that_can_exist_identifies(digits: str, e164: str | None) -> None:
    found = phone_identifier(f"+{digits}")
    assert (found.value if found else None) == e164
