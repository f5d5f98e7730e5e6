"""The scenario of streams: its trades, its ledger and its judgement. That its processes run is its smoke run's to see."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from app.domain.trades import Trade, trade_key
from app.market.opening import open_writer
from app.market.protocol import Batch
from bench import sections
from bench.peers.sampling import Spread
from bench.stream import page
from bench.stream.findings import Beside, Consumed, Followed, StreamFindings, judge
from bench.stream.place import Ledger, Place
from bench.stream.producing import TOPIC, create, number_of, price_of, produce, produce_at, symbols_of
from warm.stream.messages import TradeMessage, decode

_EXACT = Ledger(acknowledged=10, missing=0, double=0, in_candles=10)


def _spread(value: float) -> Spread:
    return Spread.of([value * 0.9, value, value * 1.1])


def _consumed(per_s: float = 130_000.0, end_mb: float = 100.0, ledger: Ledger = _EXACT) -> Consumed:
    return Consumed(trades=10, trades_per_s=per_s, cpu_us=8.0, memory_mb=(100.0, end_mb), kills=3, killed_trades=2, ledger=ledger)


def _followed(p50_ms: float = 3.0, p99_ms: float = 15.0) -> Followed:
    return Followed(rate_per_s=1000.0, symbols=100, asked=10, p50_ms=_spread(p50_ms), p99_ms=_spread(p99_ms))


def _beside(ratio: float = 1.5, wrong: int = 0) -> Beside:
    return Beside(
        rate_per_s=10_000.0,
        symbols=1000,
        hits_per_s=500.0,
        quiet_p99_ms=_spread(2.0),
        busy_p99_ms=_spread(2.0 * ratio),
        ratio=_spread(ratio),
        record_us=_spread(4.0),
        wrong=wrong,
    )


def _findings() -> StreamFindings:
    parts = _consumed(), _followed(), _beside()
    return StreamFindings(
        started_at="2026-11-27T00:00:00+00:00",
        took_s=240.0,
        commit="abc",
        machine={"processor": "one", "cpus": 2},
        load=0.1,
        consumed=parts[0],
        followed=parts[1],
        beside=parts[2],
        goals=judge(*parts),
    )


@pytest.mark.parametrize(
    ("consumed", "followed", "beside", "margin", "met"),
    [
        (_consumed(), _followed(), _beside(), 1.0, [True] * 6),
        (_consumed(per_s=119_999.0), None, None, 1.0, [False, True, True]),
        (_consumed(per_s=119_999.0, end_mb=111.0), None, None, 2.0, [True, False, True]),
        (_consumed(ledger=msgspec.structs.replace(_EXACT, missing=1)), None, None, 10.0, [True, True, False]),
        (_consumed(ledger=msgspec.structs.replace(_EXACT, double=1)), None, None, 1.0, [True, True, False]),
        (_consumed(ledger=msgspec.structs.replace(_EXACT, in_candles=11)), None, None, 1.0, [True, True, False]),
        (None, _followed(p50_ms=4.0), None, 1.0, [False, True]),
        (None, _followed(p50_ms=4.0, p99_ms=41.0), None, 2.0, [True, False]),
        (None, None, _beside(ratio=2.1), 1.0, [False]),
        (None, None, _beside(ratio=2.1), 2.0, [True]),
        (None, None, _beside(wrong=1), 10.0, [False]),
    ],
)
def test_each_goal_of_a_stream_is_judged_by_its_figure(
    consumed: Consumed | None, followed: Followed | None, beside: Beside | None, margin: float, met: list[bool]
) -> None:
    assert [goal.met for goal in judge(consumed, followed, beside, margin)] == met


def test_the_section_of_streams_follows_from_its_json_alone(tmp_path: Path) -> None:
    data, text = sections.write("stream", _findings(), page.markdown(_findings()), tmp_path)
    again = msgspec.json.decode(data.read_bytes(), type=StreamFindings)
    assert text.read_text(encoding="utf-8") == f"{page.markdown(again)}\n"
    assert "| trades that a decision was waited for | 10 |" in page.markdown(again)


@pytest.mark.parametrize("number", [0, 1, 999_999, 50_000_001])
def test_a_price_tells_which_trade_it_was(number: int) -> None:
    assert number_of(str(price_of(number))) == number_of(float(price_of(number))) == number


def test_trades_at_once_and_at_a_rate_are_in_the_log_each_once(tmp_path: Path) -> None:
    log = create(tmp_path / "stream.sqlite3")
    produce(log, symbols_of(3), 0, 7)
    produce_at(log, symbols_of(3), 5, 1000.0, first=7)
    reader = log.reader([TOPIC], lambda _: None)
    messages = [decode(each.value) for each in reader.poll(100, 0.0)]
    reader.close()
    log.close()
    trades = [each for each in messages if isinstance(each, TradeMessage)]
    assert [int(each.trade_id) for each in trades] == list(range(12))
    assert [each.price for each in trades] == [price_of(number) for number in range(12)]
    assert {each.symbol for each in trades} == set(symbols_of(3))


def _stored(folder: Path, numbers: list[int], symbol: str = "B0000-USD") -> None:
    writer = open_writer(url="", path=folder / "market.sqlite3")
    trades = [
        Trade(
            "bench",
            symbol,
            trade_key(str(each)),
            1_700_000_000_000_000 + each,
            Decimal(100),
            Decimal(1),
            str(each),
            "buy",
            "bench",
        )
        for each in numbers
    ]
    writer.apply(Batch(trades=trades))
    writer.close()


def test_a_ledger_knows_what_is_lost_and_what_is_double(tmp_path: Path) -> None:
    place = Place(tmp_path)
    _stored(tmp_path, [0, 1, 2])
    assert place.ledger(3) == Ledger(acknowledged=3, missing=0, double=0, in_candles=3)
    assert place.ledger(3).is_exact
    _stored(tmp_path, [2], "B0001-USD")
    assert place.ledger(5) == Ledger(acknowledged=5, missing=2, double=1, in_candles=4)
    _stored(tmp_path, [9])
    assert place.ledger(3) == Ledger(acknowledged=3, missing=0, double=1, in_candles=5)
