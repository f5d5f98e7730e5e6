"""Folders of many files: every file has a fate, none is lost in silence, and one file can be explained."""

import gzip
import io
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from tests.kit.files import put
from tests.warm.examples import AGENTS, PRICES, WORDS, bars, coinbase_json, freqtrade_json, lean_daily, long_csv
from tests.warm.folders import NOW_MS, fates, run
from tests.warm.running import utc, warm
from warm.__main__ import main
from warm.errors import InputRefused
from warm.files import archives
from warm.files.find import find_sources
from warm.files.recognise import FORMATS, recognise
from warm.report import TerminalReporter, remarks


def one_of_each(folder: Path) -> None:
    """Every example, in one folder."""
    for price in PRICES.values():
        put(folder / price.file, price.write(bars(hours=price.hours)))
    for agent in AGENTS.values():
        put(folder / agent.file, agent.write(WORDS if agent.days else WORDS[1:]))


def test_a_folder_with_one_of_each_is_loaded_as_prices_and_as_agents(tmp_path: Path) -> None:
    one_of_each(tmp_path)
    put(tmp_path / "README.md", "notes")
    put(tmp_path / "settings.json", '{"theme": "dark"}')
    put(tmp_path / ".hidden.csv", "x")
    outcome = run(tmp_path, "--agents", tmp_path)
    assert outcome.code == 0, outcome.report["error"]
    told = fates(outcome)
    assert len(told) == len(outcome.report["files"]) == len(PRICES) + len(AGENTS) + 2
    assert {file for file, (_, fate) in told.items() if fate != "loaded"} == {"README.md", "settings.json"}
    assert outcome.report["rejects"] == outcome.report["agent_rejects"] == 0
    assert {example.symbol for example in PRICES.values()} <= outcome.store.rows.keys()
    assert {example.agent for example in AGENTS.values()} <= outcome.store.views("AAA").keys()


def test_the_closing_table_has_a_line_a_file(tmp_path: Path) -> None:
    one_of_each(tmp_path)
    put(tmp_path / "notes.pdf", "notes")
    outcome = run(tmp_path, "--agents", tmp_path)
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    reporter = TerminalReporter(console)
    reporter.close(outcome.report)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for each in outcome.report["files"]:
        assert each["file"].rpartition("/")[2] in shown
        assert remarks(each)[:20] in shown
    assert "no data file's" in shown


def test_the_closing_table_can_be_read_in_80_columns(tmp_path: Path) -> None:
    put(tmp_path / "BTC-USD_1h_2024.csv", long_csv(bars(hours=True)))
    stream = io.StringIO()
    TerminalReporter(Console(file=stream, width=80)).close(run(tmp_path).report)
    assert "BTC-USD_1h_2024.csv" in stream.getvalue()
    assert not any(name in stream.getvalue() for name in ("abstained", "failed", "rejected "))


def test_a_hostile_file_name_is_only_text_in_the_table(tmp_path: Path) -> None:
    put(tmp_path / "[red]AAA[-].csv", long_csv(bars()))
    outcome = run(tmp_path)
    console = Console(file=io.StringIO(), width=200)
    TerminalReporter(console).close(outcome.report)
    assert isinstance(console.file, io.StringIO)
    assert "[red]AAA[-].csv" in console.file.getvalue()


def test_one_damaged_file_refuses_the_run_and_the_others_are_still_looked_at(tmp_path: Path) -> None:
    """What it held is not known, so nothing is written; the report has every file's fate."""
    put(tmp_path / "a.csv", long_csv(bars()))
    put(tmp_path / "b.json", coinbase_json(bars(hours=True))[:-20])
    put(tmp_path / "c.zip", b"PK\x03\x04 no archive")
    put(tmp_path / "d.parquet", b"")
    outcome = run(tmp_path)
    assert (outcome.code, outcome.store.calls["publish_run"]) == (1, 0)
    assert {file: fate for file, (_, fate) in fates(outcome).items()} == {
        "a.csv": "loaded", "b.json": "refused", "c.zip": "refused", "d.parquet": "refused",
    }  # fmt: skip
    assert "and 2 more files" in outcome.report["error"]


