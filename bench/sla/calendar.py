"""This file measures deadlines and elapsed times on a business calendar, beside bare timedelta arithmetic: `python -m bench.sla.calendar`."""

import random
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from time import perf_counter_ns, process_time_ns

from libs.workspace import Calendar, Holidays, OwnDay, Span
from services.sla.calendars import defined
from services.sla.domain.hours import OpenHours

ROUNDS, CALLS = 200, 500
BOUND = 5.0
"""Microseconds that a deadline may take on average."""

OFFICE = Calendar(
    "office",
    "Europe/Berlin",  # its clocks change, Jakarta's do not
    ((Span(480, 720), Span(780, 1020)),) * 5 + ((Span(480, 720),), ()),
    Holidays("ID"),
    closed=(date(2026, 12, 24),),
    days=(OwnDay(date(2026, 12, 31), (Span(480, 720),)),),
)
TARGETS = [timedelta(minutes=n) for n in (1, 15, 60, 240, 480, 960, 2400, 9600)]

Case = tuple[datetime, timedelta, datetime]


def cases(seed: int) -> list[Case]:
    """(start, target, some later moment), spread over two years and over the hours of the day."""
    dice = random.Random(seed)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    starts = [first + timedelta(microseconds=dice.randrange(730 * 86_400_000_000)) for _ in range(CALLS)]
    return [
        (start, dice.choice(TARGETS), start + timedelta(seconds=dice.randrange(30 * 86_400)))
        for start in starts
    ]


Call = Callable[[datetime, timedelta, datetime], object]


def mean(call: Call) -> float:
    """Microseconds of processor time a call, the loop around it included; what else the machine does is not in it."""
    total = 0
    for seed in range(ROUNDS):
        these = cases(seed)
        start = process_time_ns()
        for case in these:
            call(*case)
        total += process_time_ns() - start
    return total / (ROUNDS * CALLS * 1000)


def singly(call: Call) -> list[float]:
    """Microseconds of each call by the wall clock; what reading the clock costs is taken off."""
    empty = min(_nanoseconds() for _ in range(10_000))
    found = []
    for seed in range(ROUNDS):
        for case in cases(seed):
            start = perf_counter_ns()
            call(*case)
            found.append((perf_counter_ns() - start - empty) / 1000)
    return found


def _nanoseconds() -> int:
    start = perf_counter_ns()
    return perf_counter_ns() - start


def main() -> int:
    begun = process_time_ns()
    definition = defined(OFFICE)
    known = process_time_ns()
    hours = OpenHours(definition)
    hours.elapsed(datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 12, 31, tzinfo=UTC))
    laid_out = process_time_ns()
    print(f"holidays and changes of 30 years looked up in {(known - begun) / 1e6:.0f} ms, once a process;")
    print(f"four years laid out in {(laid_out - known) / 1e6:.1f} ms, once a calendar")
    print(f"\n{ROUNDS * CALLS} calls each, us            mean     p50     p99")
    means = {}
    for name, call in (
        ("deadline, timedelta", lambda start, target, _: start + target),
        ("deadline, calendar", lambda start, target, _: hours.after(start, target)),
        ("elapsed, timedelta", lambda start, _, end: end - start),
        ("elapsed, calendar", lambda start, _, end: hours.elapsed(start, end)),
    ):
        means[name], taken = mean(call), singly(call)
        p50, p99 = (statistics.quantiles(taken, n=100)[at] for at in (49, 98))
        print(f"{name:28}{means[name]:9.2f}{p50:8.2f}{p99:8.2f}")
    reached = means["deadline, calendar"] < BOUND
    print(f"\na deadline under {BOUND:g} us on average: {'reached' if reached else 'NOT reached'}")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
