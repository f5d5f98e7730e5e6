"""Every format against everything that can be wrong with a file: it is loaded, or refused in one line; there is no third."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.intervals import INTERVALS
from app.domain.vector import PRICE_NAMES
from tests.kit.files import put
from tests.warm.examples import AGENTS, PRICES, WORDS, Bar, PriceExample, Word, bars, format_of
from tests.warm.running import Outcome, warm
from warm.arguments import FORMAT_NAMES, INTERVAL_NAMES
from warm.files.recognise import AGENTS as AGENT_FORMATS
from warm.files.recognise import FORMATS
from warm.files.recognise import PRICES as PRICE_FORMATS

NOW_MS = 1_800_000_000_000
"""2027-01-15: after everything in the examples."""


def run(folder: Path, file: str, content: bytes, *more: object) -> Outcome:
    """Warm from one price file."""
    put(folder / file, content)
    return warm("--prices", folder, "--max-rejects", "0.5", *more, now_ms=NOW_MS)


def made_of(example: PriceExample) -> list[Bar]:
    """The bars that an example is written of."""
    return bars(hours=example.hours)


def test_every_format_has_an_example() -> None:
    """A format that is added must be put through everything below."""
    assert {format_of(name) for name in (*PRICES, *AGENTS)} == {each.name for each in (*PRICE_FORMATS, *AGENT_FORMATS)}


@pytest.mark.parametrize("name", PRICES)
def test_a_good_price_file_is_recognised_and_gives_its_bars(name: str, tmp_path: Path) -> None:
    example = PRICES[name]
    made = made_of(example)
    outcome = run(tmp_path, example.file, example.write(made))
    assert outcome.code == 0, outcome.report["error"]
    (file,) = outcome.report["files"]
    assert (file["format"], file["fate"], file["rejected"]) == (format_of(name), "loaded", 0)
    assert file["interval"] == ("1h" if example.hours else "1d")
    record = outcome.store.price(example.symbol)
    last = made[-1]
    ends = last.at + timedelta(hours=1) if example.hours else last.at.replace(hour=21)
    assert record.as_of_ms == int(ends.timestamp() * 1000)
    assert record.interval_s == (3600 if example.hours else 86_400)
    assert record.values[PRICE_NAMES.index("close")] == pytest.approx(last.close, abs=1e-9)
    assert record.values[PRICE_NAMES.index("return_1")] == pytest.approx(last.close / made[-2].close - 1)
    assert record.values[PRICE_NAMES.index("range_position_20")] == pytest.approx(
        (last.close - min(bar.low for bar in made[-20:]))
        / (max(bar.high for bar in made[-20:]) - min(bar.low for bar in made[-20:]))
    )


@pytest.mark.parametrize("name", PRICES)
def test_volatility_is_annualised_by_the_market_of_the_symbol(name: str, tmp_path: Path) -> None:
    """A pair of currencies has 365 days of 24 hours a year, everything else 252 sessions of six and a half hours."""
    example = PRICES[name]
    content = example.write(made_of(example))
    auto, equities = (
        run(tmp_path, example.file, content, *more)
        .store.price(example.symbol)
        .values[PRICE_NAMES.index("realised_volatility_20")]
        for more in ((), ("--calendar", "equities"))
    )
    assert auto is not None
    assert equities is not None
    a_year = (365 * 24) / (252 * 6.5) if example.hours else 365 / 252
    assert (auto / equities) ** 2 == pytest.approx(a_year if example.never_closes else 1.0)


Change = Callable[[list[Bar]], Sequence[Bar]]

ROWS: dict[str, tuple[Change, dict[str, int]]] = {
    "unsorted": (lambda made: made[::-1], {}),
    "duplicate": (lambda made: [*made, made[-1]], {"duplicate_timestamp": 1}),
    "huge": (lambda made: [made[0]._replace(high=1e300), *made[1:]], {"out_of_range": 1}),
    "future": (lambda made: [*made, made[-1]._replace(at=datetime(2029, 1, 1, tzinfo=UTC))], {"future_bar": 1}),
    "negative": (lambda made: [made[0]._replace(low=-1.0), *made[1:]], {"not_positive": 1}),
}


@pytest.mark.parametrize("case", ROWS)
@pytest.mark.parametrize("name", PRICES)
def test_odd_rows_are_sorted_or_set_aside_and_the_rest_is_loaded(name: str, case: str, tmp_path: Path) -> None:
    example, (change, reasons) = PRICES[name], ROWS[case]
    if name == "yfinance":  # each line holds a bar of both symbols
        reasons = {reason: count * 2 for reason, count in reasons.items()}
    if name == "yfinance" and case in ("huge", "negative"):  # the first day has one of them
        reasons = dict.fromkeys(reasons, 1)
    outcome = run(tmp_path, example.file, example.write(change(made_of(example))))
    if name == "alpha-vantage" and case == "duplicate":  # in an object the last of two equal keys is the only one
        reasons = {}
    assert outcome.code == 0, outcome.report["error"]
    assert outcome.reasons() == reasons
    for body in outcome.report["reject_reasons"].values():
        shown = body["examples"][0]
        assert shown["file"].startswith(example.file)
        assert shown["row"] >= 1
        assert shown["column"]
    if case in ("unsorted", "duplicate", "future"):
        straight = run(tmp_path, example.file, example.write(made_of(example)))
        assert outcome.store.rows == straight.store.rows


@pytest.mark.parametrize("case", ["empty", "truncated", "UTF-16", "BOM", "CRLF", "zeros", "text"])
@pytest.mark.parametrize("name", PRICES)
def test_spoilt_price_files_are_loaded_or_refused(name: str, case: str, tmp_path: Path) -> None:
    example = PRICES[name]
    good = example.write(made_of(example))
    content = {
        "empty": b"",
        "truncated": good[: len(good) * 2 // 3 - 7],
        "UTF-16": good.decode("utf-8" if example.text else "latin-1").encode("utf-16"),
        "BOM": b"\xef\xbb\xbf" + good,
        "CRLF": good.replace(b"\n", b"\r\n"),
        "zeros": b"\0" * 1000,
        "text": b"Dear reader,\nthis is no data.\n",
    }[case]
    outcome = run(tmp_path, example.file, content)
    assert outcome.code in (0, 1)
    if outcome.code == 1:
        assert outcome.store.calls["publish_run"] == 0
        assert example.file.split("/")[-1].split(".")[0] in outcome.report["error"]
        assert "\n" not in outcome.report["error"]
        assert outcome.report["files"] == [] or outcome.report["files"][0]["why"]
    # What stands before a zip archive is passed over by all its readers.
    harmless = case in ("BOM", "CRLF", "UTF-16") and (example.text or (case == "BOM" and example.file.endswith(".zip")))
    if harmless:
        assert outcome.code == 0
    elif case == "truncated" and not good.startswith((b"{", b"[")) and example.text and outcome.code == 0:
        # A table that is cut off is a shorter table with one bad line, which nothing can tell from a whole one.
        assert outcome.report["rejects"] == (outcome.report["rows"] > outcome.report["bars"])
    elif case != "CRLF":
        assert outcome.code == 1
    if harmless:
        assert outcome.store.rows == run(tmp_path, example.file, good).store.rows


@pytest.mark.parametrize("name", [name for name, example in PRICES.items() if example.text_stamps and example.text])
def test_stamps_with_and_without_a_zone_in_one_file_are_refused(name: str, tmp_path: Path) -> None:
    """Nobody can tell what the ones without it mean."""
    example = PRICES[name]
    content = example.write(made_of(example)).decode()
    first, second = "2024-01-02", "2024-01-03"
    assert first in content
    if example.hours:
        mixed = content.replace("+00:00", "", 1) if "+00:00" in content else content.replace('00Z"', '00"', 1)
        if mixed == content:
            mixed = content.replace(':00:00"', ':00:00Z"', 1)
    else:
        mixed = content.replace(first, f"{first} 15:30", 1).replace(second, f"{second} 15:30Z", 1)
    assert mixed != content
    outcome = run(tmp_path, example.file, mixed.encode())
    assert outcome.code == 1
    assert "with a time zone and without one" in outcome.report["error"]


def words_of(outcome: Outcome, agent: str) -> dict[str, tuple[str, float | None, float | None]]:
    """Each symbol's status, view and confidence of one agent."""
    found: dict[str, tuple[str, float | None, float | None]] = {}
    for symbol in outcome.store.rows:
        view = outcome.store.views(symbol).get(agent)
        if view is not None:
            found[symbol] = (view.status, view.view, view.confidence)
    return found