def test_a_table_that_misses_prices_by_a_slip_refuses_the_run(tmp_path: Path) -> None:
    """It was meant to be loaded; a table of something else was not, and is skipped."""
    put(tmp_path / "a.csv", long_csv(bars()))
    put(tmp_path / "other.csv", "name,address\nx,y\n")
    assert fates(run(tmp_path))["other.csv"] == (None, "skipped")
    put(tmp_path / "b.csv", long_csv(bars()).replace(b"close", b"clothes"))
    outcome = run(tmp_path)
    assert outcome.code == 1
    assert "column 'close' is missing" in outcome.report["error"]


def test_a_folder_without_prices_says_what_is_in_it(tmp_path: Path) -> None:
    put(tmp_path / "words.csv", AGENTS["native"].write(WORDS))
    put(tmp_path / "x.json", '{"a": 1}')
    outcome = run(tmp_path)
    assert outcome.code == 1
    assert (
        "no file holds prices: words.csv: agents' outputs; x.json: no format recognises it (an object of a)"
        in (outcome.report["error"])
    )
    assert "binance (" in outcome.report["error"]


def test_format_overrules_what_a_file_looks_like(tmp_path: Path) -> None:
    put(tmp_path / "SOL-USD.json", coinbase_json(bars(hours=True)))
    assert fates(run(tmp_path))["SOL-USD.json"] == ("coinbase", "loaded")
    assert fates(run(tmp_path, "--format", "rows"))["SOL-USD.json"] == ("rows", "refused")
    outcome = run(tmp_path, "--format", "SOL*=freqtrade", "--max-rejects", "1")
    assert fates(outcome)["SOL-USD.json"][0] == "freqtrade"
    assert "their order is not open, high, low, close" in outcome.report["error"]


def test_arrays_in_another_order_than_coinbases_are_refused(tmp_path: Path) -> None:
    """Seconds with open, high, low, close would be swapped in silence otherwise."""
    rows = gzip.decompress(freqtrade_json(bars(hours=True))).decode().replace("000, ", ", ")
    put(tmp_path / "BTC-USD-1h.json", rows)
    outcome = run(tmp_path)
    assert outcome.code == 1
    assert "not Coinbase's" in outcome.report["error"]


def test_a_symbol_has_bars_of_one_interval(tmp_path: Path) -> None:
    """Of several the longest, or the one that is asked for; what is left out is counted and no reject."""
    hourly = PRICES["binance"]
    put(tmp_path / "BTCUSDT-1h.json", hourly.write(bars(48, hours=True)))
    daily = long_csv(bars(40)).replace(b"AAA", b"BTC-USDT")
    put(tmp_path / "days.csv", daily)
    auto = run(tmp_path)
    assert auto.store.price("BTC-USDT").interval_s == 86_400
    assert (auto.report["left_out"], auto.report["rejects"], auto.report["bars"]) == (48, 0, 40)
    asked = run(tmp_path, "--interval", "1h")
    assert asked.store.price("BTC-USDT").interval_s == 3600
    assert asked.report["left_out"] == 40
    assert "40 bars are not of --interval 1h" in run(tmp_path / "days.csv", "--interval", "1h").report["error"]


