"""Spellings of symbols: what is the same instrument is spelled the same, and what is not stays apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.symbols import COINS, FIAT, VENUES, canonical_symbol, never_closes
from app.domain.vector import is_symbol


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("aapl", "AAPL"),
        ("BTC-USD", "BTC-USD"),
        ("BTC/USD", "BTC-USD"),
        ("BTC_USDT", "BTC-USDT"),
        ("BTCUSDT", "BTC-USDT"),
        ("btcfdusd", "BTC-FDUSD"),
        ("ETHBTC", "ETH-BTC"),
        ("FETUSD", "FET-USD"),
        ("BNBUSD", "BNB-USD"),
        ("HYUNDAI", "HYUNDAI"),
        ("1000PEPEUSDT", "1000PEPE-USDT"),
        ("EURUSD", "EUR-USD"),
        ("BTC/USDT:USDT", "BTC-USDT:USDT"),
        ("BTC_USDT_USDT", "BTC-USDT:USDT"),
        ("BRK.B", "BRK.B"),
        ("BRK-B", "BRK.B"),
        ("brk/b", "BRK.B"),
        ("VOD.L", "VOD.L"),
        ("^GSPC", "^GSPC"),
        ("EURUSD=X", "EUR-USD"),
        ("JPY=X", "USD-JPY"),
        ("USDKWD=X", "USDKWD=X"),
        ("USDCHF", "USD-CHF"),
        ("nzdcad", "NZD-CAD"),
        ("XAUUSD", "XAU-USD"),
        ("XAUCHF", "XAU-CHF"),
        ("XBTUSD", "BTC-USD"),
        ("ETHXBT", "ETH-BTC"),
        ("XXBTZUSD", "BTC-USD"),
        ("XETHXXBT", "ETH-BTC"),
        ("BINANCE:BTCUSDT", "BTC-USDT"),
        ("EURUSD.pro", "EUR-USD"),
        ("EURUSD.FOREX", "EUR-USD"),
        ("BTC-USD.CC", "BTC-USD"),
        ("ABC.CC", "ABC.CC"),
        ("BTC-PERP", "BTC-USD:USD"),
        ("BTCPERP", "BTC-USD:USD"),
        ("BTC-PERPETUAL", "BTC-USD:BTC"),
        ("BTC-USDT-SWAP", "BTC-USDT:USDT"),
        ("BTC-USD-SWAP", "BTC-USD:BTC"),
        ("BTCUSD_PERP", "BTC-USD:BTC"),
        ("BTCUSDT.P", "BTC-USDT:USDT"),
        ("BAC.P", "BAC.P"),
        ("BTC-USDT:USDT-SWAP", "BTC-USDT:USDT-SWAP"),
        ("BTC-USDT_USDT-SWAP", "BTC-USDT_USDT-SWAP"),
        ("AAPL.US", "AAPL"),
        ("brk-b.us", "BRK.B"),
        ("600519", "600519.SH"),
        ("000001", "000001.SZ"),
        ("830799", "830799.BJ"),
        ("920002", "920002.BJ"),
        ("900901", "900901.SH"),
        ("700001", "700001"),
        ("sh600519", "600519.SH"),
        ("sz.000001", "000001.SZ"),
        ("SHSE.600519", "600519.SH"),
        ("X:BTCUSD", "BTC-USD"),
        ("C:EUR-USD", "EUR-USD"),
        ("X:Y", "X:Y"),
        ("BTC-USD:BTC", "BTC-USD:BTC"),
        ("NYSE:IBM", "IBM"),
        ("nasdaq:aapl", "AAPL"),
        ("NYSE:BRK.B", "BRK.B"),
        ("NYSE:BRK/B", "BRK.B"),
        ("XETR:SAP", "SAP.DE"),
        ("ETR:SAP", "SAP.DE"),
        ("LSE:VOD", "VOD.L"),
        ("LSE:BT.A", "BT-A.L"),
        ("LON:VOD.L", "VOD.L"),
        ("OMXSTO:ERIC_B", "ERIC-B.ST"),
        ("NSE:RELIANCE", "RELIANCE.NS"),
        ("NSE:M&M", "M&M.NS"),
        ("TSE:7203", "7203.T"),
        ("TSE:130A", "130A.T"),
        ("TSE:SHOP", "SHOP.TO"),
        ("HKEX:700", "0700.HK"),
        ("HKEX:9988", "9988.HK"),
        ("SSE:600519", "600519.SH"),
        ("KRX:005930", "005930.KS"),
        ("BYBIT:BTCUSDT.P", "BTC-USDT:USDT"),
        ("BINANCE:BTCUSDTPERP", "BTC-USDT:USDT"),
        ("OANDA:EURUSD", "EUR-USD"),
        ("EURONEXT:ASML", "EURONEXT:ASML"),
        ("TVC:GOLD", "TVC:GOLD"),
        ("NYSE:IBM:X", "NYSE:IBM:X"),
        ("NYSE:", "NYSE:"),
        ("GOOGL", "GOOGL"),
        ("600519.SS", "600519.SH"),
        ("600519.SHH", "600519.SH"),
        ("600519.XSHG", "600519.SH"),
        ("000001.SHZ", "000001.SZ"),
        ("000001.xshe", "000001.SZ"),
        ("000001.SS", "000001.SH"),
        ("AB.SS", "AB.SS"),
        ("300750", "300750.SZ"),
        ("510300", "510300.SH"),
        ("159915", "159915.SZ"),
        ("005930", "005930"),
        ("035420", "035420"),
        ("373220", "373220"),
        ("BTCUSDT_240329", "BTCUSDT_240329"),
    ],
)
def test_every_usual_spelling_has_one_canonical_form(written: str, canonical: str) -> None:
    assert canonical_symbol(written) == canonical


@given(st.text("ABCUSDTEBNRPX0169-/_:.=^", max_size=16))
def test_a_canonical_spelling_is_its_own(text: str) -> None:
    once = canonical_symbol(text)
    assert canonical_symbol(once) == once


@given(st.sampled_from(sorted(VENUES)), st.text("ABCUSDTEBLNRPX0169-/_:.=^&", max_size=12))
def test_a_share_behind_its_exchange_is_spelled_once(venue: str, text: str) -> None:
    once = canonical_symbol(f"{venue}:{text}")
    assert canonical_symbol(once) == once


@given(st.from_regex(r"[A-Z]{2,8}", fullmatch=True), st.sampled_from(sorted((FIAT | COINS) - {"XBT"})))
def test_all_separators_of_a_pair_mean_the_same(base: str, quote: str) -> None:
    spellings = {canonical_symbol(f"{base}{separator}{quote}") for separator in "-/_"}
    assert spellings == {f"{base}-{quote}"}
    assert all(is_symbol(each) for each in spellings)


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BTC-29MAR24", True),
        ("BTCUSDT_240329", True),
        ("ABC_240329", False),
        ("BTC-USD", True),
        ("BTC-USD:USD", True),
        ("USDKWD=X", True),
        ("BTC-USDT:USDT", True),
        ("ETH-BTC", True),
        ("EUR-USD", True),
        ("AAPL", False),
        ("BRK.B", False),
    ],
)
def test_pairs_of_currencies_never_close(symbol: str, expected: bool) -> None:  # noqa: FBT001
    """Their days end at midnight; shares have sessions."""
    assert never_closes(symbol) is expected
