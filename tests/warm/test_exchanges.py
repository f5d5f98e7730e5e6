"""A symbol's exchange is its suffix's: bars and dates are known at its own close."""

import io
from datetime import date
from itertools import islice
from pathlib import Path

import pytest
from rich.console import Console

from app.domain.vector import PRICE_NAMES
from tests.kit.files import put
from tests.warm.running import HEADER, Outcome, utc, warm
from warm.__main__ import main
from warm.calendar.exchanges import Hours, exchange, exchange_of
from warm.calendar.sessions import open_session
from warm.errors import InputRefused
from warm.report import TerminalReporter

FRIDAY = date(2024, 3, 8)
NOW_MS = utc(2024, 3, 11, 1)


def prices(folder: Path, *symbols: str, days: int = 8) -> Path:
    """The first ``days`` of March 2024 for each symbol, weekends too."""
    rows = [f"{symbol},2024-03-{day:02},99,103,97,100,1000" for symbol in symbols for day in range(1, days + 1)]
    return put(folder / "prices.csv", HEADER + "\n".join(rows))


def last_ms(outcome: Outcome, symbol: str) -> int:
    """When the last bar of a symbol is known."""
    return outcome.store.price(symbol).as_of_ms


@pytest.mark.parametrize(
    ("symbol", "code"),
    [
        ("AAPL", "XNYS"), ("BRK.B", "XNYS"), ("AAPL.US", "XNYS"), ("SAP.DE", "XETR"), ("VOD.L", "XLON"), ("VOD.UK", "XLON"),
        ("MC.PA", "XPAR"), ("600519.SH", "XSHG"), ("600519.SS", "XSHG"), ("000001.SZ", "XSHG"), ("0700.HK", "XHKG"),
        ("7203.T", "XTKS"), ("7203.JP", "XTKS"), ("X.T", "XNYS"), ("RELIANCE.NS", "XBOM"), ("005930.KS", "XKRX"),
        ("2330.TW", "XTAI"),
        ("^GSPC", "XNYS"), ("^GDAXI", "XETR"), ("^N225", "XTKS"), ("^FTSE", "XLON"),
        ("ES=F", "CMES"),
        ("BHP.AX", "XASX"), ("PETR4.SA", "BVMF"), ("SHOP.TO", "XTSE"), ("UNKNOWN.QQ", "XNYS"), ("", "XNYS"),
    ],
)  # fmt: skip
def test_a_suffix_names_the_exchange(symbol: str, code: str) -> None:
    assert exchange_of(symbol) == code


@pytest.mark.parametrize(
    ("symbol", "known_ms"),
    [
        ("AAPL", utc(2024, 3, 8, 21)),
        ("SAP.DE", utc(2024, 3, 8, 16, 30)),
        ("600519.SH", utc(2024, 3, 8, 7)),
        ("7203.T", utc(2024, 3, 8, 6)),
        ("VOD.L", utc(2024, 3, 8, 16, 30)),
        ("BTC-USD", utc(2024, 3, 9)),
    ],
)
def test_a_daily_bar_is_known_at_its_own_exchanges_close(symbol: str, known_ms: int, tmp_path: Path) -> None:
    assert last_ms(warm("--prices", prices(tmp_path, symbol), now_ms=NOW_MS), symbol) == known_ms
    mixed = warm("--prices", prices(tmp_path, "AAPL", "SAP.DE", "600519.SH", "7203.T", "VOD.L", "BTC-USD"), now_ms=NOW_MS)
    assert (mixed.report["bars"], mixed.report["rejects"], last_ms(mixed, symbol)) == (48, 0, known_ms)


