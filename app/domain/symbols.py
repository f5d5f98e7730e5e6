"""One spelling for a symbol, whoever wrote it: exchanges, brokers and libraries each have their own.

The canonical spelling is upper case; a pair of currencies is ``BASE-QUOTE`` (``BTC-USD``), with ``:SETTLE`` behind it for a
contract that settles in that currency (``BTC-USDT:USDT``, a perpetual, is not the spot pair); a class of shares is ``ROOT.CLASS``
(``BRK.B``); an American share has no suffix (``AAPL.US`` is ``AAPL``), others have their exchange's (``XETR:SAP`` is ``SAP.DE``),
Chinese numbers too (``600519.SH``). Everything else stays as it is. The warm job writes symbols this way and the server looks
them up this way.
"""

import re

FIAT = frozenset({
    "USD", "EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "NZD", "TRY", "BRL", "KRW", "MXN", "ZAR", "PLN", "SGD", "HKD", "CNY", "CNH",
    "SEK", "NOK", "DKK", "CZK", "HUF", "INR", "THB", "ILS", "TWD", "RUB", "IDR", "MYR", "PHP",
})  # fmt: skip
"""State currencies that a pair may be quoted in."""

COINS = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI", "BTC", "ETH", "BNB", "XBT", "SOL"})
"""Cryptocurrencies that a pair may be quoted in."""

_METALS = frozenset({"XAU", "XAG", "XPT", "XPD"})
_SAME = {"XBT": "BTC", "XDG": "DOGE"}
"""Kraken's and BitMEX's names of coins."""

_QUOTES = "|".join(sorted(FIAT | COINS))
# In one word only the quotes that are told without doubt, the longest first: BTCFDUSD is quoted in FDUSD. FETUSD is quoted in
# USD, so TUSD is none of them; BNBUSD, so neither is BUSD; and HYUNDAI is a share. Two currencies of three letters are a pair
# whichever they are, and whatever a broker puts behind
# them: USDCHF, EURUSD.pro.
_JOINED_QUOTES = "FDUSD|USDT|USDC|USD|EUR|GBP|JPY|AUD|TRY|BRL|BTC|XBT|ETH|BNB"
_separated = re.compile(rf"([A-Z0-9]{{1,16}})[-/_]({_QUOTES})(?:[:_]([A-Z]{{3,5}}))?").fullmatch
_joined = re.compile(rf"(?=[A-Z0-9]{{6,20}}$)([A-Z0-9]{{2,}}?)({_JOINED_QUOTES})").fullmatch
_halves = re.compile(r"([A-Z]{3})([A-Z]{3})(?:=X|\.(?!P$)[A-Z]{1,6})?").fullmatch
_kraken = re.compile("X([A-Z]{3})[ZX]([A-Z]{3})").fullmatch
_prefixed = re.compile("([A-Z]{1,16}):([A-Z0-9^][A-Z0-9.^=&/_-]*)").fullmatch
_class_behind = re.compile("[._]([A-Z])$")
_perpetual = re.compile(r"([A-Z0-9/_-]{2,20}?)(?:[-/_]?(PERP)|[-/_](PERPETUAL|SWAP)|\.(P))").fullmatch
_dated = re.compile(r"(.+)[-_](?:\d{6}|\d{1,2}[A-Z]{3}\d{2})").fullmatch
_share_class = re.compile(r"([A-Z]{1,5})[-/]([A-Z])").fullmatch
_american = re.compile(r"([A-Z0-9]{1,6}(?:[-/_][A-Z]{1,2})?)\.US").fullmatch
_chinese = re.compile(r"(?:(SH|SZ|BJ)(?:SE)?\.?)?(\d{6})").fullmatch
_CHINESE = {
    **dict.fromkeys(("60", "68", "90", "50", "51", "52", "53", "55", "56", "58", "11"), "SH"),
    **dict.fromkeys(("000", "001", "002", "003", "300", "301", "302", "200", "399", "12", "15", "16", "18"), "SZ"),
    **dict.fromkeys(("43", "82", "83", "87", "92"), "BJ"),
}  # fmt: skip
"""The exchange that a Chinese number is of, by its first digits: numbers of six digits that begin otherwise are of Seoul."""
_chinese_suffix = re.compile(r"(\d{6})\.(SS|SHH|XSHG|SHZ|XSHE)").fullmatch
_CHINESE_SUFFIXES = {"SS": "SH", "SHH": "SH", "XSHG": "SH", "SHZ": "SZ", "XSHE": "SZ"}
"""Yahoo's, Alpha Vantage's and JoinQuant's suffixes, by Tushare's, which mean the same."""

VENUES = {
    **dict.fromkeys(("NASDAQ", "NYSE", "AMEX", "ARCA", "NYSEARCA", "BATS", "OTC", "CBOE", "FX", "SP", "DJ"), ""),
    "XETR": "DE", "FWB": "F", "LSE": "L", "TSE": "T", "HKEX": "HK", "SSE": "SH", "SZSE": "SZ", "NSE": "NS", "BSE": "BO",
    "ASX": "AX", "TSX": "TO", "KRX": "KS", "MIL": "MI", "BME": "MC", "SIX": "SW", "TWSE": "TW", "SGX": "SI", "BMFBOVESPA": "SA",
    "OMXSTO": "ST", "OMXCOP": "CO", "OMXHEX": "HE", "GPW": "WA", "BIST": "IS", "JSE": "JO", "TADAWUL": "SR",
}  # fmt: skip
"""Exchanges as TradingView puts them before a symbol, with the suffix that says the same."""

