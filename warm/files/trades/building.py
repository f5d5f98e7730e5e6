"""Trades out of rows, whatever file they came from, and ids for those that have none."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from app.domain.prices import plain
from app.domain.symbols import canonical_symbol
from app.domain.trades import SIMULATED, Side, Trade, trade_key
from app.domain.vector import AS_OF_MAX_MS, is_symbol
from warm.files.rejects import Example, cut
from warm.files.trades.batches import START, BadRow, Batch, Position
from warm.files.trades.numbers import in_utc, missing, price_of, size_of

TAKERS: Mapping[str, Side] = {
    "buy": "buy",
    "b": "buy",
    "buyer": "buy",
    "sell": "sell",
    "s": "sell",
    "seller": "sell",
    "unknown": "unknown",
}
"""What names the taker's side."""
MAKERS: Mapping[str, Side] = {"buy": "sell", "b": "sell", "sell": "buy", "s": "buy"}
"""What names the maker's side, and so the other one."""
BUYER_MADE: Mapping[str, Side] = {"true": "sell", "1": "sell", "false": "buy", "0": "buy"}
"""Whether the buyer was the maker."""
_FLAGS: Mapping[bool, str] = {True: "true", False: "false"}

_REMEMBERED = 32_768
"""Trades among which equal ones are counted, twice."""
_digits = lru_cache(65_536)(plain)
_NAMES_MAX = 100_000
_NO_ID = "", ""
_TIME_MAX_US = AS_OF_MAX_MS * 1000
_SIDE_MAX, _ID_MAX, _VENUE_MAX = 20, 200, 40
"""Characters of a side that is remembered, and of an id and of a venue that there can be."""


class Row(NamedTuple):
    """One trade as its file writes it; ``aggregate`` is true where several trades of one price are one row, ``condition`` what
    its venue says of it.
    """

    symbol: Any
    time: Any
    price: Any
    size: Any
    side: Any = None
    trade_id: Any = None
    venue: Any = None
    aggregate: bool = False
    condition: Any = None


class Named(NamedTuple):
    """A row's venue and symbol as we spell them, and what makes microseconds of its time."""

    venue: str
    symbol: str
    moment_us: Callable[[Any], int] = in_utc


def spelled(symbol: Any) -> str:  # noqa: ANN401
    """A venue's symbol in the canonical spelling.

    Raises:
        BadRow: it is none.
    """
    found = canonical_symbol(symbol.strip()) if isinstance(symbol, str) else ""
    if not is_symbol(found):
        raise BadRow("missing_value" if missing(symbol) else "bad_symbol", "symbol", symbol)
    return found


class Meaning(NamedTuple):
    """What the rows of a format mean: ``source`` names it in trades, unless they are simulated, ``named`` tells venue and symbol,
    ``sides`` the taker's side by what stands for it, ``price`` what makes a price of its value, ``closing`` whether a condition
    is a closing print's.
    """

    source: str
    named: Callable[[Any, Any], Named]
    sides: Mapping[str, Side] = TAKERS
    price: Callable[[Any], Any] = price_of
    closing: Callable[[Any], bool] | None = None


