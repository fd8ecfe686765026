"""This file proves that SLA policies are read as they are written, and that every mistake in them is told with its place, at once."""

from datetime import timedelta

from libs.contracts.vocabulary import Channel
from libs.workspace import Escalation, Match, load
from tests.unit.test_workspace import KEY, SMALL, Write, problems_of, write

HEAD = len(SMALL.splitlines())
"""Lines before what a test adds."""
MINUTE = timedelta(minutes=1)

__all__ = ["write"]

FULL = """\
  hendra: {name: Hendra, pool: utama, capacity: 0, role: supervisor}
sla_policies:
  emas:
    match: {inbox: [situs], queue: [umum], channel: [webchat], priority: [5, 10], tag: [grosir], vip: true}
    first_response: {default: 15m, 5: 2m}
    resolution: {10: 4h}
    time_to_assignment: 5m
    periodic_update: 1h
    warn_at: [10s, 50%, 0.8, 1m]
    pause_on: {resolution: [on_hold, waiting_for_customer], periodic_update: []}
    human_only: false
    escalate:
      - {at: warning, raise_priority: 20}
      - {at: 90%, notify: [pengawas]}
      - {at: 30s, notify: [pengawas]}
      - {at: breach, move_to_queue: umum, metrics: [first_response]}
      - {at: breach+30m, assign_supervisor: hendra, notify: [manajer, direktur]}
"""


def test_a_policy_is_read_as_it_is_written(write: Write) -> None:
    policy = load(write(SMALL + FULL), KEY).sla_policies["emas"]
    assert policy.match == Match(("situs",), ("umum",), (Channel.WEBCHAT,), (5, 10), ("grosir",), True)
    assert (policy.first_response, policy.resolution) == (15 * MINUTE, None)
    assert policy.by_priority == {
        "first_response": {5: 2 * MINUTE},
        "resolution": {10: timedelta(hours=4)},
    }
    assert (policy.time_to_assignment, policy.periodic_update) == (5 * MINUTE, timedelta(hours=1))
    assert policy.warn_at == (0.5, 0.8, MINUTE, timedelta(seconds=10))
    assert policy.pause_on == {
        "time_to_assignment": ("on_hold",),
        "resolution": ("on_hold", "waiting_for_customer"),
        "periodic_update": (),
    }
    assert policy.human_only is False
    assert policy.escalate == (
        Escalation("warning", raise_priority=20),
        Escalation(0.9, notify=("pengawas",)),
        Escalation(timedelta(seconds=30), notify=("pengawas",)),
        Escalation("breach", move_to_queue="umum", metrics=("first_response",)),
        Escalation("breach", 30 * MINUTE, assign_supervisor="hendra", notify=("manajer", "direktur")),
    )


def test_every_mistake_in_policies_is_told_with_its_line_at_once(write: Write) -> None:
    text = """\
calendars:
  kantor: {zone: WIB, hours: {mon-fri: "08:00-12:00"}}
sla_policies:
  a:
    match: {queue: [umun], inbox: wa, channel: [fax], priority: [tinggi], tag: [[x]], vip: maybe}
    first_response: {default: 15m, high: 2m, 5: soon}
    warn_at: [120%]
    pause_on: {resolution: [lunch], handling: []}
    human_only: maybe
    escalate:
      - {at: later, notify: [x]}
      - {at: breach}
      - {at: breach, move_to_queue: priortas, assign_supervisor: aya}
      - {notify: [x]}
  b:
    first_response: {default: 15m, 5: 2m}
    warn_at: [50%, 5m]
    escalate:
      - {at: 1h, notify: [x]}
  c:
    first_response: {5: 9000h}
    warn_at: []
    calendar: kantor
    escalate:
      - {at: warning, notify: [x]}
"""
    found = problems_of(write(SMALL + text))
    told = [(int(problem.split(":")[0]) - HEAD, problem.split(" ", 1)[1]) for problem in found]
    warning = "expected a fraction above 0 and below 1, such as 0.8 or 80%, or a duration before the deadline, such as 10m"
    at = "expected warning, breach, breach+30m, a fraction such as 80%, or a duration before the deadline, such as 10m"
    whole = "expected a whole number from -1000000 to 1000000"
    metrics = "first_response, next_response, resolution, time_to_assignment or periodic_update"
    assert told == [
        (
            5,
            "sla_policies.a.match.queue[0]: 'umun' — expected an id from queues; there is umum; did you mean umum?",
        ),
        (5, "sla_policies.a.match.inbox: 'wa' — expected a list"),
        (5, "sla_policies.a.match.channel[0]: 'fax' — expected whatsapp, telegram, webchat or custom"),
        (5, f"sla_policies.a.match.priority[0]: 'tinggi' — {whole}"),
        (5, "sla_policies.a.match.tag[0]: a list — expected text"),
        (5, "sla_policies.a.match.vip: 'maybe' — expected true or false"),
        (
            6,
            (
                "sla_policies.a.first_response.high: is no key here — "
                "expected default or a priority, a whole number from -1000000 to 1000000"
            ),
        ),
        (6, "sla_policies.a.first_response.5: 'soon' — expected a duration such as 30s, 5m, 24h or 1h30m"),
        (7, f"sla_policies.a.warn_at[0]: '120%' — {warning}"),
        (8, "sla_policies.a.pause_on.resolution[0]: 'lunch' — expected on_hold or waiting_for_customer"),
        (8, f"sla_policies.a.pause_on.handling: is no key here — expected {metrics}"),
        (9, "sla_policies.a.human_only: 'maybe' — expected true or false"),
        (11, f"sla_policies.a.escalate[0].at: 'later' — {at}"),
        (
            12,
            (
                "sla_policies.a.escalate[1]: a mapping — "
                "expected at least one of raise_priority, move_to_queue, notify or assign_supervisor"
            ),
        ),
        (
            13,
            "sla_policies.a.escalate[2].move_to_queue: 'priortas' — expected an id from queues; there is umum",
        ),
        (
            13,
            (
                "sla_policies.a.escalate[2].assign_supervisor: 'aya' — "
                "expected an id from agents; there is ayu; did you mean ayu?"
            ),
        ),
        (14, "sla_policies.a.escalate[3].at: is missing — expected here: it has no default"),
        (17, "sla_policies.b.warn_at[1]: '5m' — expected less than the target of first_response, 2m"),
        (19, "sla_policies.b.escalate[0].at: '1h' — expected less than the target of first_response, 15m"),
        (
            21,
            (
                "sla_policies.c.first_response.5: '9000h' — "
                "expected at most 86d16h of open time, all that kantor has in 2022 and 2023"
            ),
        ),
        (
            25,
            "sla_policies.c.escalate[0].at: 'warning' — expected breach or later, since the policy has no warning",
        ),
    ]


def test_an_escalation_assigns_to_a_supervisor_only(write: Write) -> None:
    text = "sla_policies:\n  a: {first_response: 5m, escalate: [{at: breach, assign_supervisor: ayu}]}\n"
    (problem,) = problems_of(write(SMALL + text))
    assert problem.endswith("'ayu' — expected an agent whose role is supervisor")
