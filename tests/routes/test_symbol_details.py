"""GET /symbols?details=true: what the market store says of each symbol, beside those that are loaded."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from app.market.protocol import Batch, Details, Symbol
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_reader import EmbeddedReader
from app.payloads import BarsKind, SymbolDetails, SymbolsResponse
from app.routes.features import DETAILS_MAX
from tests.kit.market import FakeReader
from tests.kit.serving import Served, decoded, problem_of
from tests.kit.store import UNIVERSE, FakeStore, down
from tests.market.giving import export, trade
from tests.market.places import MINUTE_US, NOON_US


def _page(served: Served, query: str = "details=true") -> SymbolsResponse:
    return decoded(served.get(f"/symbols?{query}"), SymbolsResponse)


def _details(found: SymbolsResponse) -> tuple[SymbolDetails, ...]:
    assert isinstance(found.details, tuple)
    return found.details


def test_details_say_what_the_market_store_has_of_loaded_symbols_and_its_own() -> None:
    reader = FakeReader("BTC-USDT", "IBM")
    known = Symbol("BTC-USDT", "Bitcoin", "", "USDT", 2, "binance", 1)
    volume = Decimal("123456789.000000010")
    reader.details = [
        Details(known, NOON_US + 125, volume, (("1d", "y"), ("1m", "trades"))),
        Details(Symbol("IBM", market="XNYS"), None, None, ()),
    ]
    with Served(open_reader=lambda: reader) as served:
        assert "details" not in served.get("/symbols").json()
        assert not reader.calls
        answer = served.get("/symbols?details=true")
        found = decoded(answer, SymbolsResponse)
        assert (found.symbols, found.total, found.next_after) == (("AAPL", "BTC-USDT", "IBM", "MSFT"), 4, None)
        aapl, btc, ibm, _ = _details(found)
        assert (aapl.symbol, aapl.loaded, aapl.name, aapl.last_trade_time, aapl.kinds) == ("AAPL", True, "", None, ())
        assert (btc.symbol, btc.loaded, btc.name, btc.currency, btc.source) == ("BTC-USDT", False, "Bitcoin", "USDT", "binance")
        assert (btc.last_trade_time, btc.kinds) == (
            "2023-11-15T12:00:00.000125Z",
            (BarsKind("1d", "y"), BarsKind("1m", "trades")),
        )
        assert (ibm.loaded, ibm.market) == (True, "XNYS")
        assert [bytes(each.volume_day) for each in (aapl, btc, ibm)] == [b"null", b"123456789.00000001", b"null"]


def test_pages_with_details_joined_are_all_symbols_once(tmp_path: Path) -> None:
    """On a real store; each symbol that it has comes with what it says, wherever the page begins."""
    path = tmp_path / "market.sqlite3"
    with closing(EmbeddedWriter(path)) as writer:
        writer.put_symbols([Symbol(f"M{number:03}", f"name {number}") for number in range(150)])
        writer.apply(Batch(trades=[trade(1, NOON_US, size="0.5", symbol="M007"), trade(2, NOON_US + 9, size="2", symbol="M007")]))
        writer.put_bars(export("x", [NOON_US], symbol="M008"))
    loaded = [f"M{number:03}" for number in range(0, 300, 2)]
    with Served(
        FakeStore(*loaded), open_reader=lambda: EmbeddedReader(path, deadline_s=60.0, clock_us=lambda: NOON_US + MINUTE_US)
    ) as served:
        for limit in ("", "&limit=7", "&limit=1000"):
            seen, after = list[SymbolDetails](), ""
            while True:
                found = _page(served, f"details=true{limit}&after={after}")
                assert tuple(each.symbol for each in _details(found)) == found.symbols
                assert len(found.symbols) <= DETAILS_MAX
                assert found.total == 225
                seen += _details(found)
                if found.next_after is None:
                    break
                after = found.next_after
            assert [each.symbol for each in seen] == sorted({*loaded, *(f"M{number:03}" for number in range(150))})
            assert [each.symbol for each in seen if each.loaded] == loaded
            assert {each.symbol: each.name for each in seen if each.name} == {f"M{n:03}": f"name {n}" for n in range(150)}
            told = {each.symbol: bytes(each.volume_day) for each in seen if bytes(each.volume_day) != b"null"}
            assert told == {"M007": b"2.5", "M008": b"1"}
        assert _details(_page(served, "details=true&after=ZZZ")) == ()
        served.runner.run(served.parts.market.close())


def test_details_that_nobody_can_have_given_are_an_error_of_the_store() -> None:
    reader = FakeReader("AAPL")
    reader.details = [Details(Symbol("AAPL"), 2**63 - 1, None, ())]
    with Served(open_reader=lambda: reader) as served:
        problem_of(served.get("/symbols?details=true"), 503, "market-unavailable")


@pytest.mark.parametrize("reason", ["market_error", "market_timeout"])
def test_details_without_the_market_store_are_503_and_the_plain_list_goes_on(reason: str) -> None:
    reader = FakeReader()
    reader.reason = reason
    with Served(open_reader=lambda: reader) as served:
        assert reason in problem_of(served.get("/symbols?details=true"), 503, "market-unavailable").detail
        assert _page(served, "details=false").symbols == UNIVERSE
        problem_of(served.get("/symbols?details=1"), 422, "invalid-request", "details")
        served.parts.universe.changed()
        served.store.fault = down()
        problem_of(served.get("/symbols?details=true"), 503, "store-unavailable")
