"""Prices in hundredths of a currency, as London's: in pence and not in pounds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.warm.people import DAYS, OHLCV, Bar, document, read, run, table
from tests.warm.running import utc

LONDON = utc(2023, 11, 17, 16, 30)
PRICES = OHLCV[:4]


def _table(write: Callable[[float], str], *more: str) -> str:
    """Of Vodafone in pence; ``more`` is the name of a further column and what stands in it."""
    rows = ((bar.at, *(write(value * 100) for value in bar.prices), bar.volume, *more[1:]) for bar in DAYS)
    return table(("Date", *OHLCV, *more[:1]), rows)


def _pence(bar: Bar) -> dict[str, object]:
    return {name: round(value * 100, 2) for name, value in zip(PRICES, bar.prices, strict=True)}


PENCE = {
    "a p behind": ("VOD.L.csv", _table(lambda value: f"{value:.2f}p")),
    "pence behind": ("VOD.L.csv", _table(lambda value: f"{value:.2f} pence")),
    "GBX before": ("VOD.L.csv", _table(lambda value: f'"GBX {value:,.2f}"')),
    "GBp behind": ("VOD.L.csv", _table(lambda value: f"{value:.2f} GBp")),
    "a column": ("VOD.L.csv", _table(lambda value: f"{value:.2f}", "Currency", "GBp")),
    "both": ("VOD.L.csv", _table(lambda value: f"{value:.2f}p", "ccy", "GBX")),
    "Twelve Data": (
        "x.json",
        document(
            {
                "meta": {"symbol": "VOD.L", "interval": "1day", "currency": "GBp"},
                "values": [{"datetime": str(bar.at)} | {name: str(value) for name, value in _pence(bar).items()} for bar in DAYS],
            }
        ),
    ),
    "rows": (
        "x.json",
        document([{"date": str(bar.at), "symbol": "VOD.L", "price_currency": "GBX"} | _pence(bar) for bar in DAYS]),
    ),
    "columns": (
        "VOD.L.json",
        document(
            {name: [_pence(bar)[name] for bar in DAYS] for name in PRICES}
            | {"date": [str(bar.at) for bar in DAYS], "currency": ["GBX"] * len(DAYS)}
        ),
    ),
    "Yahoo's chart": (
        "x.json",
        document(
            {
                "chart": {
                    "result": [
                        {
                            "meta": {"symbol": "VOD.L", "currency": "GBp", "dataGranularity": "1d"},
                            "timestamp": [bar.day_s + 8 * 3600 for bar in DAYS],
                            "indicators": {"quote": [{name: [_pence(bar)[name] for bar in DAYS] for name in PRICES}]},
                        }
                    ]
                }
            }
        ),
    ),
}


@pytest.mark.parametrize("case", PENCE)
def test_prices_in_pence_are_kept_in_pounds_and_it_is_said(case: str, tmp_path: Path) -> None:
    """Wherever a file says that they are: 7240p is £72.40."""
    file, content = PENCE[case]
    outcome = run(tmp_path, {file: content})
    assert (outcome.code, outcome.report["rejects"]) == (0, 0)
    price = outcome.store.price("VOD.L")
    assert (price.as_of_ms, round(price.values[0] or 0, 9)) == (LONDON, DAYS[-1].close)
    (told,) = outcome.report["files"]
    assert told["notes"] == ["prices in hundredths of a currency (pence, GBX, ZAc, ILA) are kept in whole units"]


def test_each_row_of_a_table_is_in_its_own_currency(tmp_path: Path) -> None:
    rows = [(symbol, bar.at, *bar.prices, 5, unit) for symbol, unit in (("A.L", "GBP"), ("B.L", "GBp")) for bar in DAYS]
    found = read(tmp_path, {"x.csv": table(("symbol", "date", *OHLCV, "currency"), rows)})
    assert found == {"A.L": (DAYS[-1].close, LONDON), "B.L": (DAYS[-1].close / 100, LONDON)}


def test_each_symbol_of_twelve_datas_answer_is_in_its_own_currency(tmp_path: Path) -> None:
    answer = {
        symbol: {
            "meta": {"symbol": symbol, "interval": "1day", "currency": unit},
            "values": [{"datetime": str(bar.at)} | dict(zip(PRICES, map(str, bar.prices), strict=True)) for bar in DAYS],
        }
        for symbol, unit in (("A.L", "GBp"), ("B.L", "GBP"))
    }
    found = read(tmp_path, {"x.json": document(answer)})
    assert found == {"A.L": (DAYS[-1].close / 100, LONDON), "B.L": (DAYS[-1].close, LONDON)}


def test_one_row_in_pence_among_plain_ones_is_told_by_itself(tmp_path: Path) -> None:
    """As where a vendor changed what it writes."""
    rows = [(bar.at, *bar.prices, 5) for bar in DAYS[:-1]]
    rows += [(DAYS[-1].at, *(f"{value * 100:.2f}p" for value in DAYS[-1].prices), 5)]
    ((close, _),) = read(tmp_path, {"A.L.csv": table(("date", *OHLCV), rows)}).values()
    assert close == pytest.approx(DAYS[-1].close)
