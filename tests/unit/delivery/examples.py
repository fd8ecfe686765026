"""This file makes the inboxes and messages that delivery's tests send."""

from collections.abc import Mapping
from datetime import UTC, datetime

from libs.contracts.ids import InboxId, contact_point_id
from libs.contracts.payloads.base import Content, Media
from libs.contracts.vocabulary import Channel, ContentKind
from libs.workspace import Inbox, ProviderOptions, Secret, Workspace
from services.delivery.effects import SendMessage

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
ACCESS = "EAAJB-access"


def inbox(channel: Channel, *, rate: float | None = None, options: Mapping[str, str] | None = None) -> Inbox:
    """An inbox whose provider is the simulated one."""
    secrets = {
        Channel.WHATSAPP: {"access_token": ACCESS, "phone_number_id": "106540352242922"},
        Channel.TELEGRAM: {"bot_token": TOKEN, "secret_token": "s3cret"},
        Channel.CUSTOM: {"signing_key": "in-key", "outbound_key": "out-key"},
        Channel.WEBCHAT: {"signing_key": "visitors"},
    }[channel]
    return Inbox(
        id=f"{channel}-toko",
        channel=channel,
        queue="umum",
        credentials={name: Secret(value) for name, value in secrets.items()},
        provider=ProviderOptions("https://provider.test/", rate, options or {}),
    )


def workspace(*inboxes: Inbox) -> Workspace:
    return Workspace(id="toko", inboxes={one.id: one for one in inboxes})


def text(words: str = "Baik kak, kami cek dulu ya.") -> Content:
    return Content(kind=ContentKind.TEXT, text=words)


def file(kind: ContentKind, **media: str) -> Content:
    return Content(kind=kind, text="foto", media=(Media(**media),))


def message(
    channel: Channel,
    *,
    content: Content | None = None,
    address: str = "6281234567890",
    message_id: str = "msg_1",
    reply_to: str | None = None,
) -> SendMessage:
    return SendMessage(
        message_id=message_id,
        contact_point_id=contact_point_id(InboxId(f"{channel}-toko"), address),
        inbox_id=f"{channel}-toko",
        channel=channel,
        address=address,
        content=content or text(),
        reply_to=reply_to,
        requested_at=AT,
    )
