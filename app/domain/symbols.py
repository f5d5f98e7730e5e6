"""One spelling for a symbol, whoever wrote it: exchanges, brokers and libraries each have their own.

The canonical spelling is upper case; a pair of currencies is ``BASE-QUOTE`` (``BTC-USD``), with ``:SETTLE`` behind it for a
contract that settles in that currency (``BTC-USDT:USDT``, a perpetual, is not the spot pair); a class of shares is ``ROOT.CLASS``
(``BRK.B``). Everything else stays as it is. The warm job writes symbols this way and the server looks them up this way.
"""

import re

FIAT = frozenset({"USD", "EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "NZD", "TRY", "BRL", "KRW", "MXN", "ZAR", "PLN", "SGD", "HKD"})
"""State currencies that a pair may be quoted in."""

COINS = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI", "BTC", "ETH", "BNB", "XBT", "SOL"})
"""Cryptocurrencies that a pair may be quoted in."""

_QUOTES = "|".join(sorted(FIAT | COINS))
# In one word only the quotes that are told without doubt, the longest first: BTCFDUSD is quoted in FDUSD. FETUSD is quoted in
# USD, so TUSD is none of them; BNBUSD, so neither is BUSD; and HYUNDAI is a share.
_JOINED_QUOTES = "FDUSD|USDT|USDC|USD|EUR|GBP|JPY|AUD|TRY|BRL|BTC|ETH|BNB"
_separated = re.compile(rf"([A-Z0-9]{{1,16}})[-/_]({_QUOTES})(?:[:_]([A-Z]{{3,5}}))?").fullmatch
_joined = re.compile(rf"(?=[A-Z0-9]{{6,20}}$)([A-Z0-9]{{2,}}?)({_JOINED_QUOTES})").fullmatch
_share_class = re.compile(r"([A-Z]{1,5})[-/]([A-Z])").fullmatch


def canonical_symbol(text: str) -> str:
    """``text`` in the canonical spelling; what is no symbol at all comes back in upper case. Idempotent.

    ``btcusdt``, ``BTC/USDT`` and ``BTC_USDT`` are ``BTC-USDT``; ``BRK-B`` and ``BRK/B`` are ``BRK.B``. A pair written in one word
    is taken apart only from six characters on, which no American ticker has.
    """
    symbol = text.upper()
    # Polygon's prefixes of coins and currencies.
    if symbol.startswith(("X:", "C:")) and (_separated(symbol[2:]) or _joined(symbol[2:])):
        symbol = symbol[2:]
    if (found := _separated(symbol)) and (found[3] is None or found[3] in FIAT | COINS | {found[1]}):
        base, quote, settle = found.groups()
        return f"{base}-{quote}:{settle}" if settle else f"{base}-{quote}"
    if found := _share_class(symbol):
        return f"{found[1]}.{found[2]}"
    if found := _joined(symbol):
        return f"{found[1]}-{found[2]}"
    return symbol


def never_closes(symbol: str) -> bool:
    """Whether a canonical ``symbol`` is a pair of currencies, which trade day and night. Those of states rest at weekends, but
    their days end at midnight too.
    """
    _, dash, rest = symbol.partition("-")
    return bool(dash) and rest.partition(":")[0] in FIAT | COINS
