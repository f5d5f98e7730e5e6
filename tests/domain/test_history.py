"""Whether bars are those that a price record was made of."""

import msgspec
import pytest

from app.domain.history import lack
from app.domain.vector import HistoryRecord, history_record_fault
from tests.kit.records import AS_OF_MS, history_record

_DAY_MS = 86_400_000


def _history(**fields: object) -> HistoryRecord:
    return msgspec.structs.replace(history_record(bars=40), **{"bars": 40, **fields})


def _lack(history: HistoryRecord, *, back: int = 0, **closes: float) -> str | None:
    """With the record's own bars, so many before them, and one after; ``closes`` by place are others."""
    ends_ms, own = list(history.times_ms), list(history.closes)
    for place, close in closes.items():
        own[int(place[1:])] = close
    earlier = [ends_ms[0] - _DAY_MS * each for each in range(back, 0, -1)]
    return lack(history, [*earlier, *ends_ms, AS_OF_MS + _DAY_MS], [*([1.0] * back), *own, 2.0])


def test_bars_that_are_the_records_own_or_more_lack_nothing() -> None:
    assert _lack(_history()) is None
    assert _lack(_history(), back=60) is None
    assert _lack(_history(bars=100), back=60) is None
    assert _lack(_history(), _7=_history().closes[7] * (1 + 1e-7)) is None


def test_what_is_lacking_is_said() -> None:
    history = _history()
    assert _lack(_history(bars=101), back=60) == "100 bars of 101"
    assert lack(history, history.times_ms[1:], history.closes[1:]) == f"no bar ends at {history.times_ms[0]}"
    said = f"the close at {history.times_ms[7]} is 50.0, not {history.closes[7]}: of another source, or adjusted otherwise"
    assert _lack(history, _7=50.0) == said
    assert _lack(_history(bars=0)) == "the record does not say of how many bars it was made"


def test_closes_of_the_store_itself_may_have_changed_since() -> None:
    assert _lack(_history(is_of_store=True), _39=50.0) is None
    assert _lack(_history(is_of_store=True, bars=41), _39=50.0) == "40 bars of 41"


@pytest.mark.parametrize("bars", [-1, 39, 1_001])
def test_a_count_of_bars_that_cannot_be_is_a_fault(bars: int) -> None:
    fault = history_record_fault(_history(bars=bars))
    assert fault == f"40 closes for 40 times, of {bars} bars where 1000 are allowed"
    assert history_record_fault(_history(bars=1_000)) is None
