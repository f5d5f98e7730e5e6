"""GET /candles: parameters, pages, digits, and what callers are told where the store is away."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.answering.moments import iso_us
from app.domain.intervals import INTERVALS
from app.domain.prices import exact
from app.market.protocol import Bar, Batch, CandlePage, CandlesWanted, Export, Gap, GivenBar, Symbol
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_reader import EmbeddedReader
from app.market_payloads import CandlesResponse
from tests.kit.market import FakeReader
from tests.kit.records import row
from tests.kit.serving import Served, decoded, problem_of
from tests.kit.store import UNIVERSE, FakeStore, down

MINUTE_US = 60_000_000
NOON_US = 1_700_049_600_000_000
DIGITS = ("0.00000001", "123456789.123456789", "1e-8", "0.123456789012345678", "1234567.10", "1E+3")


def _bar(number: int = 0, **rest: object) -> Bar:
    one, start_us = Decimal(1), NOON_US + number * MINUTE_US
    values = (one,) * 4
    bar = Bar("AAPL", "1m", start_us, start_us + MINUTE_US, *values, one, one, 1, None, None, "complete", 1, None, ("trades",))
    return bar._replace(**rest)  # type: ignore[arg-type]


@pytest.fixture
def reader() -> FakeReader:
    """A market store that knows a symbol of its own, and one that is loaded."""
    return FakeReader("AAPL", "ONLY.HERE")


@pytest.fixture
def served(reader: FakeReader) -> Iterator[Served]:
    """The application on it."""
    with Served(open_reader=lambda: reader) as running:
        yield running


def _wanted(reader: FakeReader) -> CandlesWanted:
    wanted = reader.wanted[-1]
    assert isinstance(wanted, CandlesWanted)
    return wanted


def test_a_request_is_handed_on_as_it_was_meant(served: Served, reader: FakeReader) -> None:
    served.get("/candles?symbol=aapl")
    assert _wanted(reader) == CandlesWanted("AAPL", "1m", 100, descending=True, counts=True)
    query = "symbol=btc/usdt&interval=1d&start=2023-11-15&end=1700136000&limit=7&offset=3&order=desc&tz=Europe/Berlin"
    with Served(open_reader=lambda: reader, stablecoins="usd") as other:
        other.get(f"/candles?{query}&extended=true&complete_only=true")
    span = NOON_US - 720 * MINUTE_US, NOON_US + 1440 * MINUTE_US
    expected = CandlesWanted("BTC-USD", "1d", 7, *span, None, 3, True, True, True, "Europe/Berlin", True)  # noqa: FBT003 - in a row
    assert _wanted(reader) == expected
    served.get("/candles?symbol=AAPL&tz=UTC&cursor=&offset=1")
    assert (_wanted(reader).offset, _wanted(reader).zone, _wanted(reader).after_us, _wanted(reader).counts) == (
        1,
        "UTC",
        None,
        True,
    )
    served.get("/candles?symbol=AAPL&start=1960-01-01")
    assert (_wanted(reader).start_us, _wanted(reader).descending) == (0, False)


@pytest.mark.parametrize(
    ("query", "field", "told"),
    [
        ("", "symbol", "symbol is missing"),
        ("symbol=a%20b", "symbol", "symbol is 'a b'"),
        ("symbol=A&symbol=B", "symbol", "is there 2 times; allowed: once"),
        ("symbol=A&from=1", "from", "unknown; allowed: symbol, interval, start, end"),
        ("symbol=A&interval=7m", "interval", "interval is '7m'; allowed: " + ", ".join(INTERVALS)),
        ("symbol=A&start=now", "start", "start is 'now'; allowed: ISO 8601"),
        ("symbol=A&end=2024-02-30", "end", "end is '2024-02-30'; allowed: ISO 8601"),
        (
            "symbol=A&start=2024-02-02&end=2024-02-02",
            "end",
            "end is 2024-02-02, start is 2024-02-02; allowed: a start before the end",
        ),
        ("symbol=A&start=9999-12-31T23:59:59-23:59&end=2024-02-02", "end", "a start before the end"),
        ("symbol=A&limit=0", "limit", "limit is '0'; allowed: a whole number from 1 to 1000"),
        ("symbol=A&limit=1001", "limit", "limit is '1001'"),
        ("symbol=A&limit=", "limit", "limit is ''"),
        ("symbol=A&offset=5001", "offset", "offset is '5001'; allowed: a whole number from 0 to 5000"),
        ("symbol=A&offset=-1", "offset", "offset is '-1'"),
        ("symbol=A&order=up", "order", "order is 'up'; allowed: asc, desc"),
        ("symbol=A&extended=yes", "extended", "extended is 'yes'; allowed: true, false"),
        ("symbol=A&complete_only=1", "complete_only", "complete_only is '1'; allowed: true, false"),
        ("symbol=A&tz=Europe/Berlin", "tz", "tz is 'Europe/Berlin' with interval 1m; allowed: with 1d, 3d, 1w, 1M"),
        ("symbol=A&interval=1d&tz=Mars", "tz", "tz is 'Mars'; allowed: a name of the time zone database"),
        ("symbol=A&interval=1d&tz=../../etc/passwd", "tz", "tz is '../../etc/passwd'; allowed"),
        ("symbol=A&cursor=AAAA", "cursor", "cursor is 'AAAA'; allowed: a next_cursor of this server"),
    ],
)
def test_a_parameter_that_is_wrong_is_told_with_what_is_allowed(
    query: str, field: str, told: str, served: Served, reader: FakeReader
) -> None:
    """Before the store is asked."""
    assert told in problem_of(served.get(f"/candles?{query}"), 422, "invalid-request", field).detail
    assert not reader.calls


def test_an_answer_says_all_of_a_bar_and_its_gaps(served: Served, reader: FakeReader) -> None:
    bars = (
        _bar(volume=Decimal(3), notional=Decimal(100), revision=2, session="regular", sources=("a", "trades")),
        _bar(1, notional=None, trades=None, coverage="open"),
        _bar(2, volume=Decimal(0), notional=Decimal(0), coverage="backfilled"),
    )
    gaps = tuple(Gap("V", "AAPL", NOON_US + at, NOON_US + at + 9, "ids", None, (at and NOON_US) or None) for at in range(1001))
    reader.candle_page = CandlePage(bars[::-1], None, gaps, 3)
    found = served.get("/candles?symbol=AAPL&limit=3").json()
    assert found["data"][0] == json.loads(
        """{"symbol": "AAPL", "interval": "1m", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 3, "trades": 1,
        "start_time": "2023-11-15T12:00:00Z", "end_time": "2023-11-15T12:01:00Z", "vwap": 33.3333333333333333,
        "coverage": "complete", "revision": 2, "complete": true, "session": "regular", "sources": ["a", "trades"]}"""
    )
    assert [(each["vwap"], each["trades"], each["complete"]) for each in found["data"][1:]] == [
        (None, None, False),
        (None, 1, True),
    ]
    assert found["gaps"][1] == json.loads(
        """{"venue": "V", "start_time": "2023-11-15T12:00:00.000001Z", "end_time": "2023-11-15T12:00:00.000010Z",
        "missing": null, "found_by": "ids", "filled_time": "2023-11-15T12:00:00Z"}"""
    )
    assert (len(found["gaps"]), found["gaps_omitted"], found["gaps"][0]["filled_time"]) == (1000, 1, None)
    assert found["pagination"] == {"limit": 3, "offset": 0, "total": 3, "next_cursor": None}


def test_a_cursor_is_of_the_parameters_that_it_came_for(served: Served, reader: FakeReader) -> None:
    """The number of bars on a page may change, as may the spelling."""
    reader.candle_page = CandlePage((_bar(),), NOON_US)
    query = "symbol=AAPL&interval=1d&start=2023-11-15&tz=Asia/Tokyo"
    cursor = decoded(served.get(f"/candles?{query}"), CandlesResponse).pagination.next_cursor
    assert cursor is not None
    served.get(f"/candles?{query.replace('AAPL', 'aapl').replace('2023-11-15', '1700006400')}&limit=3&cursor={cursor}")
    assert (_wanted(reader).after_us, _wanted(reader).counts, _wanted(reader).limit) == (NOON_US, False, 3)
    for old, new in [("1d", "1w"), ("Tokyo", "Seoul"), ("start", "end"), ("AAPL", "IBM"), ("-15", "-16")]:
        problem = problem_of(served.get(f"/candles?{query.replace(old, new)}&cursor={cursor}"), 422, "invalid-request", "cursor")
        assert "is of a page with other parameters" in problem.detail
    for more in ("&order=desc", "&extended=true", "&complete_only=true"):
        problem_of(served.get(f"/candles?{query}{more}&cursor={cursor}"), 422, "invalid-request", "cursor")
    problem_of(served.get(f"/candles?{query}&offset=1&cursor={cursor}"), 422, "invalid-request", "offset")
    problem_of(served.get(f"/trades?symbol=AAPL&start=2023-11-15&cursor={cursor}"), 422, "invalid-request", "cursor")


def test_an_unknown_symbol_is_404_with_those_that_may_be_meant(served: Served, reader: FakeReader) -> None:
    """Of the market store and of the loaded universe; a known one without bars has none."""
    for symbol, meant in [("AAPK", "AAPL"), ("ONLY", "ONLY.HERE"), ("MSF", "MSFT")]:
        problem = problem_of(served.get(f"/candles?symbol={symbol}"), 404, "unknown-symbol", "symbol")
        assert problem.detail.endswith(f"; did you mean {meant}?")
        problem_of(served.get(f"/trades?symbol={symbol}"), 404, "unknown-symbol", "symbol")
    for symbol in ("ONLY.HERE", "IBM"):
        assert served.get(f"/candles?symbol={symbol}").json()["data"] == []
    reader.candle_page = CandlePage((_bar(),), None)
    assert served.get("/candles?symbol=AAPK").status_code == 200


def test_a_symbol_that_the_market_store_lacks_is_503_while_l2_is_away(reader: FakeReader) -> None:
    """It may be loaded: an error is not a miss."""
    store = FakeStore(*UNIVERSE)
    store.fault = down()
    with Served(store, warmed=False, open_reader=lambda: reader) as served:
        answer = served.get("/candles?symbol=IBM")
        problem_of(answer, 503, "store-unavailable")
        assert answer.headers["retry-after"] == "1"
        assert served.get("/candles?symbol=AAPL").status_code == 200


def test_only_what_an_unknown_symbol_may_be_is_looked_for(served: Served, reader: FakeReader) -> None:
    """A known one costs one read; one that was loaded after the universe was read is known."""
    for path in ("candles", "trades"):
        reader.calls.clear()
        problem_of(served.get(f"/{path}?symbol=AAPK"), 404, "unknown-symbol", "symbol")
        assert reader.calls == {path: 1, "neighbours": 1}
        served.store.put(row(f"NEW.{path.upper()}"))
        for symbol in ("ONLY.HERE", "IBM", f"NEW.{path}"):
            reader.calls.clear()
            assert served.get(f"/{path}?symbol={symbol}").json()["data"] == []
            assert reader.calls == {path: 1}


def test_an_unknown_symbol_is_404_though_its_neighbours_cannot_be_read(served: Served, reader: FakeReader) -> None:
    reader.faulty = {"neighbours"}
    assert problem_of(served.get("/candles?symbol=AAPK"), 404, "unknown-symbol", "symbol").detail.endswith("mean AAPL?")


@pytest.mark.parametrize("reason", ["market_error", "market_busy", "market_timeout", "market_open"])
@pytest.mark.parametrize("path", ["/candles", "/trades"])
def test_a_store_that_is_away_is_503_that_says_why_and_decisions_go_on(
    reason: str, path: str, served: Served, reader: FakeReader
) -> None:
    """Callers do not learn where it is."""
    reader.reason = reason
    answer = served.get(f"{path}?symbol=AAPL")
    problem = problem_of(answer, 503, "market-unavailable")
    assert answer.headers["retry-after"] == "1"
    assert f"({reason})" in problem.detail
    assert "/a/path" not in problem.detail
    assert served.decide("AAPL").fallback.level == "none"
    assert served.get("/readyz").status_code == 200
    text = served.get("/metrics").text
    assert f'decide_market_errors_total{{operation="{path[1:]}",reason="{reason}"}} 1.0' in text
    assert f'decide_market_read_duration_seconds_count{{operation="{path[1:]}"}} 1.0' in text


@pytest.mark.parametrize(
    "damage",
    [
        {"open": Decimal("NaN")},
        {"volume": Decimal("Infinity")},
        {"close": Decimal("1e999999999")},
        {"notional": Decimal("sNaN")},
        {"start_us": 2**63 - 1},
    ],
)
@pytest.mark.parametrize("count", [1, 300])
def test_values_that_nobody_can_have_given_are_an_error_of_the_store(
    damage: dict[str, Any], count: int, served: Served, reader: FakeReader
) -> None:
    """And the log says which."""
    reader.candle_page = CandlePage((*[_bar()] * (count - 1), _bar(**damage)), None)
    answer = served.get("/candles?symbol=AAPL&limit=1000")
    assert "(market_error)" in problem_of(answer, 503, "market-unavailable").detail
    assert answer.headers["retry-after"] == "1"
    (line,) = [line for line in served.log_lines() if line["event"] == "outage"]
    assert line["detail"].startswith("a stored value is none: ")


def test_nobody_opens_the_market_store_before_somebody_asks_for_it() -> None:
    opened = list[FakeReader]()

    def open_reader() -> FakeReader:
        opened.append(FakeReader("AAPL"))
        return opened[-1]

    with Served(open_reader=open_reader) as served:
        served.decide()
        for path in ("/readyz", "/livez", "/symbols", "/metrics"):
            assert served.get(path).status_code == 200
        assert not opened
        served.runner.run(served.parts.market.close())
        served.get("/candles?symbol=AAPL")
        served.get("/trades?symbol=AAPL")
        assert len(opened) == 1
        served.parts.refresh()
        assert 'decide_market_pool_connections{state="in_use"} 1.0' in served.get("/metrics").text
        served.runner.run(served.parts.market.close())
        assert opened[0].closed


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real store: of A a day's minutes with holes, of DIGITS what providers write, of KNOWN nothing."""
    path = tmp_path_factory.mktemp("market") / "market.sqlite3"
    with closing(EmbeddedWriter(path)) as writer:
        bars = [_given(NOON_US + at * MINUTE_US, str(at + 1)) for at in range(1440) if at % 7]
        writer.put_bars(Export("A", "1m", "file", bars))
        writer.put_bars(Export("D.X", "1m", "file", [_given(NOON_US + at * MINUTE_US, text) for at, text in enumerate(DIGITS)]))
        writer.put_symbols([Symbol("KNOWN")])
        writer.apply(Batch(gaps=[Gap("V", "A", NOON_US, NOON_US + 1, "ids", 3)]))
    return path


