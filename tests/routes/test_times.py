"""Times in queries of market data, and how answers write them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.moments import iso_us
from app.routes.times import TIME_PATTERN, time_us

_AT_US = 1_709_303_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected_us"),
    [
        ("2024-03-01T14:30:00Z", _AT_US),
        ("2024-03-01 14:30", _AT_US),
        ("2024-03-01T15:30:00+01:00", _AT_US),
        ("2024-03-01T15:30:00 01:00", _AT_US),
        ("2024-03-01T04:00:00-1030", _AT_US),
        ("2024-03-01T14:30:00.000000999Z", _AT_US),
        ("2024-03-01T14:30:00.25", _AT_US + 250_000),
        ("2024-03-01", _AT_US - _AT_US % 86_400_000_000),
        ("1709303400", _AT_US),
        ("1709303400000", _AT_US),
        ("1709303400000000", _AT_US),
        ("1709303400000000999", _AT_US),
        ("100000000", 100_000_000_000_000),
        ("0", 0),
        ("0001-01-01T00:00:00+23:59", -62_135_596_800_000_000 - 86_340_000_000),
        ("9999-12-31T23:59:59-23:59", 253_402_300_799_000_000 + 86_340_000_000),
    ],
)
def test_a_time_is_iso_8601_or_an_epoch_whose_unit_its_digits_tell(text: str, expected_us: int) -> None:
    assert time_us(text) == expected_us


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "yesterday",
            "12:00",
            "2024-3-1",
            "2024-02-30",
            "2024-13-01",
            "0000-01-01",
            "2024-03-01T24:00",
            "2024-03-01T14:30:60",
        ),
        *(
            "2024-03-01T14:30:00+24:00",
            "-1",
            "1",
            "20240301",
            "01709303400",
            "17093034000",
            "1.7e9",
            "1709303400\n",
            "１７０９３０３４００",
        ),
        *("2024-03-01T14:30:00.1234567890Z", "9" * 20),
    ],
)
def test_what_is_no_time_or_could_be_several_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        time_us(text or "?")


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(8999, 1, 1)))  # noqa: DTZ001 - in UTC
def test_a_time_comes_back_as_it_was_written(when: datetime) -> None:
    at_us = (when.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
    assert time_us(iso_us(at_us)) == at_us
    assert datetime.fromisoformat(iso_us(at_us)) == when.replace(tzinfo=UTC)


@given(st.from_regex(TIME_PATTERN) | st.text(max_size=30))
def test_whatever_the_pattern_of_times_does_not_take_is_refused(text: str) -> None:
    try:
        time_us(text)
    except ValueError:
        return
    assert re.fullmatch(TIME_PATTERN, text, re.ASCII)
