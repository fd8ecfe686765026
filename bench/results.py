"""This file keeps what a benchmark measured: one JSON file a run in bench/results, named after its time."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path("bench/results")


def keep(values: Mapping[str, Any], name: str = "") -> Path:
    """Write a run's values; returns the file, `<name>-<time>.json` or `<time>.json`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}{'-' if name else ''}{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(values, indent=1) + "\n")
    return path
