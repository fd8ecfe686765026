"""This file reads the real bodies among the fixtures, and says in a line what an item is."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from libs.contracts.payloads.inbound import (
    EditIngested,
    Item,
    MessageIngested,
    ReactionIngested,
    ReceiptIngested,
    SignalIngested,
    UnsupportedIngested,
)
from libs.contracts.vocabulary import Channel
from libs.workspace import Inbox, Secret
from services.ingest.channels import ADAPTERS
from services.ingest.channels.adapter import RawRequest

PAYLOADS = Path(__file__).parents[2] / "fixtures" / "payloads"
GOLDEN = PAYLOADS / "kinds.json"
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)

CREDENTIALS = {
    Channel.WHATSAPP: {"app_secret": "whatsapp app secret", "verify_token": "whatsapp verify token"},
    Channel.TELEGRAM: {"secret_token": "telegram-secret"},
    Channel.WEBCHAT: {"signing_key": "web chat signing key, 32 bytes or more"},
    Channel.CUSTOM: {"signing_key": "custom signing key, 32 bytes or more"},
}


def inbox(channel: Channel, **credentials: str) -> Inbox:
    """An inbox named after its channel, with made-up credentials and these on top."""
    found = {name: Secret(value) for name, value in (CREDENTIALS[channel] | credentials).items()}
    return Inbox(id=channel.value, channel=channel, queue="support", credentials=found)


def names(channel: str) -> list[str]:
    """The bodies of a channel that are valid JSON, without the signature vectors."""
    return sorted(
        f"{channel}/{path.name}"
        for path in (PAYLOADS / channel).glob("*.json")
        if not path.name.startswith("sigvector")
    )


def body(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


def parse(channel: Channel, content: bytes | dict[str, Any] | list[Any], **headers: str) -> list[Item]:
    """What a body becomes."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return ADAPTERS[channel].parse(RawRequest(raw, NOW, headers), inbox(channel))


def told(item: Item) -> str:
    """What an item is, in one line for people who read a difference."""
    who = item.address or "nobody"
    match item:
        case MessageIngested():
            what = f"message {item.content.kind}{' echo' if item.echo else ''}"
        case ReceiptIngested():
            what = f"receipt {item.status}{f' error {item.error.code}' if item.error else ''}"
        case EditIngested():
            what = f"edit {item.content.kind if item.content else 'withdrawn'}"
        case ReactionIngested():
            what = f"reaction {item.emoji or 'taken away'}"
        case SignalIngested():
            what = f"signal {item.kind}"
        case UnsupportedIngested():
            what = f"unsupported: {item.reason}"
        case _:
            raise AssertionError(item)
    return f"{what} | {who} | {', '.join(i.kind for i in item.identifiers) or 'no identifiers'}"


def kinds() -> dict[str, list[str]]:
    return {
        name: [told(item) for item in parse(Channel(channel), body(name))]
        for channel in ("whatsapp", "telegram")
        for name in names(channel)
    }


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(kinds(), indent=1, ensure_ascii=False, sort_keys=True) + "\n")