def test_a_files_own_interval_is_checked_against_its_bars(tmp_path: Path) -> None:
    """A name that says something else than the spacing is a mistake that somebody has to look at."""
    put(tmp_path / "BTCUSDT-4h.json", PRICES["binance"].write(bars(hours=True)))
    outcome = run(tmp_path)
    assert outcome.code == 1
    assert "it says its interval is 4h, but most of its bars are 1 hours apart" in outcome.report["error"]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([f"AAA,2024-01-02 00:{minute:02}:00,1,2,1,2,5" for minute in range(0, 56, 7)], "no known interval"),
        ([f"AAA,2024-01-02 00:00:{second:02},1,2,1,2,5" for second in (0, 2, 5, 6, 11, 13, 18, 19, 20, 21)], None),
    ],
    ids=["seven minutes", "seconds with gaps"],
)
def test_an_interval_that_is_none_is_refused(rows: list[str], why: str | None, tmp_path: Path) -> None:
    put(tmp_path / "p.csv", "symbol,date,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    outcome = run(tmp_path)
    assert (outcome.code == 1) == (why is not None)
    assert why is None or why in outcome.report["error"]


def test_a_bar_that_is_not_over_is_dropped_and_counted(tmp_path: Path) -> None:
    """It is known only when it ends; it is no reject, for every download has one."""
    example = PRICES["binance"]
    made = bars(30, hours=True)
    put(tmp_path / example.file, example.write(made))
    during = int(made[-1].at.timestamp() * 1000) + 60_000
    outcome = warm("--prices", tmp_path, now_ms=during)
    assert (outcome.code, outcome.report["unfinished"], outcome.report["rejects"]) == (0, 1, 0)
    assert outcome.store.price("BTC-USDT").as_of_ms == int(made[-1].at.timestamp() * 1000)


def test_a_session_that_is_not_over_is_dropped_and_counted(tmp_path: Path) -> None:
    put(tmp_path / "p.csv", long_csv(bars(30)))
    noon = int(datetime(2024, 1, 31, 17, tzinfo=UTC).timestamp() * 1000)
    outcome = warm("--prices", tmp_path, now_ms=noon)
    assert (outcome.code, outcome.report["unfinished"]) == (0, 1)


@pytest.mark.parametrize(("stamps", "hours"), [("open", 1), ("close", 0)])
def test_stamps_are_when_a_bar_begins_unless_it_is_said(stamps: str, hours: int, tmp_path: Path) -> None:
    made = bars(30, hours=True)
    put(tmp_path / "alpaca.csv", PRICES["table of letters"].write(made))
    outcome = run(tmp_path, "--stamps", stamps)
    assert outcome.store.price("CCC").as_of_ms == int(made[-1].at.timestamp() * 1000) + hours * 3_600_000


def test_moments_without_a_zone_are_where_the_caller_says(tmp_path: Path) -> None:
    put(tmp_path / "rows.jsonl", PRICES["table in JSON lines"].write(bars(hours=True)))
    own, utc, tokyo = (
        run(tmp_path, *more).store.price("EEE").as_of_ms
        for more in ((), ("--naive-timezone", "UTC"), ("--naive-timezone", "Asia/Tokyo"))
    )
    assert (own - utc, utc - tokyo) == (5 * 3_600_000, 9 * 3_600_000)


def test_gaps_and_jumps_like_splits_are_told_and_nothing_is_set_aside(tmp_path: Path) -> None:
    """A gap may be a holiday and a jump a crash; whoever reads the report can tell."""
    made = bars(30)
    split = [bar._replace(open=bar.open / 4, high=bar.high / 4, low=bar.low / 4, close=bar.close / 4) for bar in made[20:]]
    put(tmp_path / "p.csv", long_csv([*made[:5], *made[12:20], *split]))
    outcome = run(tmp_path)
    (file,) = outcome.report["files"]
    assert (file["gaps"], file["splits"], file["rejected"]) == (1, 1, 0)
    assert file["splits_shown"][0].startswith("AAA 2024-01-22T21:00:00Z: 4")
    assert file["gaps_shown"] == ["AAA 2024-01-14T21:00:00Z: 8 days"]
    assert "1 gaps; 1 jumps like splits" in remarks(file)


def test_weekends_and_nights_are_no_gaps(tmp_path: Path) -> None:
    rows = [
        f"AAA,2024-01-{day:02} {hour}:30-05:00,10,11,9,10,5" for day in (2, 3, 4, 5, 8, 9, 10, 11, 12) for hour in range(10, 16)
    ]
    put(tmp_path / "p.csv", "symbol,date,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    (file,) = run(tmp_path).report["files"]
    assert (file["interval"], "gaps" in file) == ("1h", False)


def test_leans_minutes_have_their_date_from_the_archives_name(tmp_path: Path) -> None:
    """Milliseconds since midnight in New York; quotes are skipped, for they are no trades."""
    rows = "".join(f"{34_200_000 + 60_000 * minute},1850000,1851000,1849000,1850500,100\n" for minute in range(5))
    folder = tmp_path / "equity" / "usa" / "minute" / "aapl"
    folder.mkdir(parents=True)
    for kind in ("trade", "quote"):
        with zipfile.ZipFile(folder / f"20240102_{kind}.zip", "w") as archive:
            archive.writestr(f"20240102_aapl_minute_{kind}.csv", rows)
    outcome = run(tmp_path)
    assert outcome.store.price("AAPL").as_of_ms == int(datetime(2024, 1, 2, 14, 35, tzinfo=UTC).timestamp() * 1000)
    assert sorted(fate for _, fate in fates(outcome).values()) == ["loaded", "skipped"]


def test_equity_prices_of_lean_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    """They are not times 10,000, and a price that is 10,000 times too low would be no error anybody sees."""
    with zipfile.ZipFile(io.BytesIO(lean_daily(bars()))) as archive:
        text = archive.read("kkk.csv").decode().replace("1000000,", "1000000.5,")
    put(tmp_path / "kkk.csv", text)
    assert "--format lean-unscaled" in run(tmp_path).report["error"]
    assert run(tmp_path, "--format", "lean-unscaled").code == 0


def test_what_else_is_in_an_archive_is_told_and_skipped(tmp_path: Path) -> None:
    for name, members in (("a.zip", ("b.csv", "notes.rtf", "c.zip")), ("docs.zip", ("manual.pdf",)), ("empty.zip", ())):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member in members:
                archive.writestr(member, long_csv(bars()))
    assert {file: fate for file, (_, fate) in fates(run(tmp_path)).items()} == {
        "a.zip/b.csv": "loaded", "a.zip/notes.rtf": "skipped", "a.zip/c.zip": "skipped", "docs.zip/manual.pdf": "skipped",
        "empty.zip": "skipped",
    }  # fmt: skip
    with pytest.raises(InputRefused, match="no file in this archive ends in"):
        find_sources(tmp_path / "docs.zip")


def test_an_archive_in_an_archive_is_read_and_one_in_that_is_told(tmp_path: Path) -> None:
    """As whoever packs a folder of Lean's makes it; the folders of all three tell what is in it."""
    inner, deepest = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(deepest, "w") as written:
        written.writestr("a.csv", long_csv(bars()))
    with zipfile.ZipFile(inner, "w") as written:
        written.writestr("20240102_aapl_minute_trade.csv", "34200000,1850000,1851000,1849000,1850500,100\n" * 2)
        written.writestr("deepest.zip", deepest.getvalue())
    with zipfile.ZipFile(tmp_path / "lean.zip", "w") as written:
        written.writestr("Data/equity/usa/minute/aapl/20240102_trade.zip", inner.getvalue())
    label = "lean.zip/Data/equity/usa/minute/aapl/20240102_trade.zip"
    sources, others = find_sources(tmp_path)
    assert ([each.label for each in sources], others) == ([f"{label}/20240102_aapl_minute_trade.csv"], [f"{label}/deepest.zip"])
    assert sources[0].content().count(b"\n") == 2
    assert recognise(sources[0]) is FORMATS["lean"]
    assert sources[0].parts[-3:] == ("minute", "aapl", "20240102_aapl_minute_trade.csv")


def test_a_folder_is_walked_to_the_bottom_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    for name in ("b.csv", "a/c.csv", "a/d/e.json.gz", ".git/x.csv", "a/.x.csv", "notes.md"):
        put(tmp_path / name, "x")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    sources, others = find_sources(tmp_path)
    assert [source.label for source in sources] == ["a/c.csv", "a/d/e.json.gz", "b.csv"]
    assert others == ["notes.md"]


def test_a_link_that_leaves_the_folder_is_refused_unread_and_one_inside_is_read(tmp_path: Path) -> None:
    """Whoever may write into the folder could else have any file of the user's shown in a report."""
    secret = put(tmp_path / "elsewhere" / "secret.csv", "hunter2,hunter2")
    folder = tmp_path / "given"
    put(folder / "real" / "a.csv", long_csv(bars()))
    (folder / "inside.csv").symlink_to("real/a.csv")
    (folder / "outside.csv").symlink_to(secret)
    (folder / "up.csv").symlink_to("../elsewhere/secret.csv")
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe.csv")
    outcome = run(folder)
    assert {name: fate for name, (_, fate) in fates(outcome).items()} == {
        "folder": "refused", "inside.csv": "loaded", "outside.csv": "refused", "real/a.csv": "loaded", "up.csv": "refused",
    }  # fmt: skip
    assert "a link that leaves the folder" in outcome.report["error"]
    assert "hunter2" not in str(outcome.report)


def test_a_link_that_leads_nowhere_and_a_folder_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """What they held would else be missing without a word. One that is no data file's is nobody's matter."""
    put(tmp_path / "a.csv", long_csv(bars()))
    (tmp_path / "README").symlink_to("nowhere")
    assert run(tmp_path).code == 0
    (tmp_path / "b.csv").symlink_to("nowhere")
    (tmp_path / "c.csv").symlink_to("c.csv")
    outcome = run(tmp_path)
    assert {name: fate for name, (_, fate) in fates(outcome).items()} == {
        "a.csv": "loaded",
        "b.csv": "refused",
        "c.csv": "refused",
    }
    assert "b.csv: it is a link that leads nowhere" in outcome.report["error"]
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0)
        assert fates(run(tmp_path))["closed"][1] == "refused"


def test_files_whose_names_look_alike_are_told_apart(tmp_path: Path) -> None:
    put(tmp_path / "p.csv", long_csv(bars()))
    for name, agent in (("a\x1b.csv", "x"), ("a\x07.csv", "y")):
        put(tmp_path / name, f"symbol,as_of,agent,view\nAAPL,2013-03-01,{agent},0.5\nAAPL,2013-03-01,z,7\n")
    outcome = warm("--prices", tmp_path, "--agents", tmp_path, now_ms=utc(2024, 3, 1))
    assert outcome.code == 0, outcome.report
    told = {each["file"]: each["views_used"] for each in outcome.report["files"] if each["kind"] == "agents"}
    assert told == {"a\ufffd.csv": 1, "a\ufffd.csv (2)": 1}
    assert (outcome.report["agent_rows"], outcome.report["views_used"]) == (4, 2)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("views.csv", "symbol,as_of,agent,view\nAAPL,2013-03-01,v,0.5\nAAPL,2013-03-01,z,7\n")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("views.csv", "symbol,as_of,agent,view\nAAPL,2013-03-01,w,0.5\nAAPL,2013-03-01,z,7\n")
    outcome = warm("--prices", tmp_path / "p.csv", "--agents", tmp_path / "z.zip", now_ms=utc(2024, 3, 1))
    assert (outcome.code, outcome.report["agent_rows"]) == (0, 4)


def test_an_archive_is_opened_once_however_many_files_it_has(tmp_path: Path) -> None:
    """Its directory names all of them: read anew for each, ten thousand took minutes."""
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as many:
        for number in range(50):
            many.writestr(f"{number:03}.csv", "symbol,date")
    archives.archive.cache_clear()
    sources, _ = find_sources(path)
    assert all(source.head() and source.content() for source in sources)
    assert (archives.archive.cache_info().misses, archives.archive.cache_info().hits) == (1, 100)


@pytest.mark.parametrize("name", [*PRICES, *AGENTS])
def test_a_file_is_explained(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = PRICES.get(name) or AGENTS[name]
    content = example.write(bars(hours=example.hours)) if name in PRICES else example.write(WORDS[1:])  # type: ignore[arg-type,union-attr]
    path = put(tmp_path / example.file, content)
    assert main(["--explain", str(path)], now_ms=NOW_MS) == 0
    shown = capsys.readouterr().out
    assert "recognised by its content" in shown
    if name in PRICES:
        assert PRICES[name].symbol in shown
        assert ("1h (" if PRICES[name].hours else "1d (") in shown
    else:
        assert AGENTS[name].agent in shown
        assert "views" in shown


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("x.json", "{", "no readable JSON"),
        ("x.json", '{"a": 1}', "no format recognises it: an object of a"),
        ("x.csv", "", "the file is empty"),
        ("x.rtf", "", "not a known kind of file"),
        ("x.csv", "symbol,date,open,high,low,close,volume\nA A,2024-01-02,1,1,1,1,1\n", "1 bad_symbol; first: line or row 2"),
    ],
    ids=["no JSON", "unknown", "empty", "another kind", "bad row"],
)
def test_what_is_wrong_with_a_file_is_explained(
    file: str, content: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path / file, content)
    code = main(["--explain", str(path)], now_ms=NOW_MS)
    shown = " ".join(capsys.readouterr().out.split())
    assert why in shown
    assert code == 1
