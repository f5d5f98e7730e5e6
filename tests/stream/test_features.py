"""Rows of features of a stream: the same bytes however messages come, and those of stored trades."""

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.domain.features import Features
from app.market.protocol import TIME_MAX_US, Batch, Symbol
from app.options import MarketPlace
from tests.market.giving import sessions
from tests.market.places import NOON_US, PostgresPlace
from tests.stream.rig import Rig, cancel, gap, heartbeat, trade
from warm.market.feature_files import WRITTEN, Wanted, write_features
from warm.stream.features import FEATURES
from warm.stream.log import Log, LogError, Outgoing
from warm.stream.messages import CancelMessage, Content, HeartbeatMessage

_SIZE = 20
_LATE_S = 2
_SERIES = (("BTC-USD", "coinbase"), ("BTC-USD", "other"), ("ETH-USD", "coinbase"), ("AAPL", "nasdaq"))
_SESSIONS = sessions(date(2023, 11, 15), [1], opens_min=721)
"""From 12:01 to 12:02."""


def _begun(make_rig: Callable[..., Rig], partitions: int = 1) -> Rig:
    rig = make_rig(partitions, _SIZE)
    writer = rig.market.writer()
    writer.put_sessions("X", _SESSIONS)
    writer.put_symbols([Symbol("AAPL", market="X")])
    return rig


def _market(rng: random.Random, last_s: float) -> list[tuple[float, Content]]:
    """When each happens, in seconds after noon: trades of all series, some of them lost, some taken back."""
    found: list[tuple[float, Content]] = []
    for symbol, venue in _SERIES:
        times, price = sorted(rng.uniform(0, last_s) for _ in range(40)), 100.0
        for number, second in enumerate(times, 1):
            price *= 1 + rng.gauss(0, 1e-3)
            said: dict[str, Any] = {
                "sequential": venue != "other",
                "price": Decimal(f"{price:.4f}"),
                "size": Decimal(rng.randrange(3)),
                "closing": rng.random() < 0.2,
            }
            if rng.random() < 0.9:
                found.append((second, trade(number, second, symbol=symbol, venue=venue, **said)))
            if rng.random() < 0.1:
                at_us = NOON_US + int(second * 1_000_000)
                found.append((second, CancelMessage(schema=1, symbol=symbol, time_us=at_us, venue=venue, trade_id=str(number))))
    return found


def _starts() -> list[Content]:
    """What sources say first. Before that nobody knows what is lost."""
    return [HeartbeatMessage(schema=1, symbol=symbol, time_us=NOON_US, venue=venue) for symbol, venue in _SERIES]


def _ends(last_s: float) -> list[Content]:
    """What a source says when it is done: that it was heard once its last rows are waited for no more."""
    at_us = NOON_US + int((last_s + _LATE_S + 1) * 1_000_000)
    return [HeartbeatMessage(schema=1, symbol=each, time_us=at_us, venue="v") for each in {symbol for symbol, _ in _SERIES}]


def _consumed(rig: Rig, messages: Sequence[Content], rng: random.Random | None = None) -> list[bytes]:
    """The rows of ``messages``: at once, or, with ``rng``, in any parts and by consumers that begin anew."""
    left = [*messages]
    while left:
        count = rng.randint(1, len(left)) if rng else len(left)
        rig.append(*left[:count])
        left = left[count:]
        if rng is None or not left or rng.random() < 0.5:
            rig.consume(batch_max=rng.randint(1, 30) if rng else 1_000)
    return sorted(rig.feature_rows())


def _offline(rig: Rig, path: Path, **wanted: Any) -> list[bytes]:  # noqa: ANN401 - of `Wanted`
    """As `decide features` writes them."""
    market = rig.market
    url = market.url if isinstance(market, PostgresPlace) else ""
    place = MarketPlace(url=url, read_url="", password="", path=market.path, migrates=False)
    assert write_features(Wanted(path, 0, TIME_MAX_US, [], _SIZE)._replace(**wanted), place) == WRITTEN
    return sorted(map(_message, _read(path)))


def _read(path: Path) -> Iterable[Features]:
    return (Features(**row) for row in pl.read_parquet(path).iter_rows(named=True))


def _message(row: Features) -> bytes:
    return b'{"schema":1,"type":"features",' + msgspec.json.encode(row)[1:]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None, phases=[Phase.generate])
