"""Files of simulated trades in the market store."""

from pathlib import Path

import pytest

from tests.kit.files import put
from tests.warm.loads import Market
from warm.market.load import LOADED, REFUSED

_HEAD = "time,symbol,venue,price,size\n"


def test_simulated_trades_are_of_a_market_that_never_closes_whatever_their_symbols_are_called(tmp_path: Path) -> None:
    """AAPL would be New York's, and shut at that hour of a Saturday."""
    market = Market(tmp_path)
    real = put(tmp_path / "real.csv", f"{_HEAD}2026-10-30T15:00:00Z,MSFT,nasdaq,5,1\n")
    made = put(
        tmp_path / "made.csv", f"{_HEAD}2026-10-31T23:00:00Z,AAPL,simulated,5,1\n2026-10-31T23:00:00Z,TSLA,Simulated,5,1\n"
    )
    assert "simulated" not in market.load(real)[1]
    assert market.load(made, real)[1]["simulated"] == 2
    assert market.rows("SELECT symbol, market, source FROM symbols ORDER BY symbol") == [
        ("AAPL", "simulated", "simulated"), ("MSFT", "XNYS", "table"), ("TSLA", "simulated", "simulated"),
    ]  # fmt: skip
    assert market.rows("SELECT DISTINCT market FROM sessions") == [("XNYS",)]
    found = market.rows("SELECT symbol, venue, source FROM trades_in_full ORDER BY symbol, venue")
    assert found == [("AAPL", "simulated", "simulated"), ("MSFT", "nasdaq", "table"), ("TSLA", "simulated", "simulated")]


@pytest.mark.parametrize(("first", "second"), [("nasdaq", "simulated"), ("simulated", "nasdaq")])
def test_a_symbol_is_simulated_or_real_and_never_both(first: str, second: str, tmp_path: Path) -> None:
    market = Market(tmp_path)
    one, other = (put(tmp_path / f"{venue}.csv", f"{_HEAD}2026-10-30T15:00:00Z,AAPL,{venue},5,1\n") for venue in (first, second))
    assert market.load(one)[0] == LOADED
    before = market.rows("SELECT symbol, market, source FROM symbols")
    code, report = market.load(other)
    assert code == REFUSED
    assert "AAPL is " in report["error"]
    assert "keep simulated trades in a market store of their own" in report["error"]
    assert market.rows("SELECT symbol, market, source FROM symbols") == before
    assert market.rows("SELECT venue FROM trades_in_full") == [(first,)]
