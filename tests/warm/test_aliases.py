"""One symbol that prices and agents call differently: told, and mended by an alias."""

from pathlib import Path

import pytest

from tests.kit.files import put
from tests.warm.running import Outcome, good_rows, warm, write_csv
from warm.__main__ import main
from warm.report import notes

_HEAD = "symbol,as_of,agent,view,confidence\n"


def _agents(folder: Path, *symbols: str) -> Path:
    return put(folder / "agents.csv", _HEAD + "".join(f"{each},2012-02-01,a,0.5,0.5\n" for each in symbols))


def _warm(folder: Path, prices: list[str], agents: list[str], *arguments: str) -> Outcome:
    rows = [row for symbol in prices for row in good_rows(60, symbol)]
    return warm("--prices", write_csv(folder / "p.csv", rows), "--agents", _agents(folder, *agents), *arguments)


def test_symbols_that_prices_and_agents_call_differently_are_told_with_the_nearest(tmp_path: Path) -> None:
    outcome = _warm(tmp_path, ["XYZ.UK", "0700.HK", "AAPL", "BTC-USDT"], ["XYZ", "0700.HKG", "AAPL", "BTC-USD", "LONE"])
    assert outcome.code == 0
    assert outcome.report["unmatched"] == {
        "agents_without_prices": {
            "count": 4,
            "symbols": {"0700.HKG": ["0700.HK"], "BTC-USD": ["BTC-USDT"], "LONE": [], "XYZ": ["XYZ.UK"]},
        },
        "prices_without_agents": {
            "count": 3,
            "symbols": {"0700.HK": ["0700.HKG"], "BTC-USDT": ["BTC-USD"], "XYZ.UK": ["XYZ"]},
        },
    }
    lines = notes(outcome.report)
    assert "agents speak of XYZ, which has no prices; did you mean XYZ.UK? (--alias XYZ=XYZ.UK)" in lines
    assert "agents speak of LONE, which has no prices" in lines
    assert lines[-1] == "3 symbols have prices and no agents' views: 0700.HK, BTC-USDT, XYZ.UK"


def test_where_all_is_matched_or_no_agents_are_given_nothing_is_told(tmp_path: Path) -> None:
    assert notes(_warm(tmp_path, ["AAPL"], ["AAPL"]).report) == []
    assert notes(warm("--prices", write_csv(tmp_path / "p.csv", good_rows(60))).report) == []


def test_many_symbols_without_a_match_are_counted_and_the_first_of_them_named(tmp_path: Path) -> None:
    outcome = _warm(tmp_path, ["AAPL"], [f"S{number:03}" for number in range(150)])
    told = outcome.report["unmatched"]["agents_without_prices"]
    assert (told["count"], len(told["symbols"])) == (150, 100)
    assert "and of 140 more symbols without prices" in notes(outcome.report)


def test_an_alias_joins_what_is_one_symbol(tmp_path: Path) -> None:
    outcome = _warm(tmp_path, ["BTCUSDT", "XYZ.UK"], ["BTC/USD", "XYZ"], "--alias", "BTC-USD=BTC/USDT", "--alias", "XYZ.UK=XYZ")
    assert sorted(outcome.store.rows) == ["BTC-USDT", "XYZ"]
    for symbol in ("BTC-USDT", "XYZ"):
        assert outcome.store.price(symbol).symbol == symbol
        assert list(outcome.store.views(symbol)) == ["a"]
    assert outcome.report["aliased"] == {"BTC-USD": "BTC-USDT", "XYZ.UK": "XYZ"}
    assert notes(outcome.report) == ["XYZ.UK is kept as XYZ", "BTC-USD is kept as BTC-USDT"]


def test_coins_that_stand_for_a_dollar_are_joined_by_a_rule_that_is_off_by_default(tmp_path: Path) -> None:
    assert sorted(_warm(tmp_path, ["BTC-USDT"], ["BTC-USD"]).store.rows) == ["BTC-USD", "BTC-USDT"]
    assert sorted(_warm(tmp_path, ["BTC-USDT"], ["BTC-USD"], "--stablecoins", "usd").store.rows) == ["BTC-USD"]


def test_prices_of_two_series_are_never_joined_into_one(tmp_path: Path) -> None:
    """They differ, and nobody says which counts."""
    for prices in (["BTC-USD", "BTC-USDT"], ["BTC-USDT", "BTC-USDC"]):
        outcome = _warm(tmp_path, prices, ["BTC-USD"], "--stablecoins", "usd")
        assert outcome.code == 1
        assert "would both be BTC-USD (--alias, --stablecoins); allowed: one of the two" in outcome.report["error"]
        assert outcome.store.rows == {}


def test_an_alias_that_is_none_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--prices", str(tmp_path), "--alias", "AAPL"])
    assert ended.value.code == 2
    assert "'AAPL' is no alias; allowed: FROM=TO" in capsys.readouterr().err
