"""This file proves that the demo's providers speak as the real ones do: the adapters take their signatures and read their items."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.demo.customers import Crowd
from deploy.demo.ledger import Incoming
from deploy.demo.organisation import CUSTOM, TELEGRAM, WEBCHAT, WHATSAPP, Organisation, found
from deploy.demo.shapes import CustomShape, Numbers, Person, Receipt, Said, TelegramShape, WhatsAppShape
from libs.contracts.payloads.inbound import Item, MessageIngested, ReceiptIngested
from libs.contracts.vocabulary import Channel, ContentKind, MessageStatus
from services.ingest.channels import ADAPTERS
from services.ingest.channels.adapter import BadSignature, RawRequest

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SITI, AGUS = Person("6281234567890", "Siti Wijaya"), Person("6281299999999", "Agus Halim")


@pytest.fixture(scope="module")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    return found(tmp_path_factory.mktemp("demo"), "http://127.0.0.1:9", agents=3)


def read(organisation: Organisation, inbox: str, body: bytes, headers: dict[str, str]) -> Sequence[Item]:
    """What ingest makes of a call, after verifying it."""
    one = organisation.workspace.inboxes[inbox]
    request = RawRequest(body, AT, headers)
    ADAPTERS[one.channel].verify(request, one)
    return ADAPTERS[one.channel].parse(request, one)


def whatsapp(organisation: Organisation) -> WhatsAppShape:
    return WhatsAppShape(
        organisation.secret(WHATSAPP, "app_secret"), organisation.secret(WHATSAPP, "phone_number_id")
    )


def test_a_batch_of_whatsapp_messages_is_read_under_the_names_that_the_ledger_expects(
    organisation: Organisation,
) -> None:
    numbers, shape = Numbers("000001"), whatsapp(organisation)
    said = [
        Said(SITI, numbers.wamid(), AT, "Halo kak 😔 <b>&/%@"),
        Said(AGUS, numbers.wamid(), AT, "foto", "image"),
        Said(AGUS, numbers.wamid(), AT, "Toko", "location"),
    ]
    body = shape.messages(said)
    items = read(organisation, WHATSAPP, body, dict(shape.headers(body, AT)))
    assert [item.item_id for item in items] == [one.provider_message_id for one in said]
    assert [item.profile_name for item in items] == ["Siti Wijaya", "Agus Halim", "Agus Halim"]
    texts = [item.content for item in items if isinstance(item, MessageIngested)]
    assert [content.kind for content in texts] == [ContentKind.TEXT, ContentKind.IMAGE, ContentKind.LOCATION]
    assert texts[0].text == "Halo kak 😔 <b>&/%@"
    noted = Incoming(WHATSAPP, SITI.address, said[0].provider_message_id, "", "", 0.0)
    assert items[0].contact_point_id == noted.contact_point_id


def test_a_whatsapp_receipt_names_our_message(organisation: Organisation) -> None:
    shape = whatsapp(organisation)
    body = shape.statuses([Receipt(SITI.address, "wamid.X", "delivered", AT, "msg_1")])
    (item,) = read(organisation, WHATSAPP, body, dict(shape.headers(body, AT)))
    assert isinstance(item, ReceiptIngested)
    assert (item.status, item.correlation, item.provider_message_id) == (
        MessageStatus.DELIVERED,
        "msg_1",
        "wamid.X",
    )
    assert item.contact_point_id == Incoming(WHATSAPP, SITI.address, "", "", "", 0.0).contact_point_id


@pytest.mark.parametrize("kind", ["text", "image", "location"])
def test_a_telegram_update_is_read_under_the_names_that_the_ledger_expects(
    organisation: Organisation, kind: str
) -> None:
    shape, person = (
        TelegramShape(organisation.secret(TELEGRAM, "secret_token")),
        Person("500000007", "Dewi Kusuma"),
    )
    body = shape.update(77, Said(person, "3", AT, "Pagi", kind))
    (item,) = read(organisation, TELEGRAM, body, dict(shape.headers(body, AT)))
    assert isinstance(item, MessageIngested)
    assert (item.item_id, item.provider_message_id, item.profile_name) == ("77", "3", "Dewi Kusuma")
    assert item.contact_point_id == Incoming(TELEGRAM, "500000007", "3", "77", "", 0.0).contact_point_id


def test_custom_items_are_signed_with_their_time_and_read_back(organisation: Organisation) -> None:
    shape, member = CustomShape(organisation.secret(CUSTOM, "signing_key")), Person("custom-5", "Eko Tanjung")
    body = shape.messages([Said(member, "tanya-1", AT, "Stok?")])
    (item,) = read(organisation, CUSTOM, body, dict(shape.headers(body, AT)))
    assert isinstance(item, MessageIngested)
    assert (item.item_id, item.provider_message_id, item.content.text) == ("tanya-1", "tanya-1", "Stok?")
    with pytest.raises(BadSignature):
        read(organisation, CUSTOM, body, dict(shape.headers(body, AT - timedelta(minutes=6))))
    body = shape.receipts([Receipt("custom-5", "kirim-1", "read", AT, "msg_9")])
    (receipt,) = read(organisation, CUSTOM, body, dict(shape.headers(body, AT)))
    assert isinstance(receipt, ReceiptIngested)
    assert (receipt.item_id, receipt.status, receipt.correlation) == (
        "kirim-1/read",
        MessageStatus.READ,
        "msg_9",
    )


@pytest.mark.parametrize("inbox", [WHATSAPP, TELEGRAM, CUSTOM])
def test_a_body_signed_with_another_key_is_turned_away(organisation: Organisation, inbox: str) -> None:
    said = [Said(SITI, "1", AT, "Halo")]
    shapes: dict[str, WhatsAppShape | TelegramShape | CustomShape] = {
        WHATSAPP: WhatsAppShape("another", "1"),
        TELEGRAM: TelegramShape("another"),
        CUSTOM: CustomShape("another"),
    }
    shape = shapes[inbox]
    body = shape.update(1, said[0]) if isinstance(shape, TelegramShape) else shape.messages(said)
    with pytest.raises(BadSignature):
        read(organisation, inbox, body, dict(shape.headers(body, AT)))


def test_the_demo_runs_a_workspace_that_loads(organisation: Organisation) -> None:
    workspace = organisation.workspace
    assert {inbox.channel for inbox in workspace.inboxes.values()} == set(Channel) - {Channel.UNKNOWN}
    assert len([agent for agent in workspace.agents.values() if agent.role == "agent"]) == 3
    assert WEBCHAT in workspace.inboxes


def test_no_secret_stands_in_the_workspace_file(organisation: Organisation) -> None:
    text = Path(organisation.path).read_text()
    assert not [name for name, value in organisation.environ.items() if value in text]


def test_the_same_seed_gives_the_same_customers_and_another_run_other_addresses() -> None:
    def crowd(run: int) -> list[str]:
        everybody = Crowd(
            [(Channel.WHATSAPP, WHATSAPP), (Channel.TELEGRAM, TELEGRAM)], [0.6, 0.4], random.Random(5), run
        )
        return [everybody.newcomer().person.address for _ in range(50)]

    assert crowd(1) == crowd(1)
    assert len(set(crowd(1))) == 50
    assert not set(crowd(1)) & set(crowd(2))
