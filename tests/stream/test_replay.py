"""Recorded trades once more: which, when, and from where on. Time is the test's."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from app.__main__ import main
from app.errors import MarketError
from app.market.following import StreamWriter, Then
from app.market.protocol import Applied, Batch
from tests.kit.coinbase import Exchange
from tests.market.places import NOON_US, SECOND_US
from tests.market.places import Place as Market
from tests.stream.feeding import logged, new_rig
from tests.stream.places import TOPIC
from tests.stream.rig import Rig
from tests.stream.waiting import Time
from warm.errors import InputRefused
from warm.market import load
from warm.market.telling import LineTeller
from warm.stream.ingesting import Ingesting, Target
from warm.stream.log import Outgoing, Position
from warm.stream.messages import TradeMessage, decode, told
from warm.stream.metrics import IngestMeters
from warm.stream.sources.recordings import Wanted
from warm.stream.sources.replay import Replay
from warm.stream.sqlite_log import EmbeddedLog

_TRADES = 300


class _Killed(BaseException):
    """In the middle of it."""


class _Log(EmbeddedLog):
    """Says when it got each message. It dies once it has taken ``lives`` appends."""

    def __init__(self, rig: Rig, time: Time, lives: float) -> None:
        super().__init__(rig.folder / "log.sqlite3", clock_ms=lambda: rig.now_us // 1000)
        self._time, self._lives, self.came = time, lives, list[tuple[float, Outgoing]]()

    def append(self, topic: str, messages: Sequence[Outgoing]) -> list[Position]:
        done = super().append(topic, messages)
        self.came += [(self._time.now_us / SECOND_US, each) for each in messages]
        self._lives -= 1
        if self._lives <= 0:
            raise _Killed
        return done


class _Run:
    """One replay of files of a folder, to its end, or until ``until_s`` or death."""

    def __init__(
        self,
        rig: Rig,
        speed: Literal["1", "10", "max", "real-time"],
        *paths: Path,
        until_s: float = 1e9,
        lives: float = float("inf"),
        max_rejects: float = 0.01,
        writer: Callable[[StreamWriter], StreamWriter] = lambda it: it,
        now_us: int = 0,
    ) -> None:
        time, self.said, self._told = Time(until_s), list[str](), StringIO()
        time.now_us = now_us
        log = _Log(rig, time, lives)
        wanted, target = Wanted(paths, moved=speed == "real-time"), Target(log, TOPIC, 1)
        replay = Replay(wanted, speed, max_rejects, lambda: writer(rig.market.writer()), LineTeller(self._told), time.clock)
        self.left = 0
        with closing(log):
            begun = replay.begin(self._say, target)
            try:
                self.left = Ingesting(begun, target, self._say, time, time.clock, IngestMeters("replay")).run()
                begun.close(not time.is_set())
            except _Killed:
                self.code = -9
            else:
                self.code = replay.end()
        self.resumed = begun.told["resumed"]
        came = [(at_s, decode(message.value), told(message.headers)) for at_s, message in log.came]
        self.came = [each for each in came if isinstance(each[1], TradeMessage)]

    def _say(self, event: str, **_: object) -> None:
        self.said.append(event)

    @property
    def report(self) -> dict[str, Any]:
        """What it told at its end."""
        found: dict[str, Any] = json.loads(self._told.getvalue())
        return found


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Between an empty log and an empty market store."""
    with new_rig(tmp_path / "rig") as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of three recordings of the same minutes: a table without ids, Coinbase's messages, and a Parquet file."""
    made = tmp_path / "recorded"
    made.mkdir()
    rows = [f"{NOON_US + n * SECOND_US},{100 + n % 7}.{n % 100:02},{n % 5},{'buy' if n % 2 else 'sell'}" for n in range(_TRADES)]
    (made / "AAPL.csv").write_text("timestamp,price,size,side\n" + "\n".join([*rows, rows[-1]]) + "\n")
    with Exchange("BTC-USD") as exchange:
        for n in range(_TRADES):
            exchange.trade("BTC-USD", n + 0.25, f"{200 + n % 9}.5", f"0.{n + 1}")
        lines = [json.dumps({"type": "match", "product_id": "BTC-USD", **each}) for each in exchange.trades["BTC-USD"]]
    (made / "coinbase.ndjson").write_text('{"type":"subscriptions","channels":[]}\n' + "\n".join(lines) + "\n")
    pl.DataFrame({
        "time": [NOON_US + n * SECOND_US + 500_000 for n in range(_TRADES)], "symbol": ["ETH-USD"] * _TRADES,
        "price": [300.25 + n for n in range(_TRADES)], "size": [1.5] * _TRADES, "trade_id": [*range(_TRADES)],
    }).write_parquet(made / "trades.parquet")  # fmt: skip
    return made