def _given(start_us: int, price: str) -> GivenBar:
    found = exact(price)
    return GivenBar(start_us, found, found, found, found, found, found * 1)


@pytest.fixture(scope="module")
def real(market: Path) -> Iterator[Served]:
    """The application on it."""
    with Served(open_reader=lambda: EmbeddedReader(market, deadline_s=60.0)) as running:
        yield running
        running.runner.run(running.parts.market.close())


def test_prices_have_exactly_the_digits_that_were_given(real: Served) -> None:
    answer = real.get("/candles?symbol=D.X&start=0")
    texts = [msgspec.json.decode(answer.content, type=CandlesResponse).data[at].open for at in range(len(DIGITS))]
    assert [bytes(each).decode() for each in texts] == [
        *("0.00000001", "123456789.123456789", "0.00000001", "0.123456789012345678", "1234567.1", "1000"),
    ]
    rows = json.loads(answer.content, parse_float=Decimal)["data"]
    assert [Decimal(row[name]) for row in rows for name in ("high", "volume")] == [Decimal(each) for each in DIGITS for _ in "hv"]


def _walked(served: Served, query: str, limits: Callable[[], int]) -> list[list[dict[str, object]]]:
    pages = list[list[dict[str, object]]]()
    more = ""
    while True:
        found = served.get(f"/candles?{query}&limit={limits()}{more}").json()
        pages.append(found["data"])
        if found["pagination"]["next_cursor"] is None:
            return pages
        more = f"&cursor={found['pagination']['next_cursor']}"


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_pages_of_any_length_are_together_one_large_page(data: st.DataObject, real: Served) -> None:
    """By cursor and by offset, in both orders, with and without a start; the total is their number."""
    interval = data.draw(st.sampled_from(["15m", "1h", "4h", "1d"]))
    start = data.draw(st.sampled_from(["", f"&start={NOON_US + 90 * MINUTE_US + 1}"]))
    order = data.draw(st.sampled_from(["asc", "desc"]))
    query = f"symbol=A&interval={interval}{start}&order={order}"
    whole = real.get(f"/candles?{query}&limit=1000").json()
    assert whole["pagination"]["total"] == len(whole["data"])
    pages = _walked(real, query, lambda: data.draw(st.sampled_from([1, 7, 50])))
    if not start and order == "asc":
        # The newest come first, each page in the order of time.
        pages = pages[::-1]
    assert [row for page in pages for row in page] == whole["data"]
    offset = data.draw(st.integers(0, len(whole["data"]) + 1))
    found = real.get(f"/candles?{query}&limit=5&offset={offset}").json()
    rows = whole["data"][::-1] if not start and order == "asc" else whole["data"]
    expected = rows[offset : offset + 5]
    assert found["data"] == (expected[::-1] if not start and order == "asc" else expected)
    assert (found["pagination"]["offset"], found["pagination"]["total"]) == (offset, len(rows))


