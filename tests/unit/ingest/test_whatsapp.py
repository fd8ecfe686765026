"""This file proves how single WhatsApp items are read; test_corpus.py has the real bodies whole."""

import json
from typing import Any

import pytest

from libs.contracts.ids import InboxId, contact_point_id
from libs.contracts.payloads.inbound import (
    EditIngested,
    Item,
    MessageIngested,
    ReactionIngested,
    ReceiptIngested,
    SignalIngested,
    UnsupportedIngested,
)
from libs.contracts.vocabulary import Channel, ContentKind, MessageStatus
from services.ingest.channels.adapter import RawRequest
from services.ingest.channels.whatsapp import WhatsApp
from tests.unit.ingest.corpus import NOW, body, inbox, parse


def change(field: str = "messages", **value: Any) -> dict[str, Any]:
    return {"entry": [{"id": "1", "time": 1750030073, "changes": [{"field": field, "value": value}]}]}


def text(**more: Any) -> dict[str, Any]:
    return {
        "from": "6281234567890",
        "id": "wamid.A",
        "timestamp": "1750030073",
        "type": "text",
        "text": {"body": "halo"},
    } | more


def one(content: bytes | dict[str, Any]) -> Item:
    (item,) = parse(Channel.WHATSAPP, content)
    return item


def real(name: str) -> list[Item]:
    return parse(Channel.WHATSAPP, body(f"whatsapp/{name}.json"))


def test_every_entry_change_and_message_is_read() -> None:
    message, receipt = real("composed_one_entry_message_change_and_status_change")
    assert isinstance(message, MessageIngested)
    assert isinstance(receipt, ReceiptIngested)
    assert len(real("composed_three_messages_one_contact")) == 3
    assert len(real("composed_two_entries_text_and_image")) == 2


def test_one_contact_beside_three_messages_names_the_sender_of_all() -> None:
    assert {item.profile_name for item in real("composed_three_messages_one_contact")} == {"Sheena Nelson"}


def test_a_message_has_its_wamid_its_time_and_its_sender() -> None:
    item = one(
        change(
            messages=[text(context={"id": "wamid.B", "forwarded": True})],
            contacts=[{"wa_id": "6281234567890", "user_id": "ID.abc1", "profile": {"name": "Sari"}}],
        )
    )
    assert isinstance(item, MessageIngested)
    assert (item.item_id, item.provider_message_id, item.reply_to) == ("wamid.A", "wamid.A", "wamid.B")
    assert item.occurred_at.timestamp() == 1750030073
    assert (item.address, item.profile_name) == ("6281234567890", "Sari")
    assert [(i.kind, i.value, i.verified) for i in item.identifiers] == [
        ("phone", "+6281234567890", True),
        ("whatsapp_user", "ID.abc1", True),
    ]
    assert item.content.text == "halo"
    assert item.content.details == {"forwarded": True}


@pytest.mark.parametrize(
    ("status", "contacts"),
    [
        ({"recipient_id": "6281234567890"}, []),
        ({"recipient_id": "6281234567890", "recipient_user_id": "ID.abc1"}, []),
        ({"recipient_user_id": "ID.abc1"}, [{"wa_id": "6281234567890", "user_id": "ID.abc1"}]),
    ],
)
def test_a_receipt_meets_the_customers_messages_in_one_contact_point(
    status: dict[str, Any], contacts: list[Any]
) -> None:
    message = one(change(messages=[text()]))
    receipt = one(
        change(
            contacts=contacts,
            statuses=[{"id": "wamid.X", "status": "read", "timestamp": "1750030073"} | status],
        )
    )
    assert isinstance(receipt, ReceiptIngested)
    assert (
        receipt.contact_point_id
        == message.contact_point_id
        == contact_point_id(InboxId("whatsapp"), "6281234567890")
    )
    assert receipt.item_id == "wamid.X/read/6281234567890"


def test_without_a_number_messages_and_receipts_meet_at_the_user_id() -> None:
    (message,) = real("metadocs_business_scoped_user_ids_25")
    (receipt,) = real("metadocs_business_scoped_user_ids_23")
    assert message.address == receipt.address == "US.13491208655302741918"


def test_a_user_id_in_place_of_the_number_is_the_user_id() -> None:
    item = one(change(messages=[text(**{"from": "ID.abc1"})]))
    assert item.address == "ID.abc1"
    assert [i.kind for i in item.identifiers] == ["whatsapp_user"]


