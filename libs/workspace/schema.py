"""This file is the schema of workspace.yaml: which keys there are and what each must be."""

import re
from dataclasses import dataclass, field
from typing import Any, get_args

from libs.contracts.vocabulary import Channel
from libs.workspace.calendars import calendar
from libs.workspace.credentials import OPTIONAL, REQUIRED, Secret
from libs.workspace.hooks import Resolve, allocation_hook, secret
from libs.workspace.model import (
    Agent,
    Calendar,
    Inbox,
    Missed,
    Mode,
    Order,
    Pick,
    Pool,
    ProviderOptions,
    Queue,
    Relaxation,
    Role,
    SlaPolicy,
    Terms,
    WrapUpCapacity,
)
from libs.workspace.promises import sla_policy
from libs.workspace.reading import (
    Field,
    Place,
    Read,
    Reading,
    Unusable,
    entries,
    hidden,
    listing,
    mapping,
    record,
)
from libs.workspace.scalars import (
    CHANNELS,
    as_id,
    between,
    duration,
    flag,
    known_channel,
    one_of,
    parsed,
    reference,
    text,
    web_address,
    whole,
)

OPTIONAL_SECTIONS = ("agents", "calendars", "sla_policies")
SECTIONS = ("inboxes", "queues", "pools", *OPTIONAL_SECTIONS)
MOST_OFFERS = 50
"""Agents to whom one item is offered at once: each offer is an event on every one of those screens."""

_REGION = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True)
class Document:
    """What the file says, section by section, before its version is known."""

    id: str
    inboxes: dict[str, Inbox]
    queues: dict[str, Queue]
    pools: dict[str, Pool]
    agents: dict[str, Agent] = field(default_factory=dict)
    calendars: dict[str, Calendar] = field(default_factory=dict)
    sla_policies: dict[str, SlaPolicy] = field(default_factory=dict)


def document(resolve: Resolve, resolve_hook: Resolve) -> Read[Document]:
    """The whole file. `resolve` turns a reference into the secret, or raises ValueError saying what was expected;
    `resolve_hook` does so for those of allocation hooks."""
    return record(
        Document,
        {
            "id": Field(parsed(as_id), required=True),
            "inboxes": Field(_by_id(lambda name: _inbox(name, resolve)), required=True),
            "queues": Field(_by_id(lambda name: _queue(name, resolve_hook)), required=True),
            "pools": Field(_by_id(lambda name: _pool(name, resolve_hook)), required=True),
            "agents": Field(_by_id(_agent)),
            "calendars": Field(_by_id(calendar)),
            "sla_policies": Field(_by_id(sla_policy)),
        },
    )


def _by_id(read: Any) -> Read[dict[str, Any]]:
    return mapping(as_id, read)


def _inbox(id: str, resolve: Resolve) -> Read[Inbox]:
    def read(reading: Reading, place: Place) -> Inbox:
        channel = _channel_of(reading, place)
        return record(
            lambda **values: Inbox(id=id, **values),
            {
                "channel": Field(_channel, required=True),
                "queue": Field(reference("queues"), required=True),
                "region": Field(parsed(_region)),
                "reopen_window": Field(duration()),
                "credentials": Field(_credentials(channel, resolve), required=True),
                "provider": Field(_PROVIDER),
            },
        )(reading, place)

    return read


def _queue(id: str, resolve: Resolve) -> Read[Queue]:
    return record(
        lambda **values: Queue(id=id, **values),
        {
            "pool": Field(reference("pools"), required=True),
            "skills": Field(_SKILLS),
            "prefers": Field(_SKILLS),
            "relax": Field(_relaxations),
            "priority": Field(whole(-1_000_000, 1_000_000)),
            "wrap_up": Field(duration()),
            "wrap_up_capacity": Field(one_of(get_args(WrapUpCapacity))),
            "mode": Field(one_of(get_args(Mode))),
            "idle_release": Field(duration(above_zero=True)),
            "sla": Field(reference("sla_policies")),
            "allocation_hook": Field(allocation_hook(f"queues.{id}", resolve)),
        },
    )