def test_a_large_page_is_the_same_as_its_parts_and_gaps_stand_beside_it(real: Served) -> None:
    query = f"symbol=A&start={quote(iso_us(NOON_US))}"
    whole = real.get(f"/candles?{query}&limit=1000").json()
    assert len(whole["data"]) == 1000
    assert [row["open"] for row in whole["data"][:8]] == [2, 3, 4, 5, 6, 7, 9, 10]
    assert [
        row for at in range(0, 1000, 50) for row in real.get(f"/candles?{query}&limit=50&offset={at}").json()["data"]
    ] == whole["data"]
    assert whole["pagination"]["total"] == 1440 - 1440 // 7 - 1
    assert [each["missing"] for each in whole["gaps"]] == [3]


def test_cursor_pages_have_every_bar_once_that_was_there_while_others_are_written(tmp_path: Path) -> None:
    """From both ends; what comes behind the page is on a later one."""
    path = tmp_path / "market.sqlite3"
    with (
        closing(EmbeddedWriter(path)) as writer,
        Served(open_reader=lambda: EmbeddedReader(path, deadline_s=60.0)) as served,
    ):
        there = range(0, 200, 2)
        writer.put_bars(Export("A", "1m", "file", [_given(NOON_US + at * MINUTE_US, "1") for at in there]))
        for number, order in enumerate(("asc&start=0", "desc&start=0", "asc", "desc")):
            seen, more = list[str](), ""
            for at in range(100):
                found = served.get(f"/candles?symbol=A&order={order}&limit=9{more}").json()
                seen += [row["start_time"] for row in found["data"]]
                if found["pagination"]["next_cursor"] is None:
                    break
                more = f"&cursor={found['pagination']['next_cursor']}"
                start_us = NOON_US + (2 * ((at * 37 + number) % 100) + 1) * MINUTE_US
                writer.put_bars(Export("A", "1m", "file", [_given(start_us, "2")]))
            assert len(set(seen)) == len(seen)
            assert {iso_us(NOON_US + at * MINUTE_US) for at in there} <= set(seen)
        served.runner.run(served.parts.market.close())


def test_a_known_symbol_without_bars_has_none(real: Served) -> None:
    found = decoded(real.get("/candles?symbol=known"), CandlesResponse)
    assert (found.data, found.pagination.total) == ((), 0)
    problem_of(real.get("/candles?symbol=KNOWM"), 404, "unknown-symbol", "symbol")
