"""This file turns items into records that fit the log, whatever a provider put into them."""

import hashlib
import json
from datetime import datetime

from libs.contracts.envelope import MAX_VALUE_BYTES
from libs.contracts.payloads.inbound import Item, UnsupportedIngested
from libs.flow.publisher import first_hand
from libs.flow.wire import Outgoing
from services.ingest.channels.forming import KEPT_CHARACTERS


def record_of(item: Item, *, workspace: str, traceparent: str, received_at: datetime) -> Outgoing:
    """The record of one item: source `/ingest/<inbox>`, id the provider's own key, so that a repetition is the same event.

    A record must not be too large: the broker would refuse it, and the call with it, for ever. So the raw item is cut
    first; if what was said is too large by itself, the item is kept as unsupported.
    """
    record = _record(item, workspace, traceparent, received_at)
    if len(record.value) <= MAX_VALUE_BYTES:
        return record
    cut = item.model_copy(update={"raw": _cut(item)})
    record = _record(cut, workspace, traceparent, received_at)
    if len(record.value) <= MAX_VALUE_BYTES:
        return record
    reason = f"too large: {len(record.value)} bytes"
    common = {name: getattr(cut, name) for name in Item.model_fields}
    return _record(UnsupportedIngested(**common, reason=reason), workspace, traceparent, received_at)


def _record(item: Item, workspace: str, traceparent: str, received_at: datetime) -> Outgoing:
    return first_hand(
        item,
        key=item.contact_point_id,
        source=f"/ingest/{item.inbox_id}",
        id=item.item_id,
        at=item.occurred_at,
        workspace=workspace,
        traceparent=traceparent,
        recorded_at=received_at,
    )


def _cut(item: Item) -> dict[str, object]:
    """The beginning of the raw item, and what tells whether another copy is the whole of it."""
    text = json.dumps(item.raw, ensure_ascii=False)
    whole = text.encode()
    return {"cut": text[:KEPT_CHARACTERS], "bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
