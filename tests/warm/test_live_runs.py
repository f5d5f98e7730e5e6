"""Live runs: what was said up to now counts, what was not yet said is refused by itself, and nothing is lost in silence."""

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from app.domain.records import AGENTS
from app.store.codec import decode
from tests.kit.files import put
from tests.kit.records import raw_of
from tests.kit.store import FakeStore
from tests.warm.running import HEADER, Outcome, utc, warm
from warm.__main__ import main
from warm.report import TerminalReporter

FRIDAY_CLOSE_MS = utc(2024, 3, 8, 21)
SATURDAY_MS = utc(2024, 3, 9, 12)
TABLE = "symbol,as_of,agent,status,view\n"


def prices(folder: Path, *, last: int = 8) -> Path:
    """A month of XYZ's sessions to the ``last`` of March 2024."""
    days = [f"2024-02-{day:02}" for day in range(1, 30)] + [f"2024-03-{day:02}" for day in range(1, last + 1)]
    rows = [f"XYZ,{day},{99 + n % 3},{103 + n % 3},{97 + n % 3},{100 + n % 3},1000" for n, day in enumerate(days)]
    return put(folder / "prices" / "XYZ.csv", HEADER + "\n".join(rows))


def views(folder: Path, *rows: str) -> Path:
    """A native table of views."""
    return put(folder / "agents" / "views.csv", TABLE + "\n".join(rows))


def hedge_fund(path: Path) -> Path:
    """An ai-hedge-fund result: two analysts and a decision."""
    entry = {"signal": "bearish", "confidence": 60, "reasoning": "falling"}
    decision = {"action": "sell", "quantity": 5, "confidence": 70, "reasoning": "falling"}
    signals = {name: {"XYZ": entry} for name in ("technical_analyst_agent", "valuation_analyst_agent")}
    return put(path, json.dumps({"decisions": {"XYZ": decision}, "analyst_signals": signals}))


def as_of_ms(outcome: Outcome) -> int | None:
    """The time of XYZ's agent record."""
    return outcome.store.rows["XYZ"].records["agents"].as_of_ms


def fates(outcome: Outcome, status: str = "views") -> dict[str, int]:
    """What became of the outputs of a status, without the zeros."""
    return {fate: count for fate, count in outcome.report["agent_fates"][status].items() if count}


def test_a_run_of_today_counts_before_the_session_closes(tmp_path: Path) -> None:
    """It is dated by its name alone, and was said no later than now."""
    file = hedge_fund(tmp_path / "run-2024-03-08.json")
    now_ms = utc(2024, 3, 8, 15)
    outcome = warm("--prices", prices(tmp_path, last=7), "--agents", file, now_ms=now_ms)
    assert (outcome.code, fates(outcome), as_of_ms(outcome)) == (0, {"used": 2, "summary": 1}, now_ms)


def test_a_file_of_today_read_again_says_the_same(tmp_path: Path) -> None:
    """It is of the moment when it was written: a load every hour makes it no younger, and changes nothing."""
    file = views(tmp_path, "XYZ,2024-03-08,x,view,0.5")
    written_ms = utc(2024, 3, 8, 14)
    os.utime(file, (written_ms / 1000, written_ms / 1000))
    for hour in (15, 16):
        outcome = warm("--prices", prices(tmp_path, last=7), "--agents", file, now_ms=utc(2024, 3, 8, hour))
        assert (fates(outcome), as_of_ms(outcome)) == ({"used": 1}, written_ms)


def test_a_stamp_after_the_last_bar_counts(tmp_path: Path) -> None:
    """Prices end yesterday; what was said this morning is the newest there is."""
    agents = views(tmp_path, "XYZ,2024-03-07,x,view,0.5", "XYZ,2024-03-08T14:30:00Z,x,view,-0.5")
    outcome = warm("--prices", prices(tmp_path, last=7), "--agents", agents, now_ms=utc(2024, 3, 8, 15))
    assert outcome.store.views("XYZ")["x"].view == -0.5
    assert (fates(outcome), as_of_ms(outcome)) == ({"used": 1, "replaced": 1}, utc(2024, 3, 8, 14, 30))


