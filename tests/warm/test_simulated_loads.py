"""Files of simulated trades in the market store."""

from pathlib import Path

from tests.kit.files import put
from tests.warm.loads import Market


def test_simulated_trades_are_of_a_market_that_never_closes_whatever_their_symbols_are_called(tmp_path: Path) -> None:
    """AAPL would be New York's, and shut at that hour of a Saturday."""
    market, head = Market(tmp_path), "time,symbol,venue,price,size\n"
    real = put(tmp_path / "real.csv", f"{head}2026-10-30T15:00:00Z,AAPL,nasdaq,5,1\n2026-10-30T15:00:00Z,MSFT,nasdaq,5,1\n")
    made = put(tmp_path / "made.csv", f"{head}2026-10-31T23:00:00Z,AAPL,simulated,5,1\n2026-10-31T23:00:00Z,TSLA,Simulated,5,1\n")
    assert "simulated" not in market.load(real)[1]
    assert market.load(made, real)[1]["simulated"] == 2
    assert market.rows("SELECT symbol, market, source FROM symbols ORDER BY symbol") == [
        ("AAPL", "simulated", "simulated"), ("MSFT", "XNYS", "table"), ("TSLA", "simulated", "simulated"),
    ]  # fmt: skip
    assert market.rows("SELECT DISTINCT market FROM sessions") == [("XNYS",)]
    found = market.rows("SELECT symbol, venue, source FROM trades_in_full ORDER BY symbol, venue")
    assert found == [
        ("AAPL", "nasdaq", "table"), ("AAPL", "simulated", "simulated"), ("MSFT", "nasdaq", "table"),
        ("TSLA", "simulated", "simulated"),
    ]  # fmt: skip
