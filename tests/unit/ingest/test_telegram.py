"""This file proves how single Telegram updates are read; test_corpus.py has the real bodies whole."""

from typing import Any

import pytest

from libs.contracts.payloads.inbound import (
    EditIngested,
    Item,
    MessageIngested,
    ReactionIngested,
    SignalIngested,
    UnsupportedIngested,
)
from libs.contracts.vocabulary import Channel, ContentKind
from services.ingest.channels.telegram_content import entities_of
from tests.unit.ingest.corpus import NOW, body, parse

SARI = {"id": 77, "is_bot": False, "first_name": "Sari", "last_name": "Dewi"}


def message(**more: Any) -> dict[str, Any]:
    return {"message_id": 5, "date": 1750030073, "chat": {"id": 77, "type": "private"}, "from": SARI} | more


def one(update: dict[str, Any] | bytes) -> Item:
    (item,) = parse(Channel.TELEGRAM, update)
    return item


def update(kind: str = "message", **more: Any) -> dict[str, Any]:
    return {"update_id": 9001, kind: message(**more)}


def real(name: str) -> Item:
    return one(body(f"telegram/{name}.json"))


def test_an_update_is_named_by_its_update_id_and_its_message_by_the_message_id() -> None:
    item = one(update(text="halo"))
    assert isinstance(item, MessageIngested)
    assert (item.item_id, item.provider_message_id, item.address) == ("9001", "5", "77")
    assert item.profile_name == "Sari Dewi"
    assert [(i.kind, i.value, i.verified) for i in item.identifiers] == [
        ("channel_user", "telegram:77", True)
    ]


def test_a_group_is_a_contact_point_without_identifiers_that_says_who_spoke() -> None:
    item = one(update(text="halo", chat={"id": -100, "type": "supergroup", "title": "Keluarga"}))
    assert isinstance(item, MessageIngested)
    assert (item.address, item.profile_name, item.identifiers) == ("-100", "Keluarga", ())
    assert item.content.details["sender"] == {"id": "77", "name": "Sari Dewi"}


def test_entities_are_counted_in_characters_not_in_utf_16_units() -> None:
    raw = [
        {"type": "bold", "offset": 5, "length": 5},
        {"type": "text_link", "offset": 0, "length": 4, "url": "https://x.example"},
    ]
    assert entities_of("👍👍 tebal", raw) == [
        {"type": "text_link", "offset": 0, "length": 2, "text": "👍👍", "url": "https://x.example"},
        {"type": "bold", "offset": 3, "length": 5, "text": "tebal"},
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"offset": -1, "length": 2},
        {"offset": 0, "length": 99},
        {"offset": "x", "length": 1},
        5,
        {"offset": 0, "length": 0},
    ],
)
def test_entities_that_point_outside_the_text_are_left_out(wrong: Any) -> None:
    assert entities_of("halo", [wrong]) == []


def test_an_entity_that_cuts_a_character_in_half_can_still_be_stored() -> None:
    (entity,) = entities_of("👍", [{"type": "bold", "offset": 1, "length": 1}])
    assert entity["text"].encode() == "\ufffd".encode()


def test_an_album_is_one_message_per_update_with_a_common_id() -> None:
    item = real("teloxide_message_de_media_group_forwarded_3")
    assert isinstance(item, MessageIngested)
    assert item.content.details["media_group_id"] == "12543417770506682"


def test_of_a_photos_sizes_the_largest_is_kept() -> None:
    item = real("teloxide_message_parse_caption_entities_12")
    assert isinstance(item, MessageIngested)
    assert item.content.media[0].size == 162061
    assert item.content.text == "www.example.com"
    assert item.content.details["entities"][0]["text"] == "www.example.com"


def test_an_animation_is_no_document_although_it_carries_one() -> None:
    item = one(update(animation={"file_id": "A"}, document={"file_id": "D"}))
    assert isinstance(item, MessageIngested)
    assert (item.content.kind, item.content.media[0].provider_id) == (ContentKind.VIDEO, "A")


def test_a_venue_keeps_its_name() -> None:
    item = real("teloxide_message_issue_481_10")
    assert isinstance(item, MessageIngested)
    assert item.content.location is not None
    assert item.content.location.name == "Title"


