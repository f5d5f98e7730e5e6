"""Symbols that are asked for, or written in a file, under one name, and kept and served under another."""

import re
from collections.abc import Iterable, Mapping

from app.domain.symbols import canonical_symbol
from app.domain.vector import is_symbol

STABLE = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI"})
"""Coins that stand for a dollar."""

ALIAS_RULE = "FROM=TO, two symbols, as BTC-USD=BTC-USDT: what is asked for, and what is kept and served"

_pair = re.compile(r"([^=]+(?:=[XxFf])?)=([^=]+(?:=[XxFf])?)").fullmatch


def parse_aliases(texts: Iterable[str]) -> dict[str, str]:
    """``texts``, each ``FROM=TO``, as canonical symbols. Yahoo's endings have a = of their own: ``EURUSD=X=EUR-USD``.

    Raises:
        ValueError: one is no such pair, or they contradict each other; the text says which and why.
    """
    found: dict[str, str] = {}
    for text in texts:
        pair = _pair(text.strip())
        asked, kept = (_symbol(pair[1]), _symbol(pair[2])) if pair else ("", "")
        if not asked or not kept:
            raise ValueError(f"{text[:70]!r} is no alias; allowed: {ALIAS_RULE}")
        if asked == kept or found.get(asked, kept) != kept:
            raise ValueError(
                f"{asked} would be {kept}{f' and {found[asked]}' if asked in found else ''}; allowed: one other symbol"
            )
        found[asked] = kept
    for asked, kept in found.items():
        if kept in found:
            raise ValueError(f"{asked} would be {kept}, and that {found[kept]}; allowed: one step")
    return found


def _symbol(text: str) -> str:
    """The canonical spelling of ``text``; empty if it is no symbol."""
    spelled = canonical_symbol(text.strip())
    return spelled if text.isascii() and is_symbol(spelled) else ""


class Aliases:
    """What is kept in place of what is asked for: by ``pairs``, else, with ``stable``, dollars for the coins that stand for them
    (BTC-USDT is BTC-USD then; a contract that settles in such a coin stays what it is). A pair's second symbol stays itself.
    """

    def __init__(self, pairs: Mapping[str, str] | None = None, *, stable: bool = False) -> None:
        self._pairs = dict(pairs or {})
        self._kept = frozenset(self._pairs.values())
        self._stable = stable

    def __call__(self, symbol: str) -> str:
        """The symbol that is kept for ``symbol``, both canonical."""
        found = self._pairs.get(symbol)
        if found is not None:
            return found
        if self._stable and symbol not in self._kept:
            base, _, quote = symbol.partition("-")
            if quote in STABLE:
                return f"{base}-USD"
        return symbol


NO_ALIASES = Aliases()


def make_aliases(text: str, stablecoins: str, more: Iterable[str] = ()) -> Aliases:
    """As the settings have them (``text`` by commas), with ``more``.

    Raises:
        ValueError: as of `parse_aliases`.
    """
    return Aliases(parse_aliases([*filter(None, map(str.strip, text.split(","))), *more]), stable=stablecoins == "usd")
