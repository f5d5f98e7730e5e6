"""What an age makes of an input, and what is wrong with one first."""

import pytest

from app.domain.evidence import Trouble
from app.domain.staleness import Limits, judge_input

_LIMITS = Limits(price_ms=1000.0, agents_ms=1000.0, input_ms=5000.0, half_life_ms=1.0, skew_ms=100.0)
_AS_OF_MS = 1_000_000


@pytest.mark.parametrize(
    ("age_ms", "trouble", "expected"),
    [
        (0, None, ("present", 0.0, None)),
        (1000, None, ("present", 1.0, None)),
        (1001, None, ("stale", 1.001, "stale")),
        (5001, None, ("missing", 5.001, "too_old")),
        (500, "l2_timeout", ("stale", 0.5, "l2_timeout")),
        (1001, "l2_timeout", ("stale", 1.001, "stale")),
        (-100, None, ("present", 0.0, None)),
        (-101, None, ("missing", 0.0, "ahead_of_clock")),
    ],
)
def test_an_input_is_present_stale_or_missing_by_its_age(
    age_ms: int, trouble: Trouble | None, expected: tuple[str, float, str | None]
) -> None:
    assert judge_input(_AS_OF_MS, trouble, _AS_OF_MS + age_ms, 1000.0, _LIMITS, None) == expected


def test_a_caller_may_take_no_older_input_than_it_wants() -> None:
    assert judge_input(_AS_OF_MS, None, _AS_OF_MS + 600, 1000.0, _LIMITS, 500.0) == ("missing", 0.6, "older_than_max_age_s")


@pytest.mark.parametrize(("trouble", "expected"), [(None, ("missing", "absent")), ("corrupt", ("error", "corrupt"))])
def test_an_input_that_is_not_there_is_missing_and_one_that_cannot_be_read_an_error(
    trouble: Trouble | None, expected: tuple[str, str]
) -> None:
    status, age_s, reason = judge_input(None, trouble, _AS_OF_MS, 1000.0, _LIMITS, None)
    assert ((status, reason), age_s) == (expected, None)
