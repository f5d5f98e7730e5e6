"""When the next bars are over: what makes a price stale, by interval and calendar."""

from pathlib import Path

import pytest

from app.domain.policy import HYBRID_1, Policy
from app.domain.staleness import Limits
from tests.kit.files import put
from tests.kit.records import evidence_of
from tests.warm.running import HEADER, utc, warm
from warm.calendar.due import due_ms
from warm.calendar.intervals import Market
from warm.calendar.sessions import open_session

EACH = open_session(None, None, None)
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


def due(symbol: str, as_of_ms: int, interval: str, *, never: bool = False) -> list[int]:
    """As for a run without options."""
    return list(due_ms(symbol, as_of_ms, Market(interval, never), EACH.of(symbol)))


CASES = {
    "coins by the hour": (
        ("BTC-USD", utc(2024, 3, 8, 23), "1h", True),
        [utc(2024, 3, 9, hour) for hour in range(5)],
    ),
    "coins by the day": (("BTC-USDT", utc(2024, 3, 9), "1d", True), [utc(2024, 3, day) for day in range(10, 15)]),
    "currencies rest at the weekend": (
        ("EUR-USD", utc(2024, 3, 8, 20), "1h", True),
        [utc(2024, 3, 8, 21), *(utc(2024, 3, 10, 23), utc(2024, 3, 11), utc(2024, 3, 11, 1), utc(2024, 3, 11, 2))],
    ),
    "currencies by the day": (
        ("EUR-USD", utc(2024, 3, 8), "1d", True),
        [utc(2024, 3, 9), *(utc(2024, 3, day) for day in (12, 13, 14, 15))],
    ),
    "currencies rest at Christmas": (
        ("EUR-USD", utc(2024, 12, 24, 21), "1h", True),
        [utc(2024, 12, 24, 22), *(utc(2024, 12, 26, hour) for hour in (1, 2, 3, 4))],
    ),
    "currencies by the day at New Year": (
        ("EUR-USD", utc(2025, 12, 31), "1d", True),
        [utc(2026, 1, 1), utc(2026, 1, 3), *(utc(2026, 1, day) for day in (6, 7, 8))],
    ),
    "New York over a weekend and the change of its clock": (
        ("AAPL", utc(2024, 3, 8, 21), "1d", False),
        [utc(2024, 3, day, 20) for day in (11, 12, 13, 14, 15)],
    ),
    "New York at Thanksgiving": (
        ("AAPL", utc(2024, 11, 27, 21), "1d", False),
        [utc(2024, 11, 29, 18), *(utc(2024, 12, day, 21) for day in (2, 3, 4, 5))],
    ),
    "Shanghai's golden week": (
        ("600519.SH", utc(2024, 9, 30, 7), "1d", False),
        [utc(2024, 10, day, 7) for day in (8, 9, 10, 11, 14)],
    ),
    "hours of New York end with the session": (
        ("AAPL", utc(2024, 3, 8, 20, 30), "1h", False),
        [utc(2024, 3, 8, 21, 30), *(utc(2024, 3, 11, hour, 30) for hour in (14, 15, 16, 17))],
    ),
    "an early close ends the hours": (
        ("AAPL", utc(2024, 11, 29, 17, 30), "1h", False),
        [utc(2024, 11, 29, 18, 30), *(utc(2024, 12, 2, hour, 30) for hour in (15, 16, 17, 18))],
    ),
    "Tokyo's pause": (
        ("7203.T", utc(2024, 3, 8, 2), "1h", False),
        [utc(2024, 3, 8, 3), *(utc(2024, 3, 8, hour, 30) for hour in (4, 5, 6)), utc(2024, 3, 11, 1)],
    ),
    "weeks": (
        ("AAPL", utc(2024, 3, 17, 20), "1w", False),
        [utc(2024, 3, 24, 20), utc(2024, 3, 31, 20), *(utc(2024, 4, day, 20) for day in (7, 14, 21))],
    ),
    "months": (
        ("AAPL", utc(2024, 1, 31, 21), "1M", False),
        [utc(2024, 2, 29, 21), utc(2024, 3, 31, 20), utc(2024, 4, 30, 20), utc(2024, 5, 31, 20), utc(2024, 6, 30, 20)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_next_bars_end_when_the_market_brings_them(case: str) -> None:
    (symbol, as_of_ms, interval, never), expected = CASES[case]
    assert due(symbol, as_of_ms, interval, never=never) == expected


def test_a_week_without_a_session_brings_no_bar() -> None:
    """Shanghai was closed for all of the golden week of 2023."""
    assert due("600519.SH", utc(2023, 10, 1, 7), "1w")[0] == utc(2023, 10, 15, 7)


def test_where_the_caller_says_when_it_closes_weekdays_count() -> None:
    """Of such an exchange no holidays are known."""
    said = open_session("Europe/London", "18:00", None)
    found = due_ms("AAPL", utc(2024, 12, 24, 18), Market("1d", never_closes=False), said.of("AAPL"))
    assert list(found) == [utc(2024, 12, day, 18) for day in (25, 26, 27, 30, 31)]
    hourly = due_ms("AAPL", utc(2024, 12, 24, 17, 30), Market("1h", never_closes=False), said.of("AAPL"))
    assert list(hourly[:2]) == [utc(2024, 12, 24, 18, 30), utc(2024, 12, 25, 12, 30)]


def status(folder: Path, symbol: str, stamps: list[str], now_ms: int) -> str:
    """What a server with plain settings calls a price at ``now_ms``."""
    path = put(folder / "p.csv", HEADER + "\n".join(f"{symbol},{stamp},1,2,1,1.5,3" for stamp in stamps))
    outcome = warm("--prices", path, now_ms=now_ms)
    assert outcome.code == 0, outcome.report
    limits = Limits(price_ms=0.0, agents_ms=7.0 * _DAY_MS, input_ms=30.0 * _DAY_MS, half_life_ms=_DAY_MS, price_bars=2)
    return Policy(HYBRID_1, limits).judge(evidence_of(outcome.store.price(symbol), None), now_ms).statuses[0]


HOURS = [f"2024-03-05T{hour:02}:00:00Z" for hour in range(24)]
DAYS = [f"2024-03-{day:02}" for day in (4, 5, 6, 7, 8)]


@pytest.mark.parametrize(
    ("symbol", "stamps", "now_ms", "expected"),
    [
        ("BTC-USD", HOURS, utc(2024, 3, 6, 1, 59), "present"),
        ("BTC-USD", HOURS, utc(2024, 3, 9), "stale"),
        ("EUR-USD", [each.replace("-05T", "-08T") for each in HOURS[:21]], utc(2024, 3, 10, 22), "present"),
        ("AAPL", DAYS, utc(2024, 3, 12, 19), "present"),
        ("AAPL", DAYS, utc(2024, 3, 12, 21), "stale"),
        ("AAPL", ["2024-03-26", "2024-03-27", "2024-03-28"], utc(2024, 4, 2, 19), "present"),
        ("600519.SH", ["2024-02-06", "2024-02-07", "2024-02-08"], utc(2024, 2, 19), "present"),
        ("SAP.DE", DAYS, utc(2024, 3, 12, 17), "stale"),
    ],
    ids=[
        "an hour late", "hours three days old", "currencies on Sunday", "Monday's is missing", "Tuesday's too", "Easter",
        "Lunar New Year", "Xetra's close",
    ],
)  # fmt: skip
def test_an_input_is_stale_when_its_next_bars_have_not_come(
    symbol: str, stamps: list[str], now_ms: int, expected: str, tmp_path: Path
) -> None:
    assert status(tmp_path, symbol, stamps, now_ms) == expected