def _pool(id: str, resolve: Resolve) -> Read[Pool]:
    return record(
        lambda **values: Pool(id=id, **values),
        {
            "order": Field(one_of(get_args(Order))),
            "pick": Field(one_of(get_args(Pick))),
            "head_start": Field(duration()),
            "vip_priority": Field(whole(-1_000, 1_000)),
            "late_behind": Field(between(0, 10)),
            "hold": Field(flag),
            "reservation_lease": Field(duration(above_zero=True)),
            "presence_lease": Field(duration(above_zero=True)),
            "grace": Field(duration()),
            "decline_memory": Field(duration()),
            "auto_accept": Field(flag),
            "offers_at_once": Field(whole(1, MOST_OFFERS)),
            "missed": Field(one_of(get_args(Missed))),
            "idle_release": Field(duration(above_zero=True)),
            "interruptible_by": Field(mapping(known_channel, lambda _: listing(_channel))),
            "channel_cost": Field(_channel_cost),
            "allocation_hook": Field(allocation_hook(f"pools.{id}", resolve)),
        },
    )


def _agent(id: str) -> Read[Agent]:
    return record(
        lambda **values: Agent(id=id, **values),
        {
            "name": Field(text, required=True),
            "pool": Field(reference("pools"), required=True),
            "skills": Field(_SKILLS),
            "queues": Field(listing(reference("queues"))),
            "terms": Field(mapping(as_id, _terms)),
            "capacity": Field(whole(0, 10_000), required=True),
            "caps": Field(mapping(known_channel, lambda _: whole(0, 10_000))),
            "role": Field(one_of(get_args(Role))),
        },
    )


def _terms(queue: str) -> Read[Terms]:
    def read(reading: Reading, place: Place) -> Terms:
        reading.references.append((place, "queues", queue))
        return _TERMS(reading, place)

    return read


def _relaxations(reading: Reading, place: Place) -> tuple[Relaxation, ...]:
    return tuple(sorted(listing(_RELAXATION)(reading, place), key=lambda r: r.after))


def _channel(reading: Reading, place: Place) -> Channel:
    return Channel(one_of(CHANNELS)(reading, place))


def _channel_of(reading: Reading, place: Place) -> Channel | None:
    """The inbox's channel, read ahead and silently: which credentials there are depends on it."""
    aside = Reading(reading.file)
    try:
        return aside.read(_channel, place.at("channel", entries(aside, place)["channel"][1]))
    except (KeyError, Unusable):
        return None


def _credentials(channel: Channel | None, resolve: Resolve) -> Read[dict[str, Secret]]:
    """Secrets by name. Where the channel is unknown the names are not judged, only the references."""
    read = secret(resolve)
    if channel is None:
        return hidden(mapping(as_id, lambda _: read))
    required, optional = REQUIRED[channel], OPTIONAL.get(channel, ())
    fields = {name: Field(read, required=True) for name in required} | {
        name: Field(read) for name in optional
    }
    return hidden(record(dict[str, Secret], fields))


def _region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise ValueError("expected a country as two capital letters (ISO 3166), such as ID")
    return value


def _address(value: str) -> str:
    return web_address(value).rstrip("/")


def _channel_cost(reading: Reading, place: Place) -> dict[Channel, int]:
    """Channels that are not named cost one unit."""
    given = mapping(known_channel, lambda _: whole(0, 10_000))(reading, place)
    return dict.fromkeys(Channel, 1) | given


_TERMS: Read[Terms] = record(Terms, {"priority": Field(whole(-1_000, 1_000)), "delay": Field(duration())})
_RELAXATION: Read[Relaxation] = record(
    Relaxation,
    {
        "after": Field(duration(above_zero=True), required=True),
        "skills": Field(mapping(as_id, lambda _: whole(0, 5))),
        "queues": Field(listing(reference("queues"))),
        "pools": Field(listing(reference("pools"))),
        "skip_if_nobody": Field(flag),
    },
)
_SKILLS: Read[dict[str, int]] = mapping(as_id, lambda _: whole(1, 5))
_PROVIDER: Read[ProviderOptions] = record(
    ProviderOptions,
    {
        "base_url": Field(parsed(_address)),
        "rate_per_second": Field(between(0, 100_000)),
        "options": Field(mapping(as_id, lambda _: text)),
    },
)