def test_rows_of_a_stream_are_those_of_its_stored_trades_however_they_came(
    make_rig: Callable[..., Rig], tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """With none late: in one batch or many, of one partition or more, by one consumer or by many one after the other."""
    rng = random.Random(seed)
    last_s = rng.choice((20.0, 200.0, 5_000.0))
    # As much out of order as is waited for; some are told twice.
    told = [(second + rng.uniform(0, _LATE_S), each) for second, each in _market(rng, last_s)]
    told += rng.choices(told, k=10)
    messages = [*_starts(), *(each for _, each in sorted(told, key=lambda each: each[0])), *_ends(last_s)]
    once = _consumed(_begun(make_rig), messages)
    rig = _begun(make_rig, rng.randint(1, 3))
    assert _consumed(rig, messages, rng) == once
    assert _offline(rig, tmp_path_factory.mktemp("rows") / "rows.parquet") == once
    assert len({(row["symbol"], row["time_s"]) for row in map(msgspec.json.decode, once)}) == len(once) > 0
    assert rig.counted("late_for_features_trades_total") == 0


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None, phases=[Phase.generate])
def test_rows_do_not_depend_on_how_messages_are_read_together_be_they_late(make_rig: Callable[..., Rig], seed: int) -> None:
    """Late trades, cancels and gaps change rows to come, and always the same ones."""
    rng = random.Random(seed)
    last_s = rng.choice((60.0, 600.0))
    told = [(second + rng.choice((0, 0, 0, 4, 10, last_s / 2)), each) for second, each in _market(rng, last_s)]
    for second in (rng.uniform(1, last_s) for _ in range(5)):
        # Of a source whose ids do not tell it.
        said = gap(second / 2, second, filled=rng.random() < 0.5)
        told.append((second, msgspec.structs.replace(said, venue="other")))
    messages = [*_starts(), *(each for _, each in sorted(told, key=lambda each: each[0])), *_ends(2 * last_s)]
    once = _consumed(_begun(make_rig), messages)
    rig = _begun(make_rig)
    assert _consumed(rig, messages, rng) == once
    assert rig.counted("feature_rows_total") == len(once) > 0