def test_statuses_of_one_message_have_an_id_each() -> None:
    statuses = [
        {"id": "wamid.X", "status": s, "recipient_id": "6281234567890"}
        for s in ("sent", "delivered", "read", "played")
    ]
    items = parse(Channel.WHATSAPP, change(statuses=statuses))
    assert len({item.item_id for item in items}) == 4
    assert [i.status for i in items if isinstance(i, ReceiptIngested)] == [
        MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ, MessageStatus.READ,
    ]  # fmt: skip


def test_the_word_we_gave_along_comes_back_as_correlation() -> None:
    (receipt,) = real("pywa_message_status_with_tracker")
    assert isinstance(receipt, ReceiptIngested)
    assert receipt.correlation == "some data"


@pytest.mark.parametrize(
    ("code", "retryable"), [(131026, False), (131047, False), (130429, True), (131056, True)]
)
def test_a_failure_keeps_the_providers_words_and_says_whether_to_try_again(
    code: int, retryable: bool
) -> None:
    status = {
        "id": "wamid.X",
        "status": "failed",
        "recipient_id": "6281234567890",
        "errors": [{"code": code, "title": "t", "error_data": {"details": "d"}}],
    }
    item = one(change(statuses=[status]))
    assert isinstance(item, ReceiptIngested)
    assert item.error is not None
    assert (item.error.code, item.error.text, item.error.retryable) == (str(code), "d", retryable)


def test_errors_are_found_in_all_three_places() -> None:
    (of_value,) = real("metadocs_messages_errors_1")
    (of_message,) = real("metadocs_messages_unsupported_1")
    (of_status,) = real("metadocs_messages_status_3")
    assert isinstance(of_value, SignalIngested)
    assert of_value.text.startswith("Message failed to send")
    assert isinstance(of_message, UnsupportedIngested)
    assert of_message.reason == "131051 Message type is currently not supported. (edit)"
    assert isinstance(of_status, ReceiptIngested)
    assert of_status.error is not None
    assert of_status.error.code == "131049"


def test_a_group_is_a_contact_point_without_identifiers_that_says_who_spoke() -> None:
    (message,) = real("restfb_webhook_incoming_message_text_bsuid")
    (receipt,) = real("restfb_webhook_incoming_message_status_group_bsuid")
    assert isinstance(message, MessageIngested)
    assert message.contact_point_id == receipt.contact_point_id
    assert (message.address, message.identifiers) == ("120363418770915618@g.us", ())
    assert message.content.details["sender"] == {"user_id": "US.13491208655302741918"}
    assert receipt.item_id.endswith("/read/16505551234")


@pytest.mark.parametrize("reaction", [{"message_id": "wamid.B", "emoji": ""}, {"message_id": "wamid.B"}])
def test_a_reaction_without_emoji_takes_it_away(reaction: dict[str, str]) -> None:
    item = one(change(messages=[text(type="reaction", reaction=reaction)]))
    assert isinstance(item, ReactionIngested)
    assert (item.provider_message_id, item.emoji) == ("wamid.B", None)


def test_an_edit_carries_the_new_content_and_a_revoke_none() -> None:
    (edit,) = real("metadocs_embedded_signup_onboarding_business_app_users_15")
    (revoke,) = real("metadocs_embedded_signup_onboarding_business_app_users_17")
    assert isinstance(edit, EditIngested)
    assert edit.content is not None
    assert (edit.content.kind, edit.content.text) == (ContentKind.IMAGE, "Updated image caption")
    assert isinstance(revoke, EditIngested)
    assert revoke.content is None
    assert edit.provider_message_id == revoke.provider_message_id


def test_what_the_business_wrote_in_the_app_is_an_echo_at_the_customers_contact_point() -> None:
    echo = {
        "from": "15550783881",
        "to": "6281234567890",
        "id": "wamid.E",
        "timestamp": "1750030073",
        "type": "text",
        "text": {"body": "hi"},
    }
    item = one(change("smb_message_echoes", message_echoes=[echo]))
    assert isinstance(item, MessageIngested)
    assert item.echo
    assert item.contact_point_id == one(change(messages=[text()])).contact_point_id


def test_a_changed_number_names_the_old_and_the_new_one() -> None:
    (item,) = real("metadocs_messages_system_1")
    assert isinstance(item, SignalIngested)
    assert (item.kind, item.address) == ("system.user_changed_number", "16505551234")
    assert [i.value for i in item.identifiers] == ["+16505551234", "+12195555358"]