def ask(folder: Path, file: str, content: bytes) -> Outcome:
    """Warm from prices of two symbols to the end of January 2024 and one agents' file."""
    prices = folder / "prices.csv"
    rows = "".join(f"{symbol},2024-01-{day:02},10,11,9,10,5\n" for symbol in ("AAA", "BBB") for day in range(2, 32))
    prices.write_text("symbol,date,open,high,low,close,volume\n" + rows, encoding="utf-8")
    put(folder / "agents" / file, content)
    return warm("--prices", prices, "--agents", folder / "agents", now_ms=NOW_MS)


@pytest.mark.parametrize("name", AGENTS)
def test_a_good_agents_file_is_recognised_and_gives_its_views(name: str, tmp_path: Path) -> None:
    example = AGENTS[name]
    outcome = ask(tmp_path, example.file, example.write(WORDS if example.days else WORDS[1:]))
    assert outcome.code == 0, outcome.report["error"]
    (file,) = (each for each in outcome.report["files"] if each["kind"] == "agents")
    assert (file["format"], file["fate"], file["rejected"]) == (format_of(name), "loaded", 0)
    assert (file["views"], file["abstained"], file["failed"]) == (3 if example.days else 2, 0, 0)
    assert words_of(outcome, example.agent) == {
        "AAA": ("view", -1.0, example.confidence),
        "BBB": ("view", 0.0, example.confidence),
    }
    assert outcome.store.views("AAA")[example.agent].source == example.file