def test_a_run_of_saturday_counts_with_prices_to_friday(tmp_path: Path) -> None:
    log = {
        "company_of_interest": "XYZ",
        "trade_date": "2024-03-09",
        "final_trade_decision": "FINAL TRANSACTION PROPOSAL: **SELL**",
    }
    folder = tmp_path / "agents" / "XYZ" / "TradingAgentsStrategy_logs"
    put(folder / "full_states_log_2024-03-09.json", json.dumps(log))
    outcome = warm("--prices", prices(tmp_path), "--agents", tmp_path / "agents", now_ms=SATURDAY_MS)
    assert outcome.store.views("XYZ")["tradingagents:portfolio_manager"].view == -1
    assert (outcome.report["views"], outcome.report["views_used"], as_of_ms(outcome)) == (1, 1, SATURDAY_MS)
    assert outcome.store.price("XYZ").as_of_ms == FRIDAY_CLOSE_MS


def test_what_was_not_yet_said_is_refused_by_itself_and_told(tmp_path: Path) -> None:
    agents = views(tmp_path, "XYZ,2024-03-08,x,view,0.5", "XYZ,2024-03-12,y,view,1", "XYZ,2024-03-09T13:00:00Z,z,failed,")
    outcome = warm("--prices", prices(tmp_path), "--agents", agents, now_ms=SATURDAY_MS)
    assert (outcome.code, list(outcome.store.views("XYZ"))) == (0, ["x"])
    assert (fates(outcome), fates(outcome, "failed")) == ({"used": 1, "refused": 1}, {"refused": 1})
    (file,) = (each for each in outcome.report["files"] if each["kind"] == "agents")
    assert file["reasons"]["future_view"]["count"] == 2
    console = Console(file=io.StringIO(), width=200)
    TerminalReporter(console).close(outcome.report)
    assert isinstance(console.file, io.StringIO)
    assert "1 view, 1 failure refused" in console.file.getvalue()
    assert "2 future_view" in console.file.getvalue()


def test_a_file_of_the_future_alone_does_not_refuse_the_run(tmp_path: Path) -> None:
    """It is as it should be, only too early; a file of which nothing can be used for another reason still does."""
    path = prices(tmp_path)
    outcome = warm("--prices", path, "--agents", hedge_fund(tmp_path / "run-2024-03-12.json"), now_ms=SATURDAY_MS)
    assert (outcome.code, fates(outcome), outcome.store.views("XYZ")) == (0, {"refused": 3}, {})
    assert warm("--prices", path, "--agents", views(tmp_path, "XYZ,soon,x,view,0.5"), now_ms=SATURDAY_MS).code == 1


@pytest.mark.parametrize(
    ("stamp", "now_ms", "used_ms"),
    [
        ("2024-03-09", utc(2024, 3, 8, 10, 30), utc(2024, 3, 8, 10, 30)),
        ("2024-03-09 00:00:00", utc(2024, 3, 8, 10, 30), utc(2024, 3, 8, 10, 30)),
        ("2024-03-09", utc(2024, 3, 8, 9, 30), None),
        ("2024-03-09T00:00:01Z", utc(2024, 3, 8, 10, 30), None),
        ("2024-03-08", utc(2024, 3, 8, 21, 30), FRIDAY_CLOSE_MS),
    ],
    ids=["today in Kiribati", "its midnight", "today nowhere", "a moment", "closed"],
)
def test_a_date_is_todays_where_it_has_begun_anywhere(stamp: str, now_ms: int, used_ms: int | None, tmp_path: Path) -> None:
    """Users date by their own clock, wherever the exchange is; a moment is what it says."""
    agents = views(tmp_path, "XYZ,2024-03-01,old,view,0.5", f"XYZ,{stamp},x,view,0.5")
    outcome = warm("--prices", prices(tmp_path, last=7), "--agents", agents, now_ms=now_ms)
    view = outcome.store.views("XYZ").get("x")
    assert (view and view.as_of_ms) == used_ms