_VENUES = VENUES | {
    **dict.fromkeys(("NYSEAMERICAN", "OTCMKTS"), ""),
    "ETR": "DE", "FRA": "F", "LON": "L", "EPA": "PA", "AMS": "AS", "EBR": "BR", "ELI": "LS", "BIT": "MI", "SWX": "SW",
    "STO": "ST", "CPH": "CO", "HEL": "HE", "TYO": "T", "HKG": "HK", "SHA": "SH", "SHE": "SZ", "BOM": "BO", "TPE": "TW",
    "KOSDAQ": "KQ", "BVMF": "SA",
}  # fmt: skip
"""With Google's names of them."""


def canonical_symbol(text: str) -> str:
    """``text`` in the canonical spelling; what is no symbol at all comes back in upper case. Idempotent.

    ``btcusdt``, ``BTC/USDT`` and ``BTC_USDT`` are ``BTC-USDT``; ``EURUSD=X`` is ``EUR-USD``; ``BRK-B`` and ``BRK/B`` are
    ``BRK.B``; ``XETR:SAP`` is ``SAP.DE``; ``600519`` and ``600519.SS`` are ``600519.SH``. A pair written in one word is taken
    apart only from six characters on, which no American ticker has.
    """
    symbol = text.upper()
    if found := _american(symbol):
        symbol = found[1]
    # EODHD's suffix of coins.
    if symbol.endswith(".CC") and _pair(symbol[:-3]):
        symbol = symbol[:-3]
    if (found := _prefixed(symbol)) and (behind := _of_venue(*found.groups())):
        return behind
    if pair := _pair(symbol):
        return pair
    if found := _perpetual(symbol):
        return _contract(*found.groups()) or symbol
    if found := _share_class(symbol):
        return f"{found[1]}.{found[2]}"
    if found := _chinese(symbol):
        exchange, number = found.groups()
        exchange = exchange or _CHINESE.get(number[:2]) or _CHINESE.get(number[:3])
        return f"{number}.{exchange}" if exchange else symbol
    if found := _chinese_suffix(symbol):
        return f"{found[1]}.{_CHINESE_SUFFIXES[found[2]]}"
    return symbol


def _of_venue(venue: str, written: str) -> str | None:
    """What stands behind an exchange's name, or behind Polygon's letter: a pair or a contract, or a share of an exchange that is
    known, with its suffix.
    """
    symbol = canonical_symbol(written)
    if never_closes(symbol):
        return symbol
    suffix = _VENUES.get(venue)
    if venue == "TSE" and not written[0].isdigit():
        # Google's Toronto; what Tokyo has begins with a digit.
        suffix = "TO"
    if not suffix or written.endswith(f".{suffix}"):
        return None if suffix is None else symbol
    root = written.zfill(4) if suffix == "HK" and written.isdigit() else _class_behind.sub(r"-\1", written)
    return f"{root}.{suffix}"


def _pair(symbol: str) -> str | None:
    """A pair of currencies, and maybe what settles it."""
    if (found := _separated(symbol)) and (found[3] is None or found[3] in FIAT | COINS | {found[1]}):
        base, quote, settle = (_SAME.get(each, each) for each in found.groups())
        return f"{base}-{quote}:{settle}" if settle else f"{base}-{quote}"
    for halves in (_halves(symbol), _kraken(symbol)):
        if halves and halves[1] in FIAT | COINS | _METALS | {"XDG"} and halves[2] in FIAT | COINS:
            return "-".join(_SAME.get(each, each) for each in halves.groups())
    if symbol[3:] == "=X" and symbol[:3] in FIAT:
        return f"USD-{symbol[:3]}"
    if found := _joined(symbol):
        return "-".join(_SAME.get(each, each) for each in found.groups())
    return None


def _contract(written: str, joined: str | None, long: str | None, letter: str | None) -> str | None:
    """A perpetual. What settles it is what it is quoted in, but for dollars, which no coin-margined one is settled in; one that
    names no quote (``BTC-PERP``) is of dollars, and Deribit's (``BTC-PERPETUAL``) settles in its coin.
    """
    pair = _pair(written)
    if pair is None:
        # A word that merely ends so is none.
        bare = written.isalnum() and not letter and (joined is None or len(written) > 1)
        return f"{written}-USD:{written if long == 'PERPETUAL' else 'USD'}" if bare else None
    base, _, quote = pair.partition("-")
    return None if ":" in quote else f"{pair}:{base if quote == 'USD' else quote}"


def currency_of(symbol: str) -> str | None:
    """What a canonical pair or contract is quoted in; None for what is neither."""
    quote = symbol.partition("-")[2].partition(":")[0]
    return quote if quote in FIAT | COINS else None


def never_closes(symbol: str) -> bool:
    """Whether a canonical ``symbol`` is a pair of currencies, which trade day and night, or a coin's future (``BTC-29MAR24``).
    Pairs of states' currencies rest at weekends, but their days end at midnight too.
    """
    if (found := _dated(symbol)) and (found[1] in COINS or _pair(found[1])):
        return True
    return currency_of(symbol) is not None or symbol.endswith("=X")