def _seconds(rig: Rig) -> list[int]:
    """Of all rows, after noon."""
    return [msgspec.json.decode(each)["time_s"] - NOON_US // 1_000_000 for each in rig.feature_rows()]


def test_a_row_is_published_once_its_partition_was_heard_2_s_past_its_second(make_rig: Callable[..., Rig]) -> None:
    """Of any symbol; heartbeats count, messages of providers' prices do not."""
    rig = make_rig(1, _SIZE)
    rig.append(trade(1, 0.5), trade(2, 2.999, symbol="ETH-USD"), heartbeat(2.999))
    rig.consume()
    assert _seconds(rig) == []
    rig.append(heartbeat(3))
    rig.consume()
    assert _seconds(rig) == [0]
    rig.append(trade(3, 5.2))
    rig.consume()
    assert _seconds(rig) == [0, 2]


def test_a_later_trade_changes_no_row_that_was_published_and_counts_in_those_to_come(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(1, _SIZE)
    rig.append(trade(1, 0), trade(2, 9), trade(3, 4), heartbeat(20))
    rig.consume()
    rows = [msgspec.json.decode(each) for each in rig.feature_rows()]
    assert [(row["time_s"] - NOON_US // 1_000_000, row["n"]) for row in rows] == [(0, 1), (9, 3)]
    assert rig.counted("late_for_features_trades_total") == 1


def test_without_the_setting_no_row_is_published(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.append(trade(1, 0), heartbeat(9))
    rig.consume()
    assert rig.log.watermarks(FEATURES) == {}


def test_while_rows_cannot_be_published_nothing_is_written(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(1, _SIZE)
    failures = [1, 2]

    class Failing:
        def __init__(self, log: Log) -> None:
            self._log = log

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of what it wraps
            return getattr(self._log, name)

        def append(self, topic: str, messages: Sequence[Outgoing]) -> Any:  # noqa: ANN401 - its own
            if failures:
                assert (topic, failures.pop(), rig.ids()) == (FEATURES, len(failures) + 1, [])
                raise LogError("log_error", "no room")
            return self._log.append(topic, messages)

    rig.append(trade(1, 0), trade(2, 1), heartbeat(9))
    rig.consume(log=Failing)
    assert [event for event, _ in rig.told] == ["failed", "failed"]
    assert rig.ids() == ["1", "2"]
    assert _seconds(rig) == [0, 1]


def test_trades_that_were_loaded_before_have_the_rows_of_the_stream_that_brings_them_again(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """Of what was loaded beside, only what is as new."""
    rig = make_rig(1, _SIZE)
    told = [trade(number, number * 0.4, price=Decimal(90 + number % 7)) for number in range(1, 60)]
    loaded = [*told, *(trade(number, -number) for number in range(100, 140)), trade(200, 500)]
    rig.market.writer().apply(Batch(trades=[each.trade() for each in loaded]))
    rig.append(*told, heartbeat(30))
    rig.consume(batch_max=7)
    offline = [
        each for each in _offline(rig, tmp_path / "rows.parquet") if 1_000_000 * msgspec.json.decode(each)["time_s"] >= NOON_US
    ]
    assert sorted(rig.feature_rows()) == [each for each in offline if b'"time_s":1700050100' not in each]
    assert len(set(_seconds(rig))) == 24


def test_sessions_that_become_known_meanwhile_count_in_rows_to_come(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    """A closing print then belongs to another bar."""
    rig, writes = make_rig(1, _SIZE), []

    class Knowing:
        def __init__(self, writer: Any) -> None:  # noqa: ANN401 - a writer
            self._writer = writer

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of what it wraps
            return getattr(self._writer, name)

        def apply(self, *given: Any) -> Any:  # noqa: ANN401 - its own
            writes.append(1)
            if len(writes) == 2:
                self._writer.put_sessions("X", _SESSIONS)
                self._writer.put_symbols([Symbol("AAPL", market="X")])
            return self._writer.apply(*given)

    said: dict[str, Any] = {"symbol": "AAPL", "sequential": False}
    rig.append(
        trade(1, 110, **said),
        trade(2, 119, **said),
        trade(3, 121, **said),
        trade(4, 130, closing=True, **said),
        trade(5, 140, **said),
    )
    rig.append(*_ends(140))
    rig.consume(batch_max=3, writer=Knowing)
    last, offline = rig.feature_rows()[-1], _offline(rig, tmp_path / "rows.parquet")
    assert last in offline
    assert msgspec.json.decode(last)["volume_rate_1m"] > 0


def test_rows_of_a_span_are_those_of_the_whole_that_lie_in_it(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    """Though what came before is made anew from bars."""
    rig, rng = _begun(make_rig), random.Random(5)
    _consumed(rig, [each for _, each in sorted(_market(rng, 5_000), key=lambda each: each[0])])
    whole = _offline(rig, tmp_path / "whole.parquet")
    start_us, end_us = NOON_US + 700_000_000, NOON_US + 3_000_000_000
    within = [each for each in whole if start_us <= msgspec.json.decode(each)["time_s"] * 1_000_000 < end_us]
    assert _offline(rig, tmp_path / "some.parquet", start_us=start_us, end_us=end_us) == within != []
    ether = [each for each in whole if b"ETH-USD" in each]
    assert _offline(rig, tmp_path / "one.parquet", symbols=["ETH-USD"]) == ether != []


_KILLED: tuple[Any, ...] = (
    *(trade(1, 0), trade(2, 1), trade(4, 6)),
    *(trade(3, 2), cancel(2, 9), trade(5, 9)),
    *(heartbeat(30),),
)
"""Three batches, with a late trade, a cancel and a gap; rows in most."""


def test_killed_at_any_step_no_row_is_missing_and_none_is_another(
    make_rig: Callable[..., Rig], killed: Callable[[Rig, int], tuple[int, str]]
) -> None:
    """One that is published twice is the same."""
    rig = make_rig(1, _SIZE)
    rig.append(*_KILLED)
    rig.consume(batch_max=3)
    expected, number, code, twice = sorted(rig.feature_rows()), 0, -9, 0
    while code:
        # Each takes a while.
        number += 1 if rig.market.database == "sqlite" else 4
        rig = make_rig(1, _SIZE)
        rig.append(*_KILLED)
        code, moment = killed(rig, number)
        assert code in (0, -9)
        rig.consume(batch_max=2 + number % 3)
        rows = rig.feature_rows()
        assert sorted({*rows}) == expected, (number, moment)
        twice += len(rows) > len(expected)
    assert twice > 0 or rig.market.database == "postgres"
