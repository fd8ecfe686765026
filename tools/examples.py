"""This file writes an example for each event type that has none yet: `python -m tools.examples`. Edit them afterwards."""

import json
import types
import typing
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from libs.contracts import registry
from libs.contracts.topics import topic_of_type

FOLDER = Path("libs/contracts/examples")
AT = "2026-03-02T08:00:00.123456Z"

NAMED: dict[str, Any] = {
    "inbox_id": "wa-main",
    "contact_point_id": "cpt_ynq3h2cv7mmkq5ysw2uzafz4",
    "contact_id": "con_k5jv3lqgo7tmx2nsc4yebw6p",
    "other_contact_id": "con_b2w7hnd4ztqm6rvkeyxsu3ja",
    "conversation_id": "cnv_4mzk6yq2vtsn7jdhxw5pc3ra",
    "message_id": "msg_7fq2xkd5wnzs3hvtjmyr6cba",
    "work_item_id": "wki_h3tq5nzv2mxk7wsdjyc4rbpa",
    "reservation_id": "rsv_c6vn2wqk5htz7xjsmyd3rpba",
    "clock_id": "clk_z7mt4kqv2hwn5xsjdyc6rpba",
    "entry_id": "ent_w5kq7zvn3tmh2xsjdyc4rpba",
    "agent_id": "agt_ayu",
    "address": "6281234567890",
    "pool": "main",
    "queue": "support",
    "provider_message_id": "wamid.HBgNNjI4MTIzNDU2Nzg5MBUCABIYFjNFQjA=",
    "text": "Halo, pesanan saya belum sampai",
    "policy": "standard",
    "version": 3,
    "item_id": "wamid.HBgNNjI4MTIzNDU2Nzg5MBUCABIYFjNFQjA=",
}


def value_of(name: str, hint: Any) -> Any:
    """A plausible JSON value for a field."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return value_of(name, next(a for a in typing.get_args(hint) if a is not type(None)))
    if name in NAMED and not (isinstance(hint, type) and issubclass(hint, BaseModel)):
        return NAMED[name]
    if origin is typing.Annotated:
        return value_of(name, typing.get_args(hint)[0])
    if origin is tuple:
        return [value_of(name.removesuffix("s"), typing.get_args(hint)[0])]
    if origin is dict:
        key, inner = typing.get_args(hint)
        return {} if inner is Any else {value_of("skill", key): value_of("level", inner)}
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return {n: value_of(n, f.annotation) for n, f in hint.model_fields.items()}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint)).value
    plain = {str: name.replace("_", "-"), int: 1, float: 0.8, bool: False, datetime: AT, timedelta: 30.0}
    return AT if "AwareDatetime" in str(hint) else plain.get(hint)


def example_of(type_name: str) -> dict[str, Any]:
    """Envelope and data of one event of that type."""
    model = registry.model_of(type_name)
    assert model is not None, type_name
    topic = topic_of_type()[type_name]
    data = {n: value_of(n, f.annotation) for n, f in model.model_fields.items()}
    subject = {"contact_point": "contact_point_id", "contact": "contact_id", "agent": "agent_id"}.get(
        topic.key, topic.key
    )
    envelope: dict[str, Any] = {
        "id": NAMED["item_id"] if topic.first_hand else "42",
        "source": "/ingest/wa-main"
        if topic.name == "inbound"
        else f"/{topic.producer}/7" + ("" if topic.first_hand else "/a1b2c3d4"),
        "type": type_name,
        "time": AT,
        "subject": data.get(subject, subject),
    }
    if not topic.first_hand:
        envelope |= {"sequence": 42, "previous": 41}
    model.model_validate(data)
    return {"envelope": envelope, "data": data}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for type_name in registry.all_models():
        path = FOLDER / f"{type_name}.json"
        if not path.exists():
            path.write_text(json.dumps(example_of(type_name), indent=2, ensure_ascii=False) + "\n")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
