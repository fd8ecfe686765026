"""This file writes docs/topics.md from topics.yaml: `python -m tools.topics_page [--check]`."""

import sys
from pathlib import Path

from libs.contracts.topics import topic_map

PAGE = Path("docs/topics.md")


def page() -> str:
    """The whole page."""
    topics = topic_map()
    lines = [
        "# The map of topics",
        "",
        "Generated from `libs/contracts/topics.yaml` by `make docs`; a test keeps it current.",
        f"Every topic has {topics.partitions} partitions and Kafka's default partitioner, so one key is in the same partition of each.",
        "",
        "```mermaid",
        "flowchart LR",
    ]
    lines += [f"  {t.producer} -- {t.name} --> {c}" for t in topics.topics.values() for c in t.consumers]
    lines += ["```", "", "| Topic | Key | Producer | Consumers | Kept | Types |", "|---|---|---|---|---|---|"]
    for t in topics.topics.values():
        kept = "compacted" if t.compact else f"{t.retention_days} days" if t.retention_days else "for ever"
        types = ", ".join(f"[`{name}`](../libs/contracts/examples/{name}.json)" for name in t.types)
        lines.append(
            f"| `{t.name}`: {t.about} | {t.key} | {t.producer} | {', '.join(t.consumers)} | {kept} | {types} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    if "--check" in sys.argv:
        if not PAGE.exists() or PAGE.read_text() != page():
            print("docs/topics.md is not current: run `make docs`", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
