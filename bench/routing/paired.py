"""This file compares two policies on the same seeds: the mean difference and ratio, and how sure they are."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the half width of its confidence interval, of 95 % unless said otherwise; infinite from a single value."""

    mean: float
    half_width: float

    def has(self, value: float) -> bool:
        return abs(value - self.mean) <= self.half_width


@dataclass(frozen=True, slots=True)
class Paired:
    """Ours against theirs, seed by seed; smaller is better.

    `difference` is ours minus theirs, `ratio` of the means, `worse` the seeds on which ours is larger, `median` the
    difference on the median seed.
    """

    seeds: int
    difference: Interval
    ratio: Interval
    worse: int
    median: float


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Raises statistics.StatisticsError for no values."""
    mean = statistics.fmean(values)
    n = len(values)
    if n == 1:
        return Interval(mean, math.inf)
    return Interval(mean, student_t(n - 1, confidence) * statistics.stdev(values) / math.sqrt(n))


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Paired:
    """Both in the order of the same seeds. Raises ValueError where there are not as many of each."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    return Paired(
        len(differences),
        interval(differences),
        _ratio(ours, theirs),
        sum(d > 0 for d in differences),
        statistics.median(differences),
    )


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Of the means; its error to first order from the residuals a - r b (the usual ratio estimator)."""
    below = statistics.fmean(theirs)
    if below == 0:
        return Interval(math.nan, math.inf)
    ratio = statistics.fmean(ours) / below
    residuals = interval([a - ratio * b for a, b in zip(ours, theirs, strict=True)])
    return Interval(ratio, residuals.half_width / below)


def student_t(freedom: int, confidence: float = 0.95) -> float:
    """The two-sided quantile of Student's t, by bisection of the angle whose tangent is t / sqrt(freedom).

    Raises ValueError for no degrees of freedom.
    """
    if freedom < 1:
        raise ValueError("an interval needs two values")
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _within(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """P(|t| <= sqrt(freedom) tan(angle)): the finite sums 26.7.3 and 26.7.4 of Abramowitz and Stegun."""
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2 == 1
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (k + 1) / (k + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
