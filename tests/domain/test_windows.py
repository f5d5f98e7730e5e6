"""Features are a function of the set of trades: of no order, split or restart."""

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.candles import MINUTE_US, SECOND_US, by_minute, candle_of, grid_of, realised
from app.domain.features import DAY_S, HOUR_US, Features, lost_s
from app.domain.prices import exact
from app.domain.trades import Trade, trade_key
from app.domain.window_bars import Bar, bar_of
from app.domain.windows import BARS, Windows, trades_from
from tests.kit.windows import defined

_BEGIN_US = 1_700_000_000_000_000 - 1_700_000_000_000_000 % (24 * HOUR_US)
_CLOSES = [_BEGIN_US + 2 * HOUR_US, _BEGIN_US + 26 * HOUR_US]


def _trade(time_us: int, price: str = "5", size: str = "1", *, key: str = "", closing: bool = False) -> Trade:
    return Trade("V", "A", trade_key(key or str(time_us)), time_us, exact(price), exact(size), key, closing=closing)


def _dense(rng: random.Random) -> list[int]:
    """Many in a second, some in a microsecond."""
    return [rng.choice((1, SECOND_US)) * rng.randrange(6 * 60) * rng.choice((1, 1, 2)) for _ in range(120)]


def _around_closes(rng: random.Random) -> list[int]:
    """From three minutes before to half an hour after each close."""
    times = [rng.randrange(-3 * MINUTE_US, 30 * MINUTE_US) for _ in range(60)]
    return [rng.choice(_CLOSES) - _BEGIN_US + us for us in (*times, *(rng.randrange(-1, 2) for _ in range(4)))]


def _sparse(rng: random.Random) -> list[int]:
    """Some in most of 60 hours, many next to where one hour ends."""
    edges = [rng.randrange(60) * HOUR_US + rng.randrange(-3, 3) * MINUTE_US + 3 * MINUTE_US for _ in range(90)]
    return [us + rng.choice((0, 0, 30 * SECOND_US)) for us in edges]


def _steady(rng: random.Random) -> list[int]:
    """Most minutes of two hours, one or two trades in each."""
    return [rng.randrange(2 * HOUR_US) for _ in range(150)]


def _trades(rng: random.Random) -> list[Trade]:
    """Each at a time of one of the patterns."""
    times = rng.choice((_dense, _around_closes, _sparse, _steady))(rng)
    return [
        _trade(
            _BEGIN_US + us,
            str(Decimal(rng.randrange(9_900, 10_100)) / 100),
            str(rng.randrange(4)),
            key=str(n),
            closing=rng.random() < 0.2,
        )
        for n, us in enumerate(times)
    ]


def _batches(trades: Sequence[Trade], rng: random.Random) -> list[list[Trade]]:
    """As they arrive: most about in order, some late, a few very late."""
    delays_us = [rng.choice([0, 0, 0, 0, 0, 2 * SECOND_US, 4 * MINUTE_US, 50 * HOUR_US]) for _ in trades]
    arrivals = sorted(range(len(trades)), key=lambda n: (trades[n].time_us + delays_us[n], rng.random()))
    ordered = [trades[n] for n in arrivals]
    cuts = sorted({0, len(ordered), *(rng.randrange(len(ordered)) for _ in range(rng.randrange(12)))})
    return [ordered[a:b] for a, b in itertools.pairwise(cuts)]


def _stored(trades: Iterable[Trade], closes: Sequence[int]) -> list[Bar]:
    """The bars that a market store has of ``trades``."""
    bars: list[Bar] = []
    before: tuple[int, Decimal] | None = None
    for (_, start_us), group in sorted(by_minute(trades, {"A": closes}).items()):
        candle = candle_of(group)
        close = float(before[1]) if before and before[0] == start_us - MINUTE_US else None
        rv, covered_s = realised(grid_of(start_us, group), close)
        bars.append(bar_of(start_us, candle.high, candle.low, candle.close, candle.volume, candle.trades, rv, covered_s))
        before = start_us, candle.close
    return bars


