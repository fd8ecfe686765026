"""This file reads the map of topics and says where a key goes."""

import struct
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

import libs.contracts.payloads  # noqa: F401  registers every type that the map names
from libs.contracts import registry


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the map. `first_hand`: its records are named by an outside key and deduped by it."""

    name: str
    about: str
    key: str
    producer: str
    consumers: tuple[str, ...]
    types: tuple[str, ...]
    retention_days: int = 14
    compact: bool = False
    first_hand: bool = False


@dataclass(frozen=True, slots=True)
class TopicMap:
    """All topics. Every one has `partitions` partitions."""

    partitions: int
    topics: dict[str, Topic]

    def __getitem__(self, name: str) -> Topic:
        return self.topics[name]


@cache
def topic_map() -> TopicMap:
    """The map in topics.yaml. Raises ValueError naming every type that has no model and every model that has no topic."""
    raw: dict[str, Any] = yaml.safe_load(files("libs.contracts").joinpath("topics.yaml").read_text())
    topics = {
        name: Topic(
            name=name,
            about=entry["about"],
            key=entry["key"],
            producer=entry["producer"],
            consumers=tuple(entry["consumers"]),
            types=tuple(entry["types"]),
            retention_days=entry.get("retention_days", 14),
            compact=entry.get("compact", False),
            first_hand=entry.get("first_hand", False),
        )
        for name, entry in raw["topics"].items()
    }
    named = [type_name for topic in topics.values() for type_name in topic.types]
    problems = [
        f"{name} is in topics.yaml but has no model" for name in named if registry.model_of(name) is None
    ]
    problems += [f"{name} has a model but no topic" for name in registry.all_models() if name not in named]
    problems += [f"{name} is on two topics" for name in set(named) if named.count(name) > 1]
    if problems:
        raise ValueError("topics.yaml: " + "; ".join(sorted(problems)))
    return TopicMap(partitions=raw["partitions"], topics=topics)


@cache
def topic_of_type() -> dict[str, Topic]:
    """Wire type -> the one topic that carries it."""
    return {type_name: topic for topic in topic_map().topics.values() for type_name in topic.types}


def partition_of(key: bytes, partitions: int) -> int:
    """Kafka's default partitioner: murmur2 of the key, so that any Kafka client agrees with us."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


_WORD = struct.Struct("<I")


def murmur2(data: bytes) -> int:
    """MurmurHash2 (Austin Appleby, public domain) with Kafka's seed 0x9747b28c; unsigned 32 bits."""
    length = len(data)
    mixer, mask = 0x5BD1E995, 0xFFFFFFFF
    state = (0x9747B28C ^ length) & mask
    whole = length & ~3
    for (read,) in _WORD.iter_unpack(memoryview(data)[:whole]):
        word = (read * mixer) & mask
        word ^= word >> 24
        word = (word * mixer) & mask
        state = ((state * mixer) & mask) ^ word
    if length & 3:
        state ^= int.from_bytes(data[whole:], "little")
        state = (state * mixer) & mask
    state ^= state >> 13
    state = (state * mixer) & mask
    return state ^ (state >> 15)
