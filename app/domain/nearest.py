"""Which loaded symbols somebody may have meant: the same root with another ending or quote, or one slip of the keyboard.

What is looked at is bounded, however large the universe is: neighbours of a few places in the sorted list.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_ENDS = ".-/:="
"""A symbol's root ends at the first of these: XYZ of XYZ.US, BTC of BTC-USDT, 600519 of 600519.SHH."""
LOOKED_AT = 64
_WIDTHS = (4, 5)
"""Digits of a number in Hong Kong, as Yahoo and as others have it."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SHORT = 6
_LEAST = 3
"""Fewer letters are like too many symbols."""


class Neighbours(NamedTuple):
    """What `nearest` looks for: the first `LOOKED_AT` symbols with each of ``beginnings``, and those of ``symbols``."""

    beginnings: tuple[str, ...]
    symbols: tuple[str, ...]


def neighbours_of(symbol: str) -> Neighbours:
    """Whoever finds these in a universe that is not held here may give them to `nearest` in its place."""
    return Neighbours((*_roots(symbol), *_kept(symbol)), tuple(dict.fromkeys(_typed(symbol))))


def found_in(universe: Sequence[str], wanted: Neighbours) -> list[str]:
    """Those of ``universe``, which is sorted, in some order."""
    found = [each for text in wanted.beginnings for each in _beginning(text, universe)]
    return found + [each for each in wanted.symbols if is_in(each, universe)]


def nearest(symbol: str, universe: Sequence[str], most: int = 3) -> tuple[str, ...]:
    """Up to ``most`` symbols of ``universe``, which is sorted, that ``symbol``, in the canonical spelling, may be meant to be."""
    same = [each for name in _roots(symbol) for each in _beginning(name, universe) if root_of(each) == name and each != symbol]
    if same:
        is_pair = "-" in symbol
        return tuple(sorted(same, key=lambda each: (("-" in each) != is_pair, abs(len(each) - len(symbol))))[:most])
    slips = [each for each in _typed(symbol) if is_in(each, universe)]
    slips += [each for kept in _kept(symbol) for each in _beginning(kept, universe) if _is_one_letter_off(symbol, each)]
    return tuple(dict.fromkeys(each for each in slips if each != symbol))[:most]


def is_in(symbol: str, universe: Sequence[str]) -> bool:
    """Whether it is in ``universe``, which is sorted."""
    at = bisect_left(universe, symbol)
    return at < len(universe) and universe[at] == symbol


def _roots(symbol: str) -> tuple[str, ...]:
    """The root of ``symbol``, and as others spell it: behind its exchange, as an index (``^GSPC``), a number with more zeros."""
    exchange, _, behind = symbol.partition(".")
    root = behind if behind.isdigit() and exchange.isalpha() else root_of(symbol)
    roots = [root]
    if ":" in symbol and "-" not in symbol:
        roots.append(symbol.partition(":")[2])
    if root.isdigit():
        roots += [root.lstrip("0").zfill(width) for width in _WIDTHS]
    else:
        roots.append(root.removeprefix("^") if root.startswith("^") else f"^{root}")
    return tuple(dict.fromkeys(filter(None, roots)))


def root_of(symbol: str) -> str:
    """``symbol`` up to its ending; whole if it has none, or nothing else."""
    for at, letter in enumerate(symbol):
        if at and letter in _ENDS:
            return symbol[:at]
    return symbol


def _beginning(text: str, universe: Sequence[str]) -> Iterator[str]:
    first = bisect_left(universe, text)
    for each in universe[first : first + LOOKED_AT]:
        if not each.startswith(text):
            return
        yield each


def _typed(symbol: str) -> Iterator[str]:
    """One letter too many, two that changed places, another one (of a short symbol)."""
    for at in range(len(symbol) if len(symbol) >= _LEAST else 0):
        before, here, after = symbol[:at], symbol[at], symbol[at + 1 :]
        yield before + after
        yield before + after[:1] + here + after[1:]
        if len(symbol) <= _SHORT:
            yield from (before + each + after for each in _LETTERS)


def _kept(symbol: str) -> tuple[str, ...]:
    """What begins as one that has another letter among the last two, or one that was left out."""
    if len(symbol) < _LEAST:
        return ()
    return tuple(kept for kept in (symbol[:-1], symbol[:-2]) if len(kept) >= _LEAST - 1)


def _is_one_letter_off(one: str, other: str) -> bool:
    """Whether a letter of one is another in the other, or is missing there."""
    shorter, longer = sorted((one, other), key=len)
    if len(longer) - len(shorter) > 1:
        return False
    at = next((at for at, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    return longer[at + 1 :] == shorter[at + (len(longer) == len(shorter)) :]