def _anew(trades: Sequence[Trade], size: int, closes: Sequence[int]) -> Windows:
    """Made of no more than what is needed of a store."""
    bars = _stored(trades, closes)[-BARS:]
    ordered = sorted(trades, key=lambda each: each.order)
    sized = [each for each in ordered if each.size]
    from_us = trades_from([bar.start_us for bar in bars], closes) if bars else 0
    oldest_us = min([from_us, *(each.time_us for each in sized[-size:])])
    return Windows.of(bars, [each for each in ordered if each.time_us >= oldest_us], size, closes)


def _add(windows: Windows, trades: Iterable[Trade], closes: Sequence[int]) -> bool:
    groups = sorted(by_minute(trades, {"A": closes}).items())
    return all(windows.add(start_us, group) for (_, start_us), group in groups)


def _numbers(features: Features) -> dict[str, float]:
    found = msgspec.structs.asdict(features)
    assert found.pop("symbol") == "A"
    return found


@pytest.mark.parametrize("size", [5, 90])
@pytest.mark.parametrize("closes", [[], _CLOSES], ids=["always", "sessions"])
@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_any_order_split_and_restart_give_the_same_features(closes: list[int], size: int, seed: int) -> None:
    """After each batch those of a state that took the same trades in order, and what the definitions say of them."""
    rng = random.Random(seed)
    windows, seen = Windows(size, closes), list[Trade]()
    for batch in _batches(_trades(rng), rng):
        seen += batch
        if not _add(windows, batch, closes) or rng.random() < 0.1:
            windows = _anew(seen, size, closes)
        if not any(each.size for each in seen):
            continue
        in_order = Windows(size, closes)
        for each in sorted(seen, key=lambda each: each.order):
            assert _add(in_order, [each], closes), "it came in order"
            if each.size and rng.random() < 0.1:
                in_order.features()
        found = windows.features()
        assert msgspec.msgpack.encode(found) == msgspec.msgpack.encode(in_order.features())
    assert _numbers(found) == pytest.approx(defined(seen, size, closes), rel=1e-9, abs=1e-15)


def _made(*trades: Trade, size: int = 50) -> Windows:
    windows = Windows(size)
    assert _add(windows, trades, [])
    return windows


def test_the_ring_says_mean_and_deviation_of_its_log_returns() -> None:
    """Of the last trades by time, venue and key, with ddof 0."""
    trades = [_trade(_BEGIN_US + n * HOUR_US, price) for n, price in enumerate(["7", "100", "110", "99"])]
    found = _made(*trades, size=3).features()
    up, down = math.log(1.1), math.log(0.9)
    assert found.n == 3
    assert found.ret_mean == pytest.approx((up + down) / 2, rel=1e-12)
    assert found.ret_std == pytest.approx((up - down) / 2, rel=1e-12)


def test_windows_are_as_long_as_they_are_called() -> None:
    """A price that doubles each 5 seconds of two hours: each variance is its length's part of it, each rate a fifth."""
    trades = [_trade(_BEGIN_US + n * 5 * SECOND_US, "12" if n % 2 else "6", "10") for n in range(24 * 60 + 1)]
    found = _made(*trades).features()
    step = math.log(2)
    for length_s, volatility in [(10, found.volatility_10s), (60, found.volatility_1m)]:
        assert volatility == pytest.approx(step * math.sqrt(length_s / 5), rel=1e-12)
    for length_s, volatility in [(300, found.volatility_5m), (900, found.volatility_15m), (3600, found.volatility_1h)]:
        assert volatility == pytest.approx(step * math.sqrt(length_s / 5), rel=0.01)
    assert found.volatility_1d == pytest.approx(step * math.sqrt(DAY_S / 5), rel=0.001)
    assert (found.covered_1h_s, found.covered_1d_s) == (59 * 60 + 1, 7201)
    assert found.ewma_94 == pytest.approx(step * math.sqrt(12), rel=0.001)
    assert found.ewma_99 == pytest.approx(step * math.sqrt(12), rel=0.01)
    assert found.range_1h == pytest.approx(step * math.sqrt(59 * 3600 / (59 * 60 + 1) / (4 * math.log(2))), rel=1e-12)
    assert found.range_1m == pytest.approx(step * math.sqrt(60 / 61 / (4 * math.log(2))), rel=1e-12)
    assert found.trade_rate_1m == pytest.approx(13 / 61)
    assert found.volume_rate_1h == pytest.approx(10 * found.trade_rate_1h) == pytest.approx(10 * (59 * 12 + 1) / (59 * 60 + 1))


