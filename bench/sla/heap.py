"""This file is the floor of firing: a heap and the same event loop, nothing else.

`python -m bench.sla.heap FILE SIZE RATE SECONDS START…` fires RATE a second for SECONDS from each START (epoch seconds) on, out
of a heap of SIZE entries; FILE gets (due, fired) of each.
"""

import asyncio
import heapq
import json
import sys
from pathlib import Path
from time import perf_counter, time

import uvloop

TRIED = 100_000
LATER = 6 * 3600.0


async def fire(dues: list[float], size: int) -> list[tuple[float, float]]:
    """Returns when the last of `dues` has fired."""
    rest = size - len(dues)
    heap = [*dues, *(time() + LATER + n * 0.01 for n in range(rest))]
    heapq.heapify(heap)
    left, fired = len(dues), list[tuple[float, float]]()
    while left:
        await asyncio.sleep(max(0.0, heap[0] - time()))
        while heap[0] <= (now := time()):
            fired.append((heapq.heappop(heap), now))
            left -= 1
    return fired


def costs(size: int) -> dict[str, float]:
    """Microseconds to set a timer and to cancel one, in a heap of that size over a table of what is set."""
    rows = {f"clk_{n}/1": 1e9 + n * 7919 % size for n in range(size)}
    heap = [(due, name) for name, due in rows.items()]
    heapq.heapify(heap)
    begun = perf_counter()
    for n in range(TRIED):
        name, due = f"new_{n}/1", 1e9 + n * 104_729 % size
        rows[name] = due
        heapq.heappush(heap, (due, name))
    set_at = perf_counter()
    for n in range(TRIED):
        del rows[f"new_{n}/1"]
    heap = [entry for entry in heap if entry[1] in rows]
    heapq.heapify(heap)
    return {"set_us": (set_at - begun) * 1e6 / TRIED, "cancel_us": (perf_counter() - set_at) * 1e6 / TRIED}


def main(path: Path, size: int, rate: float, seconds: float, *starts: float) -> None:
    dues = [start + n / rate for start in starts for n in range(int(seconds * rate))]
    path.write_text(json.dumps(uvloop.run(fire(dues, size))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:]))
