"""This file holds the rules of presence: what agents say of themselves, what their heartbeats say, and when they are lost.

* Who leaves `available` (break, busy, offline, or by missing an offer) has their offers rescinded at once.
* Who sets offline keeps the work they hold, to finish it; a supervisor may give it to somebody else.
* Who is lost has their offers rescinded at once; their work goes back to the queue when the grace ends. Any sign of
  life before or after that restores the presence they had, so that no outage needs a person to end it.
"""

from dataclasses import replace
from datetime import datetime

from libs.contracts.vocabulary import Presence, WorkState
from services.router.assignment.domain.decisions import Code
from services.router.assignment.domain.inputs import GraceEnded, Heartbeat, PresenceLapsed, SetPresence
from services.router.assignment.domain.step import Step


def set_presence(step: Step, asked: SetPresence) -> None:
    agent_id = asked.agent_id
    if asked.presence is Presence.UNKNOWN:
        step.answer(agent_id, asked.command_id, Code.UNKNOWN_PRESENCE, "no such presence")
        return
    hear(step, agent_id)
    enter(step, agent_id, asked.presence, asked.reason, step.at)
    step.answer(agent_id, asked.command_id, Code.OK)


def heartbeat(step: Step, beat: Heartbeat) -> None:
    if beat.agent_id in step.policy.agents:
        hear(step, beat.agent_id)
    else:
        step.ignore("unknown_agent")


def hear(step: Step, agent_id: str) -> None:
    """A sign of life: renews the lease of a connected agent, brings a lost one back."""
    agent = step.book.agents[agent_id]
    heard_at = max(agent.heartbeat_at or step.at, step.at)
    if agent.lost_at is not None and agent.resume_presence is not None:
        presence, reason = agent.resume_presence, agent.resume_reason
        step.change_agent(
            agent_id,
            presence=presence,
            reason=reason,
            since=step.at,
            heartbeat_at=heard_at,
            lost_at=None,
            resume_presence=None,
            resume_reason=None,
        )
        step.forget(f"grace/{step.policy.pool}/{agent_id}")
        _watch(step, agent_id, heard_at + step.policy.presence_lease)
    elif agent.connected:
        step.book.beat(replace(agent, heartbeat_at=heard_at))


def enter(step: Step, agent_id: str, presence: Presence, reason: str | None, at: datetime) -> None:
    """Change the presence of an agent who is not lost, with all that goes with it."""
    agent = step.book.agents[agent_id]
    if (agent.presence, agent.reason) == (presence, reason):
        return
    since = agent.since if agent.presence is presence else at
    step.change_agent(agent_id, presence=presence, reason=reason, since=since)
    if presence is Presence.AVAILABLE and agent.presence is not Presence.AVAILABLE:
        step.touch(agent_id, at)
    if presence is not Presence.AVAILABLE:
        step.rescind_offers(agent_id, at, str(presence))
    if presence is Presence.OFFLINE:
        step.forget(f"presence/{step.policy.pool}/{agent_id}")
    elif not agent.connected:
        heard_at = max(agent.heartbeat_at or step.at, step.at)
        step.book.put_agent(replace(step.book.agents[agent_id], heartbeat_at=heard_at))
        _watch(step, agent_id, heard_at + step.policy.presence_lease)


def presence_lapsed(step: Step, lapsed: PresenceLapsed) -> None:
    """The reminder is set once a lease; heartbeats since then are read here.

    A lapse that is put off is told, though nothing of the agent changed: it is put off by the time of day, which nobody
    could know from the log if no event had it.
    """
    agent_id, policy = lapsed.agent_id, step.policy
    agent = step.book.agents.get(agent_id)
    if agent is None or not agent.connected:
        step.ignore("not_connected")
        return
    ends_at = (agent.heartbeat_at or step.at) + policy.presence_lease
    if ends_at > step.now:
        _watch(step, agent_id, ends_at)
    elif step.now - ends_at > policy.notice:
        step.book.put_agent(replace(agent, heartbeat_at=step.now))
        step.tell(agent_id)
        _watch(step, agent_id, step.now + policy.presence_lease)
    else:
        _lose(step, agent_id, ends_at)


def _lose(step: Step, agent_id: str, at: datetime) -> None:
    agent = step.book.agents[agent_id]
    step.change_agent(
        agent_id,
        presence=Presence.OFFLINE,
        reason="lost",
        since=at,
        lost_at=at,
        resume_presence=agent.presence,
        resume_reason=agent.reason,
    )
    step.rescind_offers(agent_id, at, "lost")
    step.remind(f"grace/{step.policy.pool}/{agent_id}", at + step.policy.grace, GraceEnded(agent_id))


def grace_ended(step: Step, ended: GraceEnded) -> None:
    agent = step.book.agents.get(ended.agent_id)
    if agent is None or agent.lost_at is None:
        step.ignore("not_lost")
        return
    ends_at = agent.lost_at + step.policy.grace
    if step.now - max(step.at, ends_at) > step.policy.notice:
        again = step.now + step.policy.grace
        step.tell(agent.agent_id)
        step.remind(f"grace/{step.policy.pool}/{agent.agent_id}", again, ended)
        return
    for item in sorted(step.book.ledger.held(agent.agent_id, WorkState.ASSIGNED), key=step.book.waiting.key):
        step.give_back(item, max(step.at, ends_at), "agent_lost")


def _watch(step: Step, agent_id: str, due: datetime) -> None:
    step.remind(f"presence/{step.policy.pool}/{agent_id}", due, PresenceLapsed(agent_id))
