"""This file posts to a custom channel: JSON signed as that channel signs its own webhooks.

`Idempotency-Key` is the message id, the same on every repetition: the receiver must drop a key that it has seen, and so
a request that ended in doubt can be sent again. Any 2xx is acceptance; `{"id": …}` in its body names the message.
"""

import json
from collections.abc import Mapping
from datetime import datetime

from libs.service.signing import HEADER, signature
from libs.workspace import Inbox
from services.delivery.channels.channel import ProviderRequest, Unsendable
from services.delivery.channels.reading import json_object, member, retry_after, words
from services.delivery.domain.answers import Accepted, Answer, Fault, Refused, RetryLater
from services.delivery.effects import SendMessage


class Custom:
    per_second = 50.0
    per_address: float | None = None
    repeatable = True

    def request(self, message: SendMessage, inbox: Inbox, at: datetime) -> ProviderRequest:
        said = {
            "id": message.message_id,
            "to": message.address,
            "content": message.content.model_dump(mode="json", exclude_none=True),
            "reply_to": message.reply_to,
            "requested_at": message.requested_at.isoformat(),
        }
        body = json.dumps(said).encode()
        key = inbox.credentials.get("outbound_key") or inbox.credentials["signing_key"]
        return ProviderRequest(
            url=_address(inbox),
            body=body,
            headers={
                "content-type": "application/json",
                "idempotency-key": message.message_id,
                HEADER: signature(key.reveal(), int(at.timestamp()), body),
            },
        )

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        said = json_object(body)
        if 200 <= status < 300:
            found = said.get("id")
            return Accepted(found if isinstance(found, str) and found else None)
        error = member(said, "error") or said
        fault = Fault(
            words(error.get("code"), f"http_{status}"),
            words(error.get("text"), error.get("detail"), error.get("title")),
        )
        if status >= 500 or status in (408, 425, 429):
            return RetryLater(fault, retry_after(headers), inbox_wide=status in (429, 503))
        if status == 409:
            # A receiver that answers a repeated key with "conflict" has the message.
            return Accepted(None)
        return Refused(fault)


def _address(inbox: Inbox) -> str:
    if (secret := inbox.credentials.get("outbound_url")) is not None:
        return secret.reveal()
    address = inbox.provider.options.get("outbound_url") or inbox.provider.base_url
    if not address:
        raise Unsendable("no_outbound_url", f"inbox {inbox.id} has no outbound_url: nobody to send to")
    return address