def _trades(rig: Rig) -> list[TradeMessage]:
    return [each for each in logged(rig) if isinstance(each, TradeMessage)]


def _ids(rig: Rig) -> Counter[tuple[str, str]]:
    return Counter((each.symbol, each.trade_id) for each in _trades(rig))


def test_rows_of_features_of_a_replay_at_any_speed_are_those_of_stored_trades(folder: Path, tmp_path: Path) -> None:
    made = list[list[bytes]]()
    speeds: tuple[tuple[Literal["1", "10", "max"], int], ...] = (("1", 7), ("10", 100), ("max", 5_000))
    for speed, batch_max in speeds:
        with new_rig(tmp_path / speed) as rig:
            rig.window_size = 50
            assert _Run(rig, speed, folder).code == 0
            rig.consume(batch_max=batch_max)
            made.append(rig.feature_rows())
    # Those of size 0 are no trades of any second.
    assert len(made[0]) == 3 * _TRADES - _TRADES // 5
    assert made[0] == made[1] == made[2]
    out = tmp_path / "rows.jsonl"
    market = tmp_path / "max" / "market.sqlite3"
    assert main(["features", "--out", str(out), "--market-path", str(market)]) == 0
    published = {(row["symbol"], row["time_s"]): row for row in map(json.loads, made[0])}
    stored = {(row["symbol"], row["time_s"]): row for row in map(json.loads, out.read_text().splitlines())}
    assert stored.keys() == published.keys()
    assert all(published[each].items() >= row.items() for each, row in stored.items())


def test_what_is_replayed_and_consumed_is_stored_as_if_it_was_loaded(rig: Rig, folder: Path, tmp_path: Path) -> None:
    run = _Run(rig, "max", folder)
    assert (run.code, run.left, run.resumed) == (0, 0, False)
    report = run.report
    assert (report["trades"], report["files_read"], report["refused"]) == (3 * _TRADES + 1, 3, 0)
    rig.consume()
    (tmp_path / "loaded").mkdir()
    with closing(Market(tmp_path / "loaded" / "market.sqlite3")) as loaded:
        wanted, teller = load.Wanted(paths=(folder,)), LineTeller(StringIO())
        code, _ = load.run_load(wanted, open_writer=loaded.writer, publish=lambda _: 0, teller=teller)
        assert code == 0
        for rows in (
            "SELECT * FROM trades_in_full ORDER BY symbol, venue, trade_key",
            "SELECT symbol, market FROM symbols ORDER BY 1",
        ):
            assert rig.market.rows(rows) == loaded.rows(rows)
        assert rig.market.bars_of_trades() == loaded.bars_of_trades()
    # Equal ones are two.
    assert sum(_ids(rig).values()) == len(_ids(rig)) == 3 * _TRADES + 1
    assert rig.told == []


def test_files_come_together_by_their_times_and_say_that_they_are_replayed(rig: Rig, folder: Path) -> None:
    run = _Run(rig, "max", folder, now_us=7)
    times = [content.time_us for _, content, _ in run.came]
    assert times == sorted(times)
    assert {headers for _, _, headers in run.came} == {(each, 7, "replay", "") for each in times}


@pytest.mark.parametrize(("speed", "times"), [("1", 1), ("10", 10)])
def test_trades_come_as_fast_as_they_did_or_ten_times_as_fast(
    speed: Literal["1", "10"], times: int, rig: Rig, folder: Path
) -> None:
    run = _Run(rig, speed, folder)
    assert len(run.came) == 3 * _TRADES + 1
    for at_s, content, _ in run.came:
        assert at_s == pytest.approx((content.time_us - NOON_US) / SECOND_US / times, abs=1e-4)


def test_in_real_time_the_first_is_now_and_none_is_taken_for_the_recorded_one(rig: Rig, folder: Path) -> None:
    now_us = 2 * NOON_US
    _Run(rig, "max", folder)
    recorded = _ids(rig)
    run = _Run(rig, "real-time", folder, now_us=now_us, until_s=2e10)
    assert run.code == 0
    assert len(run.came) == 3 * _TRADES + 1
    for at_s, content, headers in run.came:
        assert content.time_us == headers.event_us == pytest.approx(at_s * SECOND_US, abs=100)
        assert headers.source == "replay"
    moved = _ids(rig) - recorded
    assert len(moved) == 3 * _TRADES + 1
    assert not moved.keys() & recorded.keys()