def test_the_senders_own_contact_card_proves_a_phone_number() -> None:
    item = one(update(contact={"phone_number": "6281234567890", "first_name": "Sari", "user_id": 77}))
    assert [(i.kind, i.value, i.verified) for i in item.identifiers] == [
        ("channel_user", "telegram:77", True),
        ("phone", "+6281234567890", True),
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"contact": {"phone_number": "6281234567890", "user_id": 78}},
        {"contact": {"phone_number": "6281234567890"}},
        {"contact": {"phone_number": "6281234567890", "user_id": 77}, "forward_origin": {"type": "user"}},
        {"contact": {"phone_number": "6281234567890", "user_id": 77}, "chat": {"id": -100, "type": "group"}},
    ],
)
def test_any_other_contact_card_proves_nothing(more: dict[str, Any]) -> None:
    assert "phone" not in [i.kind for i in one(update(**more)).identifiers]


def test_an_edit_names_the_message_and_has_a_time_of_its_own() -> None:
    item = real("tgdocs_edited_message")
    assert isinstance(item, EditIngested)
    assert item.content is not None
    assert (item.provider_message_id, item.content.text) == ("1365", "Edited text")
    assert item.occurred_at.timestamp() == 1441646600


def test_a_pressed_button_reads_as_its_label() -> None:
    keyboard = {
        "inline_keyboard": [
            [{"text": "Ya", "callback_data": "yes"}, {"text": "Tidak", "callback_data": "no"}]
        ]
    }
    query = {
        "id": "q1",
        "from": SARI,
        "data": "no",
        "message": message(reply_markup=keyboard, **{"from": {"id": 1, "is_bot": True}}),
    }
    item = one({"update_id": 1, "callback_query": query})
    assert isinstance(item, MessageIngested)
    assert (item.content.text, item.content.details["data"], item.reply_to) == ("Tidak", "no", "5")
    assert (item.provider_message_id, item.profile_name) == ("callback/q1", "Sari Dewi")


def test_a_button_of_an_inline_message_is_a_message_in_the_private_chat() -> None:
    item = real("tgdocs_callback_query_no_message")
    assert isinstance(item, MessageIngested)
    assert (item.address, item.content.text) == ("1111111", "Data from button callback")


def test_reactions_are_put_on_and_taken_away() -> None:
    on, off = real("teloxide_message_reaction_updated_1"), real("teloxide_message_reaction_updated_2")
    assert isinstance(on, ReactionIngested)
    assert isinstance(off, ReactionIngested)
    assert (on.provider_message_id, on.emoji, off.emoji) == ("35", "🌭", None)


def test_a_customer_who_blocks_the_bot_is_a_signal() -> None:
    item = real("teloxide_issue_523_1")
    assert isinstance(item, SignalIngested)
    assert (item.kind, item.text) == ("my_chat_member", "kicked")


def test_a_group_that_became_a_supergroup_says_its_new_id() -> None:
    item = real("teloxide_message_issue_427_8")
    assert isinstance(item, SignalIngested)
    assert (item.kind, item.text) == ("service.migrate_to_chat_id", "-1001555296434")


@pytest.mark.parametrize(
    "wrong",
    [
        {"update_id": 1}, {}, {"update_id": 1, "message": 5}, {"update_id": 1, "message": {}}, {"update_id": "x", "message": None},
        {"update_id": 1, "message": message()}, {"update_id": 1, "message": message(text=5)}, {"update_id": 1, "message": message(message_id=None, text="x")},
        {"update_id": 1, "message": message(photo=[])}, {"update_id": 1, "message": message(voice={})}, {"update_id": 1, "message": message(chat={"id": 10**400}, text="x")},
        {"update_id": 1, "message": message(location={"latitude": None})}, {"update_id": 1, "callback_query": {"from": SARI}},
        {"update_id": 1, "message_reaction": {"chat": {"id": 1}}}, {"update_id": 1, "my_chat_member": []},
    ],
)  # fmt: skip
def test_a_wrong_update_is_kept_with_its_reason(wrong: dict[str, Any]) -> None:
    item = one(wrong)
    assert isinstance(item, UnsupportedIngested)
    assert item.reason


def test_a_date_of_zero_is_the_time_of_receipt() -> None:
    assert one(update(date=0, text="x")).occurred_at == NOW