def test_a_clock_that_is_a_little_ahead_is_believed(tmp_path: Path) -> None:
    """By five minutes, as in the server."""
    agents = views(tmp_path, "XYZ,2024-03-09T12:05:00Z,x,view,0.5", "XYZ,2024-03-09T12:05:01Z,y,view,0.5")
    outcome = warm("--prices", prices(tmp_path), "--agents", agents, now_ms=SATURDAY_MS)
    assert list(outcome.store.views("XYZ")) == ["x"]


def test_an_option_of_the_version_before_is_told_and_refuses_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agents = views(tmp_path, "XYZ,2024-03-09T12:05:01Z,y,view,0.5")
    arguments = ["--prices", str(prices(tmp_path)), "--explain", str(agents), "--clock-skew-s", "301"]
    assert main(arguments, now_ms=SATURDAY_MS) == 0
    said = capsys.readouterr()
    assert "1 view refused" in said.out
    assert said.err.startswith("settings: CLOCK_SKEW_S is no setting any more and is passed over; ")


def test_a_wrong_setting_is_told_as_every_command_tells_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prices", str(prices(tmp_path)), "--store-path", "x", "--redis-url-file", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("settings: REDIS_URL_FILE is ")


def test_a_past_day_takes_nothing_from_after_its_bar(tmp_path: Path) -> None:
    later = "XYZ,2024-03-09,x,view,-0.5", "XYZ,2024-03-12,x,view,1", "XYZ,2024-03-12,y,abstained,"
    agents = views(tmp_path, "XYZ,2024-03-08,x,view,0.5", *later)
    outcome = warm("--prices", prices(tmp_path), "--agents", agents, "--as-of", "2024-03-10", now_ms=utc(2024, 4, 1))
    assert outcome.store.views("XYZ")["x"].view == 0.5
    assert (fates(outcome), fates(outcome, "abstained")) == ({"used": 1, "cut": 2}, {"cut": 1})


def test_the_reports_sums_tell_every_fate(tmp_path: Path) -> None:
    crowd = [f"BIG,2024-03-{5 + n // 100:02},agent-{n:03},view,0.5" for n in range(103)]
    more = ["XYZ,2024-03-05,x,view,0.1", "XYZ,2024-03-06,x,view,0.2", "A A,2024-03-06,x,view,0.2", ",2024-03-06,x,failed,"]
    views(tmp_path, *crowd, *more, "XYZ,2024-03-06,x?,view,0.2", "XYZ,2024-03-06,z,abstained,", "XYZ,2024-03-06,z,what,")
    hedge_fund(tmp_path / "agents" / "run-2024-03-08.json")
    outcome = warm("--prices", prices(tmp_path), "--agents", tmp_path / "agents", now_ms=SATURDAY_MS)
    assert outcome.code == 0
    assert fates(outcome) == {
        "used": 103, "replaced": 1, "refused": 2, "unknown_symbol": 1, "summary": 1, "beyond_bound": 3,
    }  # fmt: skip
    assert (fates(outcome, "abstained"), fates(outcome, "failed")) == ({"used": 1}, {"unknown_symbol": 1})
    assert (outcome.report["summaries"], outcome.report["views_used"]) == (1, 103)
    assert (outcome.report["agent_rows"], outcome.report["views"]) == (113, 111)


def test_a_later_run_of_the_same_day_replaces_the_earlier(tmp_path: Path) -> None:
    """What is of today moves with the clock to the session's close, never backwards; so a corrected file comes through."""
    store = FakeStore()
    agents = views(tmp_path, "XYZ,2024-03-08,x,view,0.5")
    path = prices(tmp_path, last=7)
    for hour, expected_ms in ((15, utc(2024, 3, 8, 15)), (16, utc(2024, 3, 8, 16)), (23, FRIDAY_CLOSE_MS)):
        outcome = warm("--prices", path, "--agents", agents, store=store, now_ms=utc(2024, 3, 8, hour), run=f"at-{hour}")
        assert (outcome.code, as_of_ms(outcome)) == (0, expected_ms)
        assert decode(AGENTS, raw_of(store.rows["XYZ"], "agents") or b"", "XYZ").run == f"at-{hour}"
    info = store.info
    assert info is not None
    assert info.newest_as_of_ms == FRIDAY_CLOSE_MS