@pytest.mark.parametrize("speed", ["max", "10", "real-time"])
def test_killed_after_any_append_it_goes_on_and_misses_none(
    speed: Literal["max", "10", "real-time"], rig: Rig, folder: Path
) -> None:
    now_us, codes = NOON_US, list[int]()
    for life in range(60):
        run = _Run(rig, speed, folder, lives=40 if life else 1, now_us=now_us, until_s=2e10)
        codes.append(run.code)
        now_us += 100 * SECOND_US
        if run.code == 0:
            break
    assert codes[-1] == 0
    assert len(codes) > (1 if speed == "max" else 20)
    assert run.resumed == (speed != "max")
    found = _ids(rig)
    assert len(found) == 3 * _TRADES + 1
    rig.consume()
    assert len(rig.ids()) == 3 * _TRADES + 1


def test_ended_before_its_end_it_goes_on_and_once_all_is_told_it_begins_anew(rig: Rig, folder: Path) -> None:
    first = _Run(rig, "1", folder, until_s=100)
    second = _Run(rig, "10", folder)
    assert (first.code, first.resumed, second.resumed) == (0, False, True)
    assert _ids(rig).most_common(1)[0][1] == 1
    assert len(_ids(rig)) == 3 * _TRADES + 1 == len(first.came) + len(second.came)
    third = _Run(rig, "max", folder)
    assert (third.resumed, len(third.came)) == (False, 3 * _TRADES + 1)


def test_of_a_log_that_was_made_anew_all_is_told_again(rig: Rig, folder: Path) -> None:
    _Run(rig, "1", folder, until_s=100)
    rig.log.remove(TOPIC)
    run = _Run(rig, "max", folder)
    assert (run.resumed, len(run.came)) == (False, 3 * _TRADES + 1)


def test_a_file_that_is_there_twice_is_told_once(rig: Rig, folder: Path) -> None:
    run = _Run(rig, "max", folder / "AAPL.csv", folder)
    assert len(run.came) == 3 * _TRADES + 1


def test_what_cannot_be_read_is_refused_and_the_rest_is_told(rig: Rig, folder: Path) -> None:
    (folder / "cut.csv.gz").write_bytes(b"\x1f\x8b\x08\x00spoilt")
    (folder / "bars.csv").write_text("date,open,high,low,close,volume\n2024-01-02,1,2,1,2,3\n")
    run = _Run(rig, "max", folder)
    assert run.code == 1
    assert len(run.came) == 3 * _TRADES + 1
    assert "cut.csv.gz" in run.report["error"]


def test_rows_that_are_no_trades_are_told_and_too_many_of_them_are_a_refusal(rig: Rig, folder: Path) -> None:
    path = folder / "AAPL.csv"
    path.write_text(path.read_text() + f"{NOON_US},-1,1,buy\n" * 9)
    some, many = _Run(rig, "max", path, max_rejects=0.1), _Run(rig, "max", path)
    assert (some.code, many.code) == (0, 1)
    assert some.report["reasons"]["not_positive"]["count"] == 9
    assert "more than --max-rejects 0.01 allows" in many.report["error"]


def test_where_no_file_has_trades_nothing_begins(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("date,open,high,low,close,volume\n2024-01-02,1,2,1,2,3\n")
    with pytest.raises(InputRefused, match=r"no file holds trades: bars\.csv"):
        _Run(rig, "max", tmp_path / "bars.csv")
    with pytest.raises(InputRefused, match="no such file or folder"):
        _Run(rig, "max", tmp_path / "nowhere")


def test_while_the_market_store_cannot_keep_how_far_it_is_the_replay_goes_on(rig: Rig, folder: Path) -> None:
    class _Away:
        def __init__(self, writer: StreamWriter) -> None:
            self._writer = writer

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            return getattr(self._writer, name)

        def apply(self, _: Batch, then: Then | None = None) -> Applied:
            del then
            raise MarketError("market_error", "away")

    run = _Run(rig, "10", folder, writer=_Away)
    assert (run.code, len(run.came)) == (0, 3 * _TRADES + 1)
    assert set(run.said) == {"not_kept"}
