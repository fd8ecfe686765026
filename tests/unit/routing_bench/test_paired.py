"""This file shows the comparison of two policies on the same seeds."""

import math

import pytest

from bench.routing.paired import interval, paired, student_t


@pytest.mark.parametrize(
    ("freedom", "value"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (29, 2.045), (200, 1.972)],
)
def test_students_t_has_its_tabled_values(freedom: int, value: float) -> None:
    assert student_t(freedom) == pytest.approx(value, abs=6e-4)


def test_students_t_has_its_tabled_values_at_another_confidence() -> None:
    assert student_t(10, 0.999) == pytest.approx(4.587, abs=6e-4)


def test_an_interval_is_the_mean_and_t_standard_errors() -> None:
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.half_width == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert interval([5.0]).half_width == math.inf


def test_what_is_common_to_a_seed_does_not_widen_the_difference() -> None:
    theirs = [0.10, 0.20, 0.30, 0.40]
    found = paired([x - 0.05 for x in theirs], theirs)
    assert found.difference.mean == pytest.approx(-0.05)
    assert found.difference.half_width == pytest.approx(0, abs=1e-12)
    assert found.worse == 0
    assert found.median == pytest.approx(-0.05)
    assert found.ratio.mean == pytest.approx(0.8)


def test_a_policy_that_is_half_on_each_seed_has_the_ratio_one_half_without_error() -> None:
    found = paired([0.1, 0.2, 0.4], [0.2, 0.4, 0.8])
    assert found.ratio.mean == pytest.approx(0.5)
    assert found.ratio.half_width == pytest.approx(0, abs=1e-12)


def test_seeds_on_which_ours_is_worse_are_counted_and_equal_ones_are_not() -> None:
    assert paired([1.0, 2.0, 3.0], [1.0, 1.0, 4.0]).worse == 1


def test_different_numbers_of_seeds_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        paired([1.0], [1.0, 2.0])
