"""This file makes and reads the tokens of web chat visitors; time comes in as an argument.

Two tokens, two keys, so that neither can be shown in place of the other:
* the *identity token* is made by the owner's own server with the inbox's signing key, for a customer who is logged in there:
  `{sub: <id in the owner's system>, exp, name?, email?, phone?}`. What it says is verified;
* the *session token* is made here with a key derived from it, for every visitor. It names the visitor and what is known.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from libs.contracts.ids import digest
from libs.contracts.payloads.base import Identifier
from libs.contracts.vocabulary import IdentifierKind
from libs.workspace import Inbox
from services.ingest.channels.adapter import BadSignature
from services.ingest.channels.forming import Party
from services.ingest.channels.own_form import identifier_of
from services.ingest.channels.reading import integer_of, list_of, name_of, object_of, storable, word_of

ALGORITHM = "HS256"
"""Pinned: a token that names any other, `none` among them, is refused."""
LONGEST_TOKEN = 8_192
ANONYMOUS_FOR = timedelta(days=30)
IDENTIFIED_FOR = timedelta(hours=24)
"""Shorter: who logs out of the owner's site should not stay known here for weeks."""
CLAIMED = ("email", "phone")


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor who showed a valid token. `visitor` is the address of the contact point."""

    visitor: str
    party: Party
    identified: bool
    expires_at: datetime


def anonymous(visitor: str, claims: Mapping[str, Any], inbox: Inbox, now: datetime) -> Session:
    """A session for a visitor of whom nothing is known; name, e-mail and phone in `claims` are what they say themselves."""
    said = [{"kind": kind, "value": claims.get(kind)} for kind in CLAIMED]
    return _session(visitor, name_of(claims.get("name")), said, inbox, now + ANONYMOUS_FOR, identified=False)


def identified(token: str, inbox: Inbox, now: datetime) -> Session:
    """A session for the customer whom the owner's identity token names. Raises BadSignature."""
    claims = _read(token, _owner_key(inbox), now)
    external = word_of(claims.get("sub"))
    if external is None:
        raise BadSignature("the identity token names nobody")
    said = [{"kind": "external", "value": external, "verified": True}]
    said += [{"kind": kind, "value": claims.get(kind), "verified": True} for kind in CLAIMED]
    visitor = "usr_" + digest(inbox.id, external)
    return _session(visitor, name_of(claims.get("name")), said, inbox, now + IDENTIFIED_FOR, identified=True)


def token_of(session: Session, inbox: Inbox) -> str:
    """The session as a token."""
    claims: dict[str, Any] = {
        "sub": session.visitor,
        "aud": inbox.id,
        "exp": int(session.expires_at.timestamp()),
        "name": session.party.name,
        "known": session.identified,
        "ids": [[i.kind.value, i.value, i.verified] for i in session.party.identifiers],
    }
    return jwt.encode(claims, _session_key(inbox), algorithm=ALGORITHM)


def read_token(token: str, inbox: Inbox, now: datetime) -> Session:
    """The session that a token stands for. Raises BadSignature."""
    claims = _read(token, _session_key(inbox), now)
    visitor = word_of(claims.get("sub"))
    if visitor is None or claims.get("aud") != inbox.id:
        raise BadSignature("the session token is not for this inbox")
    found = []
    for entry in list_of(claims.get("ids")):
        kind, value, verified = entry
        found.append(Identifier(kind=IdentifierKind(kind), value=value, verified=verified))
    return Session(
        visitor,
        Party(visitor, name_of(claims.get("name")), tuple(found)),
        claims.get("known") is True,
        datetime.fromtimestamp(claims["exp"], now.tzinfo),
    )


def bearer(headers: Mapping[str, str]) -> str:
    """The token of an Authorization header, or nothing."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _session(
    visitor: str,
    name: str | None,
    said: list[dict[str, Any]],
    inbox: Inbox,
    expires_at: datetime,
    *,
    identified: bool,
) -> Session:
    own = Identifier(kind=IdentifierKind.CHANNEL_USER, value=f"webchat:{visitor}", verified=True)
    found = [identifier_of(raw, inbox.region) for raw in said]
    party = Party(visitor, name, (own, *dict.fromkeys(i for i in found if i)))
    return Session(visitor, party, identified, expires_at)


def _read(token: str, key: bytes, now: datetime) -> dict[str, Any]:
    """The claims of a token that this key signed and that has not expired; every token must say when it does."""
    if not token or len(token) > LONGEST_TOKEN:
        raise BadSignature("no token")
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            # Time is compared below, with the time that was passed in; the audience by whoever knows it.
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_sub": False,
            },
        )
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise BadSignature("the token is not signed with this inbox's key") from None
    expires = integer_of(claims.get("exp"))
    if expires is None or expires <= now.timestamp():
        raise BadSignature("the token has expired, or does not say when it does")
    return object_of(storable(claims))


def _owner_key(inbox: Inbox) -> bytes:
    return inbox.credentials["signing_key"].reveal().encode()


def _session_key(inbox: Inbox) -> bytes:
    return hmac.new(_owner_key(inbox), b"sambung visitor session", hashlib.sha256).digest()
