"""The flow agrees with the map of topics, the workspace becomes a policy, waiting work is counted when asked for."""

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from libs.contracts.vocabulary import Channel, WorkState
from libs.workspace import Agent, AllocationHook, Pool, Queue, Secret, Workspace
from services.router.assignment import metrics
from services.router.assignment.domain import inputs
from services.router.assignment.domain.policy import Mode
from services.router.assignment.domain.work import TRANSITIONS, Move
from services.router.assignment.flow import flow
from services.router.assignment.policies import policy_of
from services.router.assignment.store import AssignmentStore
from services.router.assignment.timers import timer_of
from tests.unit.router.assignment.pool import START

WORKSPACE = Workspace(
    id="test",
    version="v7",
    queues={
        "billing": Queue("billing", "main", wrap_up=timedelta(seconds=60)),
        "sales": Queue("sales", "main"),
        "other": Queue("other", "elsewhere"),
    },
    pools={
        "main": Pool(
            "main", grace=timedelta(seconds=5), channel_cost={Channel.WEBCHAT: 2, Channel.CUSTOM: 0}
        ),
        "elsewhere": Pool("elsewhere"),
    },
    agents={
        "ayu": Agent("ayu", "Ayu", "main", {"refund": 3}, ("billing",), 4),
        "budi": Agent("budi", "Budi", "main"),
        "hendra": Agent("hendra", "Hendra", "elsewhere", capacity=0, role="supervisor"),
    },
)


def test_the_flow_agrees_with_the_map_of_topics() -> None:
    flow(WORKSPACE).check()


def test_a_policy_says_what_the_workspace_says_of_the_pool() -> None:
    policy = policy_of(WORKSPACE, "main")
    assert (policy.version, policy.grace, policy.wrap_up) == (
        "v7",
        timedelta(seconds=5),
        {"billing": timedelta(seconds=60)},
    )
    assert set(policy.agents) == {"ayu", "budi"}
    assert (policy.agents["ayu"].capacity, dict(policy.agents["ayu"].skills)) == (4, {"refund": 3})
    assert policy.agents["ayu"].queues == {"billing"}
    assert policy.agents["budi"].queues == {"billing", "sales"}
    assert policy.supervisors == {"hendra"}


def test_a_policy_says_how_work_is_offered_held_and_let_go() -> None:
    pool = Pool(
        "main", offers_at_once=3, missed="stay", interruptible_by={Channel.CUSTOM: (Channel.WEBCHAT,)}
    )
    queue = Queue("billing", "main", mode="pull", wrap_up_capacity="release")
    ayu = Agent("ayu", "Ayu", "main", caps={Channel.WHATSAPP: 2})
    policy = policy_of(
        replace(WORKSPACE, pools={"main": pool}, queues={"billing": queue}, agents={"ayu": ayu}), "main"
    )
    assert (policy.offers_at_once, policy.missed_becomes_busy) == (3, False)
    assert (policy.mode("billing"), policy.mode("unheard of")) == (Mode.PULL, Mode.PUSH)
    assert policy.interruptible == {Channel.CUSTOM: {Channel.WEBCHAT}}
    assert policy.wrap_up_releases == {"billing"}
    assert policy.agents["ayu"].caps == {Channel.WHATSAPP: 2}


def test_a_queues_own_hook_takes_the_place_of_its_pools() -> None:
    secret = Secret("k3y", "env:HOOK")
    of_pool = AllocationHook("https://a.example", secret, timedelta(seconds=1), "pools.main")
    of_queue = AllocationHook("https://b.example", secret, timedelta(seconds=2), "queues.sales")
    queues = dict(WORKSPACE.queues) | {"sales": Queue("sales", "main", allocation_hook=of_queue)}
    pools = dict(WORKSPACE.pools) | {"main": Pool("main", allocation_hook=of_pool)}
    workspace = replace(WORKSPACE, queues=queues, pools=pools)
    assert policy_of(workspace, "main").hooks == {
        "billing": timedelta(seconds=1),
        "sales": timedelta(seconds=2),
    }
    assert policy_of(workspace, "elsewhere").hooks == {}


def test_every_conversation_takes_at_least_one_unit() -> None:
    policy = policy_of(WORKSPACE, "main")
    assert [policy.units(c) for c in (Channel.WEBCHAT, Channel.CUSTOM, Channel.WHATSAPP)] == [2, 1, 1]


def test_a_pool_that_the_workspace_does_not_have_has_a_policy_without_agents() -> None:
    assert policy_of(WORKSPACE, "gone").agents == {}


@pytest.mark.parametrize(
    "lapse",
    [
        inputs.ReservationLapsed("rsv_1"),
        inputs.PresenceLapsed("ayu"),
        inputs.GraceEnded("ayu"),
        inputs.WrapUpEnded("wki_1"),
        inputs.DeclineLapsed("wki_1", "ayu"),
        inputs.WaitLapsed("wki_1"),
        inputs.HookLapsed("wki_1", 2),
    ],
)
def test_every_reminder_has_a_timer_that_the_flow_handles(lapse: inputs.Lapse) -> None:
    timer = timer_of(lapse)
    assert type(timer) in flow(WORKSPACE).timers
    assert set(timer.model_dump().values()) == {getattr(lapse, name) for name in lapse.__slots__}


def test_timer_names_are_told_apart() -> None:
    names = [kind.name for kind in flow(WORKSPACE).timers]
    assert len(set(names)) == len(names)


def test_no_move_leads_out_of_an_end() -> None:
    ended = {WorkState.COMPLETED, WorkState.CANCELLED}
    assert {state for state, _ in TRANSITIONS}.isdisjoint(ended)
    assert {move for _, move in TRANSITIONS} == set(Move)


def test_waiting_work_is_counted_when_the_figures_are_asked_for() -> None:
    store = flow(WORKSPACE).store(3)
    assert isinstance(store, AssignmentStore)
    for number, age in enumerate((10, 30)):
        asked = inputs.Request(
            f"wki_{number}",
            "cnv_1",
            "cpt_1",
            "counted",
            Channel.WHATSAPP,
            START - timedelta(seconds=age),
        )
        store.engine("main").apply(asked, at=START, now=START)
    labels = {"pool": "main", "queue": "counted"}
    assert REGISTRY.get_sample_value("sambung_router_waiting_items", labels) == 2
    oldest = REGISTRY.get_sample_value("sambung_router_waiting_oldest_timestamp_seconds", labels)
    assert oldest == (START - timedelta(seconds=30)).timestamp()
    metrics.WAITING.stores.discard(store)