def test_one_trade_says_nothing_of_volatility() -> None:
    """Only that it was."""
    found = _numbers(_made(_trade(_BEGIN_US + 7 * SECOND_US, "3", "2")).features())
    told = {key: value for key, value in found.items() if value}
    rates = {"volume_rate_1m": 2.0, "volume_rate_1h": 2.0, "trade_rate_1m": 1.0, "trade_rate_1h": 1.0}
    assert told == {"time_s": _BEGIN_US // SECOND_US + 7, "n": 1, "covered_1h_s": 1, "covered_1d_s": 1, **rates}


def test_equal_prices_have_no_volatility() -> None:
    found = _numbers(_made(*(_trade(_BEGIN_US + n * SECOND_US, "0.1") for n in range(300))).features())
    assert found["ret_std"] == found["ret_mean"] == 0
    assert [value for key, value in found.items() if key.startswith(("volatility", "ewma", "range")) and value] == []


def test_no_price_makes_a_number_that_is_none() -> None:
    """From the least to the greatest that a trade can have, also within one microsecond and with the least and greatest sizes."""
    prices, sizes = itertools.cycle(["1e-30", "1e29", "5"]), itertools.cycle(["1e-30", "1e29"])
    trades = [
        _trade(_BEGIN_US + n // 2 * 20 * SECOND_US, next(prices), next(sizes), key=str(n)) for n in range(600)
    ]  # fmt: skip
    found = _numbers(_made(*trades).features())
    assert [key for key, value in found.items() if not math.isfinite(value)] == []
    assert found["volatility_1m"] > 100


def test_trades_of_one_microsecond_stand_in_the_order_of_their_keys() -> None:
    """Whatever the order in which they come."""
    trades = [_trade(_BEGIN_US, str(n), key=str(n)) for n in range(1, 12)]
    windows = Windows()
    for each in reversed(trades):
        assert _add(windows, [each], [])
    assert windows.features().ret_mean == pytest.approx(math.log(11) / 10, rel=1e-12)
    assert windows.features() == _made(*trades).features()


def test_a_bar_whose_grid_is_gone_takes_no_trade() -> None:
    """Nothing of it is taken, until it is older than all that is shown."""
    minutes = [_trade(_BEGIN_US + n * 30 * MINUTE_US, str(5 + n % 3)) for n in range(60)]
    windows = _made(*minutes, size=4)
    before = windows.features()
    assert not _add(windows, [_trade(_BEGIN_US + 28 * HOUR_US + 5, "9")], [])
    assert not _add(windows, [_trade(_BEGIN_US + 7 * HOUR_US, "9", key="a")], [])
    assert _add(windows, [_trade(_BEGIN_US + 4 * HOUR_US, "9", key="a")], [])
    assert windows.features() == before
    assert not _add(windows, [_trade(_BEGIN_US + 5 * HOUR_US - 1)], [])
    assert _add(windows, [_trade(_BEGIN_US + 5 * HOUR_US - MINUTE_US - 1)], [])
    younger = _made(*minutes[:30], size=4)
    assert not _add(younger, [_trade(_BEGIN_US - HOUR_US)], [])


def test_a_late_trade_is_reckoned_from_the_close_before_its_bar() -> None:
    """Also where that close is of the hour before."""
    seconds = [(60 * 60, "5"), (179 * 60, "3"), (180 * 60 + 20, "6"), (250 * 60, "5"), (310 * 60, "6")]
    trades = [_trade(_BEGIN_US + second * SECOND_US, price) for second, price in seconds]
    late = _trade(_BEGIN_US + (180 * 60 + 10) * SECOND_US, "9")
    windows = _made(*trades)
    assert _add(windows, [late], [])
    assert windows.features() == _made(late, *trades).features()


@pytest.mark.parametrize("minutes", [2, 9])
def test_a_late_trade_of_a_minute_before_counts_in_windows_that_were_read(minutes: int) -> None:
    """Also by a state made anew, of bars alone or of bars and older trades."""
    trades = [_trade(_BEGIN_US + n * 20 * SECOND_US, str(5 + n % 3)) for n in range(3 * minutes)]
    late = _trade(_BEGIN_US + (minutes - 2) * MINUTE_US + 5, "9")
    for windows in (_made(*trades), _anew(trades, 50, [])):
        windows.features()
        assert _add(windows, [late], [])
        assert windows.features() == _made(*sorted([*trades, late], key=lambda each: each.order)).features()


def test_a_closing_print_is_taken_however_many_bars_came_since() -> None:
    """Also by a state made anew, and where the session's last minute had no trade yet."""
    close_us = _CLOSES[0]
    trades = [_trade(close_us + minute * MINUTE_US, str(10 - abs(minute))) for minute in (-9, *range(1, 8))]
    closing = _trade(close_us + 8 * MINUTE_US, "6", closing=True)
    windows = Windows(50, _CLOSES)
    assert _add(windows, trades, _CLOSES)
    for each in (windows, _anew(trades, 50, _CLOSES)):
        assert _add(each, [closing], _CLOSES)
        assert _numbers(each.features()) == pytest.approx(defined([*trades, closing], 50, _CLOSES), rel=1e-9)
    late = _trade(close_us + 15 * MINUTE_US, closing=True)
    assert _add(windows, [late], _CLOSES)
    assert not _add(windows, [_trade(close_us + 14 * MINUTE_US, closing=True)], _CLOSES)


def test_a_store_without_trades_makes_an_empty_state() -> None:
    """Which takes trades in any order."""
    windows = Windows.of([], [])
    trades = [_trade(_BEGIN_US + n * HOUR_US, str(5 + n)) for n in range(9)]
    for each in (trades[1], trades[0], *trades[2:]):
        assert _add(windows, [each], [])
    assert windows.features() == _made(*trades).features()


def test_a_gap_counts_once_it_is_over() -> None:
    """Within the hour before, and no moment of it twice."""
    second = 10_000
    end_us = (second + 1) * SECOND_US
    assert lost_s([], second) == 0
    assert lost_s([(end_us - 5 * SECOND_US, end_us + 1)], second) == 0
    assert lost_s([(end_us - 5 * SECOND_US, end_us - 500_000)], second) == 4.5
    assert lost_s([(0, end_us - HOUR_US + SECOND_US), (0, 7)], second) == 1
    assert lost_s([(end_us - 9 * SECOND_US, end_us), (end_us - 8 * SECOND_US, end_us - SECOND_US)], second) == 9
    assert lost_s([(end_us - 6 * SECOND_US, end_us), (end_us - 9 * SECOND_US, end_us - 4 * SECOND_US)], second) == 9
    windows = _made(_trade(_BEGIN_US))
    assert windows.features([(_BEGIN_US - SECOND_US, _BEGIN_US)]).gap_s == 1


@pytest.mark.parametrize("size", [1, 10_001])
def test_a_ring_of_no_sense_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size is {size}; allowed: 2 to 10000"):
        Windows(size)