WORD_CASES: dict[str, tuple[Sequence[Word], dict[str, int]]] = {
    "unsorted": (WORDS[::-1], {}),
    "future": ((*WORDS, Word("AAA", "2029-01-01", 1)), {"future_view": 1}),
    "huge": ((*WORDS, Word("CCC", "2024-01-27", 1, 1e300)), {"confidence_out_of_range": 1}),
    "bad symbol": ((*WORDS, Word("A B", "2024-01-28", 1)), {"bad_symbol": 1}),
    "mixed zones": ((WORDS[0]._replace(day="2024-01-30T10:00:00"), WORDS[1]._replace(day="2024-01-31T15:00:00Z"), WORDS[2]), {}),
}


@pytest.mark.parametrize("case", WORD_CASES)
@pytest.mark.parametrize("name", [name for name, example in AGENTS.items() if example.days])
def test_odd_words_are_set_aside_and_the_rest_is_loaded(name: str, case: str, tmp_path: Path) -> None:
    example, (words, reasons) = AGENTS[name], WORD_CASES[case]
    outcome = ask(tmp_path, example.file, example.write(words))
    assert outcome.code == 0, outcome.report["error"]
    (file,) = (each for each in outcome.report["files"] if each["kind"] == "agents")
    if case == "huge" and example.confidence is None:
        reasons = {}
    if case == "huge" and name == "ai-hedge-fund-v2":
        reasons = {"value_out_of_range": 1}
    assert {reason: body["count"] for reason, body in file["reasons"].items()} == reasons
    found = words_of(outcome, example.agent)
    assert found["AAA"][:2] == ("view", -1.0)
    assert found["BBB"][:2] == ("view", 0.0)


@pytest.mark.parametrize("name", [name for name, example in AGENTS.items() if example.twice])
def test_of_two_words_of_one_moment_the_last_counts(name: str, tmp_path: Path) -> None:
    example = AGENTS[name]
    outcome = ask(tmp_path, example.file, example.write((*WORDS, Word("AAA", "2024-01-31", 1))))
    assert words_of(outcome, example.agent)["AAA"][:2] == ("view", 1.0)


@pytest.mark.parametrize("case", ["empty", "truncated", "UTF-16", "BOM", "CRLF", "long number", "deep", "zeros"])
@pytest.mark.parametrize("name", AGENTS)
def test_spoilt_agents_files_are_loaded_or_refused(name: str, case: str, tmp_path: Path) -> None:
    example = AGENTS[name]
    good = example.write(WORDS if example.days else WORDS[1:])
    content = {
        "empty": b"",
        "truncated": good[: len(good) * 2 // 3],
        "UTF-16": good.decode().encode("utf-16"),
        "BOM": b"\xef\xbb\xbf" + good,
        "CRLF": good.replace(b"\n", b"\r\n"),
        "long number": good.replace(b"80.0", b"9" * 5000).replace(b"0.8", b"9" * 5000),
        "deep": b'{"analyst_signals": ' + b"[" * 100_000,
        "zeros": b"\0" * 1000,
    }[case]
    outcome = ask(tmp_path, example.file, content)
    assert outcome.code in (0, 1)
    if outcome.code == 1:
        assert outcome.store.calls["publish_run"] == 0
        assert example.file.rsplit("/", 1)[-1] in outcome.report["error"]
        assert "\n" not in outcome.report["error"]
    if case in ("BOM", "CRLF", "UTF-16"):
        assert outcome.code == 0
        clean = ask(tmp_path, example.file, good)
        assert words_of(outcome, example.agent) == words_of(clean, example.agent)
    if case in ("empty", "zeros", "deep"):
        assert outcome.code == 1


def test_the_command_line_names_every_format_and_interval() -> None:
    """It has them by itself, for a help that needs no library of tables."""
    assert tuple(FORMATS) == FORMAT_NAMES
    assert tuple(INTERVALS) == INTERVAL_NAMES
