"""The scenario of market data: its data, its questions and its judgement. That its servers run is its own smoke run's to see."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import cast

import msgspec
import pytest

from app.market.opening import open_writer
from app.market.protocol import Applied, Batch, Partition, Writer
from bench import sections
from bench.__main__ import main
from bench.market import asking, loading, made, page
from bench.market.findings import MarketFindings, Pages, Reading, Writing, judge
from bench.market.writing import Clock, written
from bench.peers.sampling import Spread

_SYMBOLS = made.symbols_of(5, "T")


def _spread(value: float) -> Spread:
    return Spread(low=value * 0.9, median=value, high=value * 1.1)


def _reading(name: str, p95_ms: float = 4.0, ratio: float | None = 12.0, wrong: int = 0) -> Reading:
    return Reading(
        name=name,
        title=name.title(),
        peak_per_s=_spread(400.0),
        cpu_us=_spread(2000.0),
        database_us=None if name == "sqlite" else _spread(300.0),
        p50_ms=_spread(p95_ms / 2),
        p95_ms=_spread(p95_ms),
        p99_ms=_spread(p95_ms * 2),
        peak_ratio=None if ratio is None else _spread(ratio),
        cpu_ratio=None if ratio is None else _spread(ratio),
        p95_ratio=None if ratio is None else _spread(ratio),
        wrong=wrong,
    )


def _pages(*rows: Reading) -> Pages:
    return Pages(name="deep", title="a history", rate_per_s=20.0, rounds=5, seconds=4.0, compared=100, rows=[*rows])


def _writing(name: str, per_s: float = 130_000.0, end_mb: float = 120.0) -> Writing:
    return Writing(
        name=name,
        title=name.title(),
        trades=10_000_000,
        trades_per_s=per_s,
        cpu_us=7.5,
        database_us=None if name == "sqlite" else 4.0,
        resent_per_s=200_000.0,
        memory_mb=(118.0, end_mb),
    )


def _findings() -> MarketFindings:
    writing = [_writing("sqlite"), _writing("postgres")]
    pages = [_pages(_reading("postgres"), _reading("sqlite"), _reading("peer", 48.0, None))]
    return MarketFindings(
        started_at="2026-01-01T00:00:00+00:00",
        took_s=600.0,
        commit="abc",
        machine={"processor": "A processor", "cpus": 2},
        versions={"fastapi": "1.0"},
        postgres_version="18.6",
        load=0.5,
        candles=10_000_000,
        trades=1_000_000,
        writing=writing,
        pages=pages,
        goals=judge(writing, pages),
    )


def test_made_data_do_not_depend_on_who_asks_for_which_part() -> None:
    whole = list(made.bars("C0003-USD", 0, 300))
    assert [*made.bars("C0003-USD", 0, 100), *made.bars("C0003-USD", 100, 200)] == whole
    trades = list(made.trades(_SYMBOLS, 0, 300))
    assert [*made.trades(_SYMBOLS, 0, 100), *made.trades(_SYMBOLS, 100, 200)] == trades
    assert len({each.number for each in trades}) == 300
    assert {each.symbol for each in trades} == set(_SYMBOLS)


def test_made_bars_are_bars_that_follow_each_other() -> None:
    found = list(made.bars("C0001-USD", 0, 500))
    for bar, following in pairwise(found):
        assert bar.low < min(bar.open, bar.close) <= max(bar.open, bar.close) < bar.high
        assert bar.volume > 0
        assert (bar.close, bar.start_us + made.MINUTE_US) == (following.open, following.start_us)


def test_a_copied_line_has_the_digits_of_what_was_made() -> None:
    bar = next(made.bars("C0001-USD", 7, 1))
    assert made.copied_bar("C0001-USD", bar) == (
        f"C0001-USD\t1m\t{bar.open}\t{bar.high}\t{bar.low}\t{bar.close}\t{bar.volume:f}\t2023-11-14T22:20:00Z\t2023-11-14T22:21:00Z\n"
    )
    trade = next(islice(made.trades(_SYMBOLS, 0, 9), 8, None))
    fields = made.copied_trade(trade).split("\t")
    assert fields[:5] == [trade.symbol, "9", "2023-11-14T22:13:00.000800Z", str(trade.price), f"{trade.size:f}"]


@pytest.mark.parametrize("candles", [1000, 1_000_001, 3_000_002])
def test_shares_of_candles_are_all_of_them(candles: int) -> None:
    shares = list(loading.shares(candles))
    assert sum(count for _, count in shares) == candles
    assert [symbol for symbol, _ in shares] == made.symbols_for(candles)


def _answer(**changes: object) -> dict[str, object]:
    row = {"symbol": "A", "open": Decimal("1.50"), "start_time": "2026-01-01T00:00:00Z", **changes}
    return {"data": [row], "pagination": {"total": changes.get("total", 1)}}


@pytest.mark.parametrize(
    ("ours", "says"),
    [
        (_answer(open=Decimal("1.5"), vwap=1, start_time="2026-01-01T00:00:00.000+00:00"), None),
        (_answer(total=None), None),
        (_answer(open=Decimal("1.51")), "row 0: open is 1.51, the peer has 1.50"),
        (_answer(start_time="2026-01-01T00:01:00Z"), "row 0: start_time is 2026-01-01T00:01:00Z"),
        (_answer(total=2), "total is 2, the peer has 1"),
        ({"data": [], "pagination": {}}, "0 rows, the peer has 1"),
    ],
    ids=["the same", "too many to count", "price", "time", "total", "rows"],
)
def test_answers_are_compared_by_what_they_mean(ours: dict[str, object], says: str | None) -> None:
    found = asking.difference(ours, _answer())
    assert found is None if says is None else found is not None and says in found


def test_pages_of_a_day_are_whole_pages_of_what_is_stored() -> None:
    for question in asking.within_a_day(["C0000-USD"], 2000, 50):
        assert question.ours == question.by_offset
        offset = int(question.ours.partition("offset=")[2].partition("&")[0])
        assert offset % asking.LIMIT == 0
        assert offset < 1440


@pytest.mark.parametrize(
    ("writing", "row", "margin", "met"),
    [
        (_writing("sqlite"), _reading("postgres"), 1.0, [True, True, True, True]),
        (_writing("sqlite", per_s=119_000.0), _reading("postgres"), 1.0, [False, True, True, True]),
        (_writing("sqlite", per_s=61_000.0), _reading("postgres", p95_ms=9.9, ratio=5.1), 2.0, [True, True, True, True]),
        (_writing("postgres", per_s=81_000.0, end_mb=131.0), _reading("sqlite", p95_ms=5.1), 1.0, [True, False, False, True]),
        (_writing("postgres"), _reading("sqlite", ratio=9.9, wrong=1), 1.0, [True, True, False, False]),
    ],
    ids=["met", "slow to write", "with a margin", "memory and p95", "beside the peer"],
)
def test_each_goal_of_market_data_is_judged_by_its_figure(writing: Writing, row: Reading, margin: float, met: list[bool]) -> None:
    goals = judge([writing], [_pages(row, _reading("peer", ratio=None))], margin)
    assert [goal.met for goal in goals] == met


def test_near_pages_have_no_goal_beside_the_peer() -> None:
    near = msgspec.structs.replace(_pages(_reading("sqlite", ratio=2.0), _reading("peer", ratio=None)), name="day")
    assert [goal.met for goal in judge([], [near])] == [True]


def test_the_section_follows_from_its_json_alone(tmp_path: Path) -> None:
    data, text = sections.write("market", _findings(), page.markdown(_findings()), tmp_path / "out")
    again = msgspec.json.decode(data.read_bytes(), type=MarketFindings)
    assert text.read_text(encoding="utf-8") == f"{page.markdown(again)}\n"
    assert "| Postgres | 2.00 [1.80, 2.20] | 4.00 [3.60, 4.40] |" in page.markdown(again)


def test_the_section_is_written_anew_in_its_place(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    place = "above\n<!-- market -->\n{}\n<!-- end of market -->\nbelow\n"
    results.write_text(place.format("old"), encoding="utf-8")
    for _ in range(2):
        sections.put("market", page.markdown(_findings()), results)
    assert results.read_text(encoding="utf-8") == place.format(page.markdown(_findings()))


def test_what_a_store_takes_in_is_counted_with_what_is_sent_again(tmp_path: Path) -> None:
    writer = open_writer(url="", path=tmp_path / "market.sqlite3")
    found = written(writer, 300, 100, Clock())
    writer.close()
    assert (found.trades, found.resent, found.wrong) == (300, 100, "")
    assert found.cpu_s > 0
    assert found.memory_mb[-1] > 0


class _Forgetful:
    """A store that takes all of a batch, whatever it has, but for the first trade."""

    def apply(self, batch: Batch) -> Applied:
        return Applied(inserted=len(batch.trades) - 1, duplicate=0, too_old=0, touched=(), revised=())

    def offsets(self, log: str) -> Mapping[Partition, int]:
        assert log == "bench"
        return {}


def test_a_store_that_loses_or_counts_twice_is_told() -> None:
    found = written(cast("Writer", _Forgetful()), 300, 100, Clock())
    assert found.wrong == "trades inserted is 299 of 300; trades known again is 0 of 100; the log's offset is 0 of 300"


@pytest.mark.parametrize("option", ["--candles=5000", "--database-url=postgresql://x"])
def test_options_of_market_data_are_refused_elsewhere(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--scenario", "closed", option])
    assert ended.value.code == 2
    assert "with --scenario closed; allowed: with --scenario market" in capsys.readouterr().err


def test_the_list_of_scenarios_has_those_that_start_their_servers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    assert "\npeers: " in said
    assert "\nmarket: " in said
    assert "\nstream: " in said
