"""What is said of data that are too old for the clock."""

import pytest

from app.domain.outdated import outdated


@pytest.mark.parametrize(
    ("age", "said"),
    [(2, None), (3, "all inputs are stale"), (5, "all inputs are stale"), (6, "all inputs are stale, and too old to be used")],
)
def test_data_are_stale_past_one_age_and_not_used_past_another(age: float, said: str | None) -> None:
    assert outdated(age, stale=2, limit=5) == said