class Builder:
    """Makes trades of rows. A trade without an id gets one from what it is: time, price, size, side, and its number among equal
    ones of its venue and symbol, in the file's order. So a file always gives the same ids, and so do two halves of it, unless
    equal ones lie on both sides of the cut. Equal ones further apart than `_REMEMBERED` others, which no file in order of time
    has, begin anew.
    """

    def __init__(self, label: str, meaning: Meaning) -> None:
        self._label, self._meaning = label, meaning
        self._names: dict[tuple[Any, Any], Named] = {}
        self._sides: dict[Any, Side] = {}
        self.counted = False
        """Whether a trade got its id from what it is."""
        self._now: dict[tuple[Any, ...], int] = {}
        self._before: dict[tuple[Any, ...], int] = {}

    def build(self, rows: Iterable[tuple[int, tuple[Any, ...]]], refused: list[tuple[str, Example]]) -> list[Trade]:
        """The trades of ``rows``, each with its place; those that are none go to ``refused``."""
        trades: list[Trade] = []
        add, names, sides = trades.append, self._names, self._sides
        source, price_from, is_closing = self._meaning.source, self._meaning.price, self._meaning.closing
        for place, (symbol, time, price, size, side, trade_id, venue, aggregate, condition) in rows:
            try:
                named = names.get((venue, symbol)) or self._named(venue, symbol)
                time_us = named.moment_us(time)
                if not 0 <= time_us < _TIME_MAX_US:
                    raise BadRow("out_of_range", "time", time)
                paid, sized = price_from(price), size_of(size)
                taker = sides.get(side) or self._side(side)
                written, key = _NO_ID if trade_id is None else _id(trade_id, aggregate)
                if not written:
                    written = key = self._counted(named, time_us, _digits(paid), _digits(sized), taker)
                closing = is_closing is not None and is_closing(condition)
                told = SIMULATED if named.venue == SIMULATED else source
                add(Trade(named.venue, named.symbol, key, time_us, paid, sized, written, taker, told, closing))
            except BadRow as bad:
                refused.append((bad.reason, example(self._label, place, symbol, bad)))
            except (TypeError, ValueError) as error:
                # A list or an object where a value should be, or a number of thousands of digits.
                nested = BadRow("unparsable_value", "row", error)
                refused.append((nested.reason, example(self._label, place, symbol, nested)))
        return trades

    def _named(self, venue: Any, symbol: Any) -> Named:  # noqa: ANN401
        named = self._meaning.named(venue, symbol)
        if len(named.venue) > _VENUE_MAX:
            raise BadRow("out_of_range", "venue", venue)
        if not named.venue.isprintable():
            raise BadRow("unparsable_value", "venue", venue)
        if len(self._names) > _NAMES_MAX:
            self._names.clear()
        self._names[venue, symbol] = named
        return named

    def _side(self, side: Any) -> Side:  # noqa: ANN401
        text = _FLAGS[side] if isinstance(side, bool) else str(side).strip().lower()
        found: Side | None = "unknown" if missing(side) else self._meaning.sides.get(text)
        if found is None:
            raise BadRow("unparsable_value", "side", side)
        # 1 and true are one key.
        if side is None or (isinstance(side, str) and len(side) <= _SIDE_MAX):
            self._sides[side] = found
        return found

    def _counted(self, named: Named, time_us: int, price: str, size: str, side: Side) -> str:
        self.counted = True
        what = (named.venue, named.symbol, time_us, price, size, side)
        number = self._now.get(what)
        if number is None:
            number = self._before.get(what, 0)
            if len(self._now) >= _REMEMBERED:
                self._before, self._now = self._now, {}
        self._now[what] = number + 1
        return f"{time_us}/{price}/{size}/{side}/{number}"


def _id(trade_id: Any, aggregate: bool) -> tuple[str, str]:  # noqa: ANN401, FBT001
    """A venue's id as it writes it, and its key; of an aggregate one that no single trade has. Both empty where there is none."""
    written = trade_id if isinstance(trade_id, str) else str(trade_id)
    if not written.isdigit():
        written = written.strip()
        if missing(written):
            return _NO_ID
        if not written.isprintable():
            raise BadRow("unparsable_value", "trade_id", written)
        if written.endswith(".0") and written[:-2].isdigit():
            # A library took it for a float.
            written = written[:-2]
    if len(written) > _ID_MAX:
        raise BadRow("out_of_range", "trade_id", written)
    key = trade_key(written)
    return written, f"{key}a" if aggregate else key


class Fed(NamedTuple):
    """Rows of a part of a file, each with its place, what was no row, how many messages were of other kinds, and the position
    behind the part. ``rows`` are made while they are taken, and add to ``refused``.
    """

    rows: Iterable[tuple[int, tuple[Any, ...]]]
    refused: list[tuple[str, Example]]
    others: list[int]
    position: Position


Feed = Callable[[Position, int | None], Iterator[Fed]]
"""What feeds the rows behind a position, up to the row of a number (None: all)."""


def batches(builder: Builder, feed: Feed, position: Position) -> Iterator[Batch]:
    """The trades of a file behind ``position``."""
    if position.counted:
        for fed in feed(START, position.row):
            builder.build(fed.rows, [])
    for fed in feed(position, None):
        trades = builder.build(fed.rows, fed.refused)
        after = Position(fed.position.offset, fed.position.row, builder.counted)
        yield Batch(trades, fed.refused, sum(fed.others), after)


def example(label: str, place: int, symbol: Any, bad: BadRow) -> Example:  # noqa: ANN401
    """A refused row, for reports."""
    value = None if bad.value is None else cut(str(bad.value))
    return Example(label, place, cut(symbol) if isinstance(symbol, str) else None, bad.column, value)