CASES = {
    "good": ("XYZ,2024-03-08,x,view,0.5",),
    "of tomorrow": ("XYZ,2024-03-12,x,view,0.5",),
    "nothing usable": ("XYZ,soon,x,view,0.5",),
    "half usable": ("XYZ,2024-03-08,x,view,0.5", "XYZ,soon,x,view,0.5"),
    "empty": (),
}


@pytest.mark.parametrize("more", [(), ("--as-of", "2024-03-01")], ids=["live", "past"])
@pytest.mark.parametrize("case", CASES)
def test_agents_are_explained_by_the_runs_own_rules(case: str, more: tuple[str, ...], tmp_path: Path) -> None:
    path, agents = prices(tmp_path), views(tmp_path, *CASES[case])
    code = warm("--prices", path, "--agents", agents, "--dry-run", *more, now_ms=SATURDAY_MS).code
    assert main(["--prices", str(path), "--explain", str(agents), *more], now_ms=SATURDAY_MS) == code
    assert main(["--explain", str(agents), *more], now_ms=SATURDAY_MS) == code


BAD_ROW = "XYZ,2024-03-08,9,1,2,3,4"
PRICE_CASES: dict[str, dict[str, tuple[str, ...]]] = {
    "good": {"a.csv": ("XYZ,2024-03-07,1,2,1,2,3", "XYZ,2024-03-08,1,2,1,2,3")},
    "too many rejects": {"a.csv": ("XYZ,2024-03-07,1,2,1,2,3", BAD_ROW)},
    "none usable": {"a.csv": (BAD_ROW,)},
    "beside something else": {"a.csv": ("XYZ,2024-03-08,1,2,1,2,3",), "b.json": ('{"a": 1}',), "notes.txt": ("x",)},
    "beside something spoilt": {"a.csv": ("XYZ,2024-03-08,1,2,1,2,3",), "b.json": ("{",)},
    "nothing known": {"b.json": ('{"a": 1}',)},
    "no file": {},
}


@pytest.mark.parametrize("case", PRICE_CASES)
def test_prices_are_explained_by_the_runs_own_rules(case: str, tmp_path: Path) -> None:
    """Also where no single file is wrong: what all of them come to decides."""
    (tmp_path / "prices").mkdir()
    for file, rows in PRICE_CASES[case].items():
        put(tmp_path / "prices" / file, (HEADER if file.endswith(".csv") else "") + "\n".join(rows))
    code = warm("--prices", tmp_path / "prices", "--dry-run", now_ms=SATURDAY_MS).code
    assert code == (0 if case in ("good", "beside something else") else 1)
    assert main(["--explain", str(tmp_path / "prices")], now_ms=SATURDAY_MS) == code


def test_explain_names_the_views_that_will_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agents = views(tmp_path, "XYZ,2024-03-07,old,view,0.25", "XYZ,2024-03-08,old,view,0.75", "XYZ,2024-03-08,none,abstained,")
    assert main(["--explain", str(agents)], now_ms=SATURDAY_MS) == 0
    used = capsys.readouterr().out.partition("What a run uses")
    assert "1 view, 1 abstention used" in used[0]
    assert "1 view replaced by a newer output of the same agent" in used[0]
    assert "0.75" in used[2]
    assert "abstained" in used[2]
    assert "0.25" not in used[2]


def test_a_slip_in_a_file_that_is_cut_by_as_of_refuses_nothing(tmp_path: Path) -> None:
    agents = views(tmp_path, "XYZ,2024-03-08,x,view,0.5", "XYZ,1960-01-01,x,view,0.5")
    outcome = warm("--prices", prices(tmp_path), "--agents", agents, "--as-of", "2024-03-07", now_ms=SATURDAY_MS)
    assert (outcome.code, fates(outcome)) == (0, {"cut": 1, "refused": 1})
