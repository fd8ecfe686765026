"""This file is the schema of an SLA policy: for which conversations, which targets, when to warn, what to do when late."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, get_args

import yaml

from libs.workspace.durations import format_duration, parse_duration
from libs.workspace.model import PAUSES, Escalation, Match, PauseReason, SlaPolicy, WarnAt
from libs.workspace.reach import DEFAULT, PRIORITIES, TARGETS, targets
from libs.workspace.reading import (
    Field,
    Place,
    Read,
    Reading,
    Unusable,
    entries,
    listed,
    listing,
    mapping,
    record,
)
from libs.workspace.scalars import duration, flag, known_channel, one_of, parsed, reference, text, whole

Target = tuple[timedelta | None, dict[int, timedelta]]
"""Of priorities that are not named, and from each priority on that is."""

_WARNING = "expected a fraction above 0 and below 1, such as 0.8 or 80%, or a duration before the deadline, such as 10m"
_AT = "expected warning, breach, breach+30m, a fraction such as 80%, or a duration before the deadline, such as 10m"
_DEEDS = ("raise_priority", "move_to_queue", "notify", "assign_supervisor")


def sla_policy(id: str) -> Read[SlaPolicy]:
    """One policy of the section."""

    def read(reading: Reading, place: Place) -> SlaPolicy:
        values: dict[str, Any] = record(dict[str, Any], _FIELDS)(reading, place)
        by_priority = {}
        for metric in TARGETS:
            values[metric], others = values.get(metric, (None, {}))
            if others:
                by_priority[metric] = others
        if all(values[metric] is None for metric in TARGETS) and not by_priority:
            raise Unusable(f"expected at least one of {listed(TARGETS)}")
        pause_on = {**PAUSES, **values.pop("pause_on", {})}
        policy = SlaPolicy(id=id, by_priority=by_priority, pause_on=pause_on, **values)
        _check_steps(reading, place, policy)
        return policy

    return read


def _target(reading: Reading, place: Place) -> Target:
    """`15m`, or `{default: 15m, 5: 2m}`."""
    if not isinstance(place.node, yaml.MappingNode):
        return duration(above_zero=True)(reading, place), {}
    found: dict[int | str, timedelta] = mapping(_priority_or_default, lambda _: duration(above_zero=True))(
        reading, place
    )
    if not found:
        raise Unusable("expected a duration, or durations by priority such as {default: 15m, 5: 2m}")
    return found.pop(DEFAULT, None), {int(priority): target for priority, target in found.items()}


def _priority_or_default(key: str) -> int | str:
    if key == DEFAULT:
        return key
    if not PRIORITIES.fullmatch(key):
        raise ValueError("expected default or a priority, a whole number from -1000000 to 1000000")
    return int(key)


def parse_warning(value: str) -> WarnAt:
    """A fraction, as 0.8 or 80%; or a duration before the deadline. Raises ValueError saying what was expected."""
    try:
        share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        try:
            before = parse_duration(value)
        except ValueError:
            raise ValueError(_WARNING) from None
        if not before:
            raise ValueError(_WARNING) from None
        return before
    if not 0 < share < 1:
        raise ValueError(_WARNING)
    return share


def _warnings(reading: Reading, place: Place) -> tuple[WarnAt, ...]:
    found = set(listing(parsed(parse_warning))(reading, place))
    shares = sorted(step for step in found if isinstance(step, float))
    return (*shares, *sorted((step for step in found if isinstance(step, timedelta)), reverse=True))


def _escalation(reading: Reading, place: Place) -> Escalation:
    values: dict[str, Any] = record(dict[str, Any], _STEP)(reading, place)
    if not any(values.get(deed) is not None for deed in _DEEDS):
        raise Unusable(f"expected at least one of {listed(_DEEDS)}")
    at, after = values.pop("at")
    return Escalation(at, after, **values)


def _at(value: str) -> tuple[str | WarnAt, timedelta]:
    word, plus, past = (part.strip() for part in value.partition("+"))
    try:
        if plus and word == "breach":
            return word, parse_duration(past)
        return (value if value in ("warning", "breach") else parse_warning(value)), timedelta(0)
    except ValueError:
        raise ValueError(_AT) from None


def _check_steps(reading: Reading, place: Place, policy: SlaPolicy) -> None:
    """A step so long before the deadline must be within each target; a step at the warning needs one."""
    before = len(reading.problems)
    keys = entries(Reading(reading.file), place)
    steps = [(here, parse_warning(text(reading, here))) for here in _items(place, keys, "warn_at")]
    for number, here in enumerate(_items(place, keys, "escalate")):
        at = policy.escalate[number].at
        where = here.at("at", entries(Reading(reading.file), here)["at"][1])
        if at == "warning" and not policy.warn_at:
            reading.report(where, "expected breach or later, since the policy has no warning")
        elif not isinstance(at, str):
            steps.append((where, at))
    for where, step in steps:
        for metric, _, target in targets(policy):
            if isinstance(step, timedelta) and step >= target:
                told = f"expected less than the target of {metric}, {format_duration(target)}"
                reading.report(where, told)
                break
    if len(reading.problems) > before:
        raise Unusable


def _items(place: Place, keys: dict[str, tuple[yaml.Node, yaml.Node]], name: str) -> Iterator[Place]:
    if name in keys:
        for number, node in enumerate(keys[name][1].value):
            yield Place(node, f"{place.path}.{name}[{number}]")


_PRIORITY = whole(-1_000_000, 1_000_000)
_PAUSES = listing(one_of(get_args(PauseReason)))
_MATCH: Read[Match] = record(
    Match,
    {
        "inbox": Field(listing(reference("inboxes"))),
        "queue": Field(listing(reference("queues"))),
        "channel": Field(listing(parsed(known_channel))),
        "priority": Field(listing(_PRIORITY)),
        "tag": Field(listing(text)),
        "vip": Field(flag),
    },
)
_STEP = {
    "at": Field(parsed(_at), required=True),
    "metrics": Field(listing(one_of(TARGETS))),
    "raise_priority": Field(_PRIORITY),
    "move_to_queue": Field(reference("queues")),
    "notify": Field(listing(text)),
    "assign_supervisor": Field(reference("agents")),
}


def _metric(name: str) -> str:
    if name not in TARGETS:
        raise ValueError(f"expected {listed(TARGETS)}")
    return name


_FIELDS: dict[str, Field[Any]] = {
    **{metric: Field(_target) for metric in TARGETS},
    "warn_at": Field(_warnings),
    "calendar": Field(reference("calendars")),
    "match": Field(_MATCH),
    "pause_on": Field(mapping(_metric, lambda _: _PAUSES)),
    "human_only": Field(flag),
    "escalate": Field(listing(_escalation)),
}