def test_a_changed_user_id_names_both() -> None:
    (item,) = real("restfb_webhook_useridupdate")
    assert {i.value for i in item.identifiers if i.kind == "whatsapp_user"} == {
        "US.10101010101010101010", "US.13491208655302741918",
    }  # fmt: skip


def test_the_answers_of_a_flow_are_read_out_of_their_string() -> None:
    (item,) = real("pywa_flow_completion_completion")
    assert isinstance(item, MessageIngested)
    assert item.content.details["nfm_reply"]["response"]["comment_text"] == "Comment Text"


def test_media_keep_id_type_caption_and_the_voice_flag() -> None:
    (video,) = real("pywa_message_video")
    (voice,) = real("pywa_message_voice")
    assert isinstance(video, MessageIngested)
    assert isinstance(voice, MessageIngested)
    assert (video.content.text, video.content.media[0].provider_id) == ("caption", "765756756")
    assert voice.content.media[0].mime_type == "audio/ogg; codecs=opus"
    assert voice.content.details["voice"] is True


def test_a_body_for_another_number_is_kept_and_not_believed() -> None:
    ours = inbox(Channel.WHATSAPP, phone_number_id="106540352242922")
    for name, accepted in (
        ("metadocs_messages_text_2", True),
        ("pywa_message_text", False),
        ("metadocs_security_1", True),
    ):
        (item,) = WhatsApp().parse(RawRequest(body(f"whatsapp/{name}.json"), NOW), ours)
        assert isinstance(item, UnsupportedIngested) is not accepted
        assert accepted or "1122334455667 is not this inbox's" in told_reason(item)


def told_reason(item: Item) -> str:
    assert isinstance(item, UnsupportedIngested)
    return item.reason


@pytest.mark.parametrize(
    "wrong",
    [
        5, None, [], "text", {}, {"from": 5, "id": {}}, text(id=None), text(id="x" * 5000), text(text="halo"), text(text={"body": 5}),
        text(type="image", image={"caption": "no id"}), text(type="location", location={"latitude": "5", "longitude": 10**400}),
        text(type="hologram"), text(type=None), text(type="reaction"), text(type="edit"), text(type="revoke", revoke=[]),
        text(type="contacts", contacts=[]), text(type="order", order={}), text(type="interactive", interactive={"type": "dance"}),
        text(**{"from": "not a number"}), text(**{"from": True}),
    ],
)  # fmt: skip
def test_one_wrong_message_costs_only_itself(wrong: Any) -> None:
    first, second, third = parse(
        Channel.WHATSAPP, change(messages=[text(id="wamid.1"), wrong, text(id="wamid.3")])
    )
    assert isinstance(first, MessageIngested)
    assert isinstance(second, UnsupportedIngested)
    assert second.reason
    assert second.raw == (wrong if isinstance(wrong, dict) else {"value": wrong})
    assert isinstance(third, MessageIngested)


@pytest.mark.parametrize(
    "entry",
    [
        5, {}, {"changes": {}}, {"changes": [5]}, {"changes": [{"field": "messages"}]}, {"changes": [{"field": "messages", "value": {}}]},
        {"changes": [{"field": "messages", "value": {"messages": {}}}]}, {"changes": [{"field": "messages", "value": {"messages": []}}]},
        {"changes": [{"field": ["messages"], "value": {"messages": "x"}}]},
    ],
)  # fmt: skip
def test_a_wrong_entry_or_change_costs_only_itself(entry: Any) -> None:
    good = change(messages=[text()])["entry"]
    wrong, right = parse(Channel.WHATSAPP, {"entry": [entry, *good]})
    assert isinstance(wrong, UnsupportedIngested)
    assert isinstance(right, MessageIngested)


def test_an_unreadable_item_keeps_its_wamid_and_its_sender() -> None:
    item = one(change(messages=[text(type="hologram")]))
    assert (item.item_id, item.address) == ("wamid.A", "6281234567890")


def test_a_time_that_cannot_be_right_becomes_the_time_of_receipt() -> None:
    wrongs: list[Any] = ["TIMESTAMP", "", None, -5, "1750030073000", [], True, 1e300]
    for wrong in wrongs:
        assert one(change(messages=[text(timestamp=wrong)])).occurred_at == NOW


def test_a_body_as_meta_escapes_it_reads_the_same() -> None:
    escaped = (
        json.dumps(change(messages=[text(text={"body": "Rp 5.000 <b> 👍 / @"})])).replace("/", "\\/").encode()
    )
    item = one(escaped)
    assert isinstance(item, MessageIngested)
    assert item.content.text == "Rp 5.000 <b> 👍 / @"
