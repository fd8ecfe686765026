"""This file creates the topics of the map and verifies that a broker's topics are those: `python -m libs.flow.topics create|verify`."""

import asyncio
import contextlib
import os
import sys
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError, for_code

from libs.contracts.topics import Topic, TopicMap, topic_map
from libs.timesource import SystemTime

DAY_MS = 86_400_000
READY_WITHIN = 20.0


class TopicProblems(ValueError):
    """The broker's topics are not those of the map; `problems` names every difference."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class BrokerAway(Exception):
    """The broker cannot be reached."""


def settings_of(topic: Topic) -> dict[str, str]:
    """Kafka's topic settings that the map asks for."""
    if topic.compact:
        return {"cleanup.policy": "compact"}
    keep = -1 if topic.retention_days == 0 else topic.retention_days * DAY_MS
    return {"cleanup.policy": "delete", "retention.ms": str(keep)}


async def create(kafka: str, wanted: TopicMap | None = None, *, replication: int = 1) -> list[str]:
    """Create the topics that are missing, wait until every partition has a leader, verify. Returns the names created."""
    wanted = wanted or topic_map()
    async with _admin(kafka) as admin:
        new = [
            NewTopic(t.name, wanted.partitions, replication, topic_configs=settings_of(t))
            for t in wanted.topics.values()
        ]
        answer = await admin.create_topics(new)
        # create_topics does not raise for a topic: its answer holds a code for each.
        made = []
        for name, code, *rest in answer.topic_errors:
            if code == 0:
                made.append(name)
            elif for_code(code).__name__ != "TopicAlreadyExistsError":
                raise TopicProblems([f"topic {name} cannot be created: {for_code(code).__name__} {rest}"])
        time = SystemTime()
        until = time.monotonic() + READY_WITHIN
        while True:
            described = await admin.describe_topics(list(wanted.topics))
            if all(
                not t["error_code"] and t["partitions"] and all(p["leader"] >= 0 for p in t["partitions"])
                for t in described
            ):
                break
            if time.monotonic() > until:
                raise TopicProblems(["the topics have no leaders after 20 s"])
            await time.sleep(0.05)
    await verify(kafka, wanted)
    return made


async def verify(kafka: str, wanted: TopicMap | None = None) -> None:
    """Raises TopicProblems naming every topic that is missing or differs, and how; BrokerAway."""
    wanted = wanted or topic_map()
    async with _admin(kafka) as admin:
        described = {t["topic"]: t for t in await admin.describe_topics(list(wanted.topics))}
        for name, t in described.items():
            # A broker that is starting or electing is no reason to call a topic missing.
            fault = for_code(t["error_code"])
            if fault.retriable and fault is not UnknownTopicOrPartitionError:
                raise BrokerAway(f"topic {name}: {fault.__name__}")
        there = [name for name, t in described.items() if not t["error_code"]]
        answers = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
        )
    settings: dict[str, dict[str, str]] = {}
    for answer in answers:
        for _, _, _, name, entries in answer.resources:
            settings[name] = {entry[0]: entry[1] for entry in entries}
    problems = []
    for name, topic in wanted.topics.items():
        if name not in there:
            problems.append(
                f"topic {name} does not exist: create it with `python -m libs.flow.topics create`"
            )
            continue
        found = len(described[name]["partitions"])
        if found != wanted.partitions:
            problems.append(
                f"topic {name} has {found} partitions, {wanted.partitions} are expected (a topic cannot shrink, and growing it moves keys)"
            )
        problems += [
            f"topic {name}: {setting} is {settings[name].get(setting)!r}, {expected!r} is expected"
            for setting, expected in settings_of(topic).items()
            if settings[name].get(setting) != expected
        ]
    if problems:
        raise TopicProblems(problems)


class _admin:  # noqa: N801  reads as a verb at its uses
    def __init__(self, kafka: str) -> None:
        self._kafka = kafka

    async def __aenter__(self) -> Any:
        self._client = AIOKafkaAdminClient(
            bootstrap_servers=self._kafka, client_id="sambung-topics", request_timeout_ms=10_000
        )
        # The library lets KeyError, AssertionError and others out where a broker goes away under a request, so whatever is
        # not this module's own finding is taken for that.
        try:
            async with asyncio.timeout(10):
                await self._client.start()
        except Exception as fault:
            await self._close()
            raise BrokerAway(f"no broker answers at {self._kafka}: {fault!r}") from fault
        return self._client

    async def __aexit__(self, _kind: object, fault: BaseException | None, _trace: object) -> None:
        await self._close()
        if isinstance(fault, Exception) and not isinstance(fault, (TopicProblems, BrokerAway)):
            raise BrokerAway(f"the broker at {self._kafka} went away: {fault!r}") from fault

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            await self._client.close()


def _main(arguments: list[str]) -> int:
    kafka = os.environ.get("SAMBUNG_KAFKA", "")
    if arguments not in (["create"], ["verify"]) or not kafka:
        print("usage: SAMBUNG_KAFKA=host:port python -m libs.flow.topics create|verify", file=sys.stderr)
        return 2
    replication = int(os.environ.get("SAMBUNG_REPLICATION", "1"))
    try:
        if arguments == ["create"]:
            made = asyncio.run(create(kafka, replication=replication))
            print(f"created: {', '.join(made) or 'nothing, all were there'}")
        else:
            asyncio.run(verify(kafka))
            print("all topics are as the map says")
    except (TopicProblems, BrokerAway) as fault:
        print("\n".join(getattr(fault, "problems", [str(fault)])), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