def test_an_early_close_is_when_the_bar_is_known(tmp_path: Path) -> None:
    """The Friday after Thanksgiving ends at 13:00; a source that stamps it with 16:00 all the same means that session."""
    date_only = put(tmp_path / "a.csv", HEADER + "AAPL,2024-11-27,1,2,1,2,3\nAAPL,2024-11-29,1,2,1,2,3")
    assert last_ms(warm("--prices", date_only, now_ms=utc(2024, 12, 1)), "AAPL") == utc(2024, 11, 29, 18)
    stamps = "AAPL,2024-11-27T21:00:00Z,1,2,1,2,3\nAAPL,2024-11-29T21:00:00Z,1,2,1,2,3"
    stamped = put(tmp_path / "b.csv", HEADER + stamps)
    outcome = warm("--prices", stamped, "--interval", "1d", now_ms=utc(2024, 12, 1))
    assert last_ms(outcome, "AAPL") == utc(2024, 11, 29, 18)
    alone = put(tmp_path / "c.csv", HEADER + "AAPL,2024-11-29T21:00:00Z,1,2,1,2,3")
    assert last_ms(warm("--prices", alone, "--interval", "1d", now_ms=utc(2024, 12, 1)), "AAPL") == utc(2024, 11, 29, 18)


def test_days_stamped_at_the_open_are_sessions_of_each_symbols_exchange(tmp_path: Path) -> None:
    """As charts have them, in one file; a midnight in UTC beside them is a pair's day."""
    opens = {
        "AAPL": (14, 30, 21.0),
        "SAP.DE": (8, 0, 16.5),
        "600519.SH": (1, 30, 7.0),
        "7203.T": (0, 0, 6.0),
        "BTC-USD": (0, 0, 24.0),
    }
    rows = [
        f"{symbol},{utc(2024, 3, day, hour, minute) // 1000},99,103,97,100,1000"
        for symbol, (hour, minute, _) in opens.items()
        for day in (4, 5, 6, 7, 8)
    ]
    outcome = warm("--prices", put(tmp_path / "p.csv", HEADER + "\n".join(rows)), now_ms=NOW_MS)
    known = {symbol: utc(2024, 3, 8) + round(close * 3_600_000) for symbol, (*_, close) in opens.items()}
    assert {symbol: last_ms(outcome, symbol) for symbol in opens} == known


def test_a_session_that_closes_late_keeps_a_date_that_is_midnight_elsewhere(tmp_path: Path) -> None:
    """Dates of winter, all of which are evenings before in New York, where a session may close at midnight."""
    path = put(tmp_path / "p.csv", HEADER + "\n".join(f"AAPL,2024-02-{day:02},99,103,97,100,1000" for day in (5, 6, 7, 8)))
    outcome = warm("--prices", path, "--timezone", "America/New_York", "--session-close", "24:00", now_ms=NOW_MS)
    assert last_ms(outcome, "AAPL") == utc(2024, 2, 9, 5)


def test_a_coin_beside_shares_is_known_by_its_own_weekends(tmp_path: Path) -> None:
    """The share keeps its sessions, and nothing is said of it; it may have far more bars than the coin."""
    weekdays = [day for day in range(1, 32) if date(2024, 1, day).weekday() < 5]
    rows = [f"MSFT,2024-01-{day:02},99,103,97,100,1000" for day in weekdays]
    rows += [f"BTC,2024-02-{day:02},99,103,97,100,1000" for day in range(1, 9)]
    outcome = warm("--prices", put(tmp_path / "p.csv", HEADER + "\n".join(rows)), now_ms=NOW_MS)
    assert (last_ms(outcome, "BTC"), last_ms(outcome, "MSFT")) == (utc(2024, 2, 9), utc(2024, 1, 31, 21))
    assert outcome.report["files"][0].get("notes") is None


@pytest.mark.parametrize(
    "stamps",
    [
        [f"2024-03-{day:02}" for day in (4, 5, 6, 7, 8)],
        [f"2024-03-{day:02} 00:00:00-05:00" for day in (4, 5, 6, 7, 8)],
        [str(utc(2024, 3, day, 23) // 1000) for day in (3, 4, 5, 6, 7)],
        [str(utc(2024, 3, day, 22) // 1000) for day in (4, 5, 6, 7, 8)],
        [str(utc(2024, 3, day, 5) // 1000) for day in (4, 5, 6, 7, 8)],
    ],
)
def test_a_day_of_futures_ends_at_five_in_new_york(stamps: list[str], tmp_path: Path) -> None:
    rows = [f"ES=F,{each},99,103,97,100,1000" for each in stamps]
    outcome = warm("--prices", put(tmp_path / "p.csv", HEADER + "\n".join(rows)), "--interval", "1d", now_ms=NOW_MS)
    assert (outcome.report["rejects"], last_ms(outcome, "ES=F")) == (0, utc(2024, 3, 8, 22))
    assert outcome.store.price("ES=F").due_ms[:2] == (utc(2024, 3, 11, 21), utc(2024, 3, 12, 21))


def test_hours_of_futures_follow_each_other_but_for_a_break(tmp_path: Path) -> None:
    """From 17:00 to 18:00 in New York, and from Friday to Sunday."""
    rows = [f"ES=F,{utc(2024, 3, 8, hour) // 1000},99,103,97,100,1000" for hour in (18, 19, 20, 21)]
    outcome = warm("--prices", put(tmp_path / "p.csv", HEADER + "\n".join(rows)), now_ms=NOW_MS)
    assert last_ms(outcome, "ES=F") == utc(2024, 3, 8, 22)
    assert outcome.store.price("ES=F").due_ms[:2] == (utc(2024, 3, 10, 23), utc(2024, 3, 11))


def test_currencies_and_futures_rest_at_weekends_and_futures_for_an_hour(tmp_path: Path) -> None:
    """What is missing within a week is a gap all the same."""
    days = [each for each in range(1, 30) if date(2024, 2, each).weekday() < 5]
    by_day = [f"{symbol},2024-02-{day:02},99,103,97,100,1000" for symbol in ("EURUSD=X", "ES=F") for day in days]
    (told,) = warm("--prices", put(tmp_path / "d.csv", HEADER + "\n".join(by_day)), now_ms=utc(2024, 3, 1)).report["files"]
    assert "gaps" not in told
    # From Monday to Friday, 17:00 in New York, without what is traded in the hour before 18:00 and at the weekend.
    hours = [utc(2024, 2, day, hour) // 1000 for day in range(5, 17) for hour in range(24) if hour != 22]
    open_hours = [each for each in hours if not utc(2024, 2, 9, 22) <= each * 1000 < utc(2024, 2, 11, 23)]
    rows = [f"ES=F,{each},99,103,97,100,1000" for each in open_hours if each * 1000 < utc(2024, 2, 16, 22)]
    (told,) = warm("--prices", put(tmp_path / "h.csv", HEADER + "\n".join(rows)), now_ms=utc(2024, 3, 1)).report["files"]
    assert (told["interval"], "gaps" in told) == ("1h", False)
    less = [each for at, each in enumerate(rows) if at not in (30, 31)]
    (told,) = warm("--prices", put(tmp_path / "h.csv", HEADER + "\n".join(less)), now_ms=utc(2024, 3, 1)).report["files"]
    assert told["gaps"] == 1


def test_volatility_of_hours_is_annualised_by_the_exchanges_own_sessions(tmp_path: Path) -> None:
    """6.5 hours in New York, 8.5 at Xetra, 4 in Shanghai and 23 of futures."""
    hours = {"AAPL": 6.5, "SAP.DE": 8.5, "600519.SH": 4.0, "ES=F": 23.0}
    stamps = [f"2024-03-{day:02}T{hour:02}:00:00Z" for day in (4, 5, 6, 7) for hour in range(0, 24, 1)]
    rows = [f"{symbol},{each},99,103,97,{100 + at % 3},1000" for symbol in hours for at, each in enumerate(stamps)]
    outcome = warm("--prices", put(tmp_path / "p.csv", HEADER + "\n".join(rows)), now_ms=NOW_MS)
    at = PRICE_NAMES.index("realised_volatility_20")
    found = {symbol: outcome.store.price(symbol).values[at] or 0.0 for symbol in hours}
    assert {symbol: each / found["AAPL"] for symbol, each in found.items()} == pytest.approx(
        {symbol: (each / 6.5) ** 0.5 for symbol, each in hours.items()}
    )


def test_hours_without_a_time_zone_are_on_the_symbols_own_clock(tmp_path: Path) -> None:
    rows = [f"{symbol},2024-03-08 {hour}:00,1,2,1,2,3" for symbol in ("AAPL", "SAP.DE") for hour in (10, 11, 12)]
    outcome = warm("--prices", put(tmp_path / "p.csv", HEADER + "\n".join(rows)), now_ms=NOW_MS)
    assert last_ms(outcome, "AAPL") == utc(2024, 3, 8, 18)
    assert last_ms(outcome, "SAP.DE") == utc(2024, 3, 8, 12)


@pytest.mark.parametrize(
    ("options", "known_ms"),
    [
        (("--exchange", "XETR"), utc(2024, 3, 8, 16, 30)),
        (("--timezone", "Europe/London"), utc(2024, 3, 8, 16)),
        (("--session-close", "12:00"), utc(2024, 3, 8, 17)),
        (("--exchange", "XTKS", "--session-close", "12:00"), utc(2024, 3, 8, 3)),
    ],
)
def test_options_say_otherwise_for_all(options: tuple[str, ...], known_ms: int, tmp_path: Path) -> None:
    outcome = warm("--prices", prices(tmp_path, "AAPL", "600519.SH"), *options, now_ms=NOW_MS)
    assert {last_ms(outcome, symbol) for symbol in ("AAPL", "600519.SH")} == {known_ms}


@pytest.mark.parametrize(
    ("symbol", "told"),
    [
        (
            "THYAO.IS",
            "no table has the exchange of THYAO.IS, so New York's sessions count: --exchange or --session-close says otherwise",
        ),
        (
            "005930",
            "no table has the exchange of 005930, so New York's sessions count: --exchange or --session-close says otherwise",
        ),
        (
            "BER:SAP",
            "no table has the exchange of BER:SAP, so New York's sessions count: --exchange or --session-close says otherwise",
        ),
        ("XETR:SAP", None),
        ("000660", "000660 as 000660.SZ: a number of Seoul has .KS or .KQ"),
        ("600519", None),
        ("BRK.B", None),
        ("^DJI", None),
        ("005930.KS", None),
        ("BTC-USD", None),
    ],
)
def test_an_exchange_that_is_only_assumed_is_told(symbol: str, told: str | None, tmp_path: Path) -> None:
    path = prices(tmp_path, symbol)
    (notes,) = (each.get("notes") for each in warm("--prices", path, now_ms=NOW_MS).report["files"])
    assert [each for each in notes or () if "Saturdays" not in each] == ([told] if told else [])
    (notes,) = (each.get("notes") for each in warm("--prices", path, "--exchange", "XKRX", now_ms=NOW_MS).report["files"])
    assert [each for each in notes or () if "Saturdays" not in each] == []


def test_an_exchange_without_a_table_is_refused() -> None:
    with pytest.raises(InputRefused, match=r"--exchange 'XXXX' is not known; allowed: BVMF, CMES, XAMS, .*XTSE"):
        open_session(None, None, None, "XXXX")
    with pytest.raises(SystemExit):
        main(["--exchange", "XXXX"])


def test_an_agents_date_is_the_close_of_the_symbols_exchange(tmp_path: Path) -> None:
    table = "symbol,as_of,agent,view\nSAP.DE,2024-03-07,x,0.5\nAAPL,2024-03-07,x,0.5\n"
    agents = put(tmp_path / "views.csv", table)
    outcome = warm("--prices", prices(tmp_path, "SAP.DE", "AAPL"), "--agents", agents, now_ms=NOW_MS)
    assert outcome.store.views("SAP.DE")["x"].as_of_ms == utc(2024, 3, 7, 16, 30)
    assert outcome.store.views("AAPL")["x"].as_of_ms == utc(2024, 3, 7, 21)


def test_an_agents_date_on_a_bare_coin_is_that_coins_day(tmp_path: Path) -> None:
    """Its prices tell by their weekends whether it is a coin or the fund of that name; without prices it is a coin."""
    agents = put(
        tmp_path / "views.csv", "symbol,as_of,agent,view\nBTC,2024-03-07,x,0.5\nETH,2024-03-07,x,0.5\nSOL,2024-03-07,x,1\n"
    )
    rows = [f"BTC,2024-03-{day:02},99,103,97,100,1000" for day in range(1, 9)]
    rows += [f"ETH,2024-03-{day:02},99,103,97,100,1000" for day in (1, 4, 5, 6, 7, 8)]
    outcome = warm("--prices", put(tmp_path / "p.csv", HEADER + "\n".join(rows)), "--agents", agents, now_ms=NOW_MS)
    known = {"BTC": utc(2024, 3, 8), "ETH": utc(2024, 3, 7, 21), "SOL": utc(2024, 3, 8)}
    assert {symbol: outcome.store.views(symbol)["x"].as_of_ms for symbol in known} == known
    assert (last_ms(outcome, "BTC"), last_ms(outcome, "ETH")) == (utc(2024, 3, 9), utc(2024, 3, 8, 21))


@pytest.mark.parametrize(
    ("alias", "closes_ms"),
    [("SAP=SAP.DE", utc(2024, 3, 8, 16, 30)), ("COIN=BTC-USD", utc(2024, 3, 9)), ("SAP.DE=SAP", utc(2024, 3, 8, 21))],
)
def test_an_aliased_symbols_market_is_that_of_the_name_it_is_kept_under(alias: str, closes_ms: int, tmp_path: Path) -> None:
    written, kept = alias.split("=")
    agents = put(tmp_path / "views.csv", f"symbol,as_of,agent,view\n{written},2024-03-08,x,0.5\n")
    outcome = warm("--prices", prices(tmp_path, written), "--agents", agents, "--alias", alias, now_ms=NOW_MS)
    assert (last_ms(outcome, kept), outcome.store.views(kept)["x"].as_of_ms) == (closes_ms, closes_ms)


def test_explain_names_the_exchanges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--explain", str(prices(tmp_path, "SAP.DE", "AAPL"))], now_ms=NOW_MS) == 0
    assert "the sessions of XETR, XNYS" in capsys.readouterr().out


def test_explain_tells_that_markets_of_a_file_stamp_their_bars_differently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A share's weeks are labelled by Fridays, a pair's by Mondays."""
    rows = [
        f"{symbol},2024-01-{day:02},99,103,97,100,1000"
        for symbol, first in (("AAPL", 5), ("BTC-USD", 1))
        for day in range(first, 29, 7)
    ]
    assert main(["--explain", str(put(tmp_path / "p.csv", HEADER + "\n".join(rows)))], now_ms=NOW_MS) == 0
    assert "when a bar begins or ends, by market" in capsys.readouterr().out


def test_a_table_tells_sessions_early_closes_holidays_and_pauses() -> None:
    new_york = exchange("XNYS")
    week = [(day.day, hours.closes) for day, hours in islice(new_york.sessions(date(2024, 11, 27)), 3)]
    assert week == [(27, 960), (29, 780), (2, 960)]
    assert (new_york.hours(date(2024, 11, 28)), new_york.close_minutes(date(2024, 11, 28))) == (None, 960)
    assert exchange("XHKG").hours(FRIDAY) == Hours(570, 960, (720, 780))
    riyadh = exchange("XSAU")
    assert [riyadh.hours(date(2024, 3, day)) is not None for day in (7, 8, 9, 10)] == [True, False, False, True]


def test_past_a_tables_end_regular_hours_count() -> None:
    new_york = exchange("XNYS")
    assert new_york.hours(date(2099, 12, 25)) == Hours(570, 960)
    assert new_york.hours(date(2099, 12, 26)) is None
    assert exchange("XHKG").hours(date(1999, 6, 1)) == Hours(600, 960, (720, 780))


def test_past_a_tables_end_the_run_warns(tmp_path: Path) -> None:
    path = prices(tmp_path, "AAPL", "SAP.DE", "BTC-USD")
    assert warm("--prices", path, now_ms=NOW_MS).report["warnings"] == []
    outcome = warm("--prices", path, now_ms=utc(2099, 1, 1))
    assert [each.partition(":")[0] for each in outcome.report["warnings"]] == [
        f"the table of {code} ends with {exchange(code).until}" for code in ("XETR", "XNYS")
    ]
    console = Console(file=io.StringIO(), width=200)
    TerminalReporter(console).close(outcome.report)
    assert isinstance(console.file, io.StringIO)
    assert "warm: the table of XETR ends" in console.file.getvalue()
