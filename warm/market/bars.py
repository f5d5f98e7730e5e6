"""Bars of price files into the market store, as given bars: as the files have them, before any adjustment, digit for digit."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl

from app.domain.aliases import NO_ALIASES, Aliases
from app.domain.intervals import DAY_S, INTERVALS
from app.domain.prices import exact
from app.market.calendar import Always, Sessions
from app.market.protocol import Export, GivenBar, Writer
from warm.calendar.intervals import Market
from warm.calendar.sessions import Session
from warm.files.prices.given import GivenBars
from warm.files.prices.reader import BAR_COLUMNS
from warm.market.listing import Listing, market_of, sessions_of

_NUMBERS = BAR_COLUMNS[2:]
_SHOWN = 10
"""Exports that a report names of those that do not count."""


class Putting(NamedTuple):
    """How bars are put: under which ``source`` (empty: their format's name), of which markets, and under which names."""

    source: str = ""
    markets: Mapping[str, Market] = {}
    session: Session | None = None
    aliases: Aliases = NO_ALIASES

    def market(self, symbol: str) -> str:
        """Whose sessions a symbol has, as the run has it; empty if its market never closes."""
        kept = self.markets.get(symbol)
        if kept is not None and kept.never_closes:
            return ""
        own = None if self.session is None else self.session.of(symbol).exchange
        return own.code if own is not None else market_of(symbol)


def put_given(writer: Writer, files: Sequence[GivenBars], putting: Putting) -> dict[str, Any]:
    """Put the bars of ``files``; each file's bars of a symbol are one export, written in one transaction. What is there already
    stays as it is, so a run that failed in between is simply begun again. The writer is
    closed. What was done, for the report.

    Raises:
        MarketError: the store failed.
    """
    told: dict[str, Any] = {
        "sources": [],
        "exports": 0,
        "written": 0,
        "revised": 0,
        "removed": 0,
        "rounded": 0,
        "not_counted": [],
    }
    sources, old = set[str](), 0
    listing = Listing(writer)
    try:
        for given in files:
            _tell(listing, given, putting)
            for export, rounded in _exports(given, putting):
                put = writer.put_bars(export)
                sources.add(export.source)
                told["exports"] += 1
                told["rounded"] += rounded
                for name in ("written", "revised", "removed"):
                    told[name] += getattr(put, name)
                if not put.counts:
                    old += 1
                    told["not_counted"] += [f"{export.symbol} {export.interval} of {export.source}"][
                        : _SHOWN - len(told["not_counted"])
                    ]
    finally:
        writer.close()
    return told | {"sources": sorted(sources), "older_exports": old}


def _tell(listing: Listing, given: GivenBars, putting: Putting) -> None:
    by_market: dict[str, list[str]] = {}
    for written in given.frame.get_column("symbol").unique().to_list():
        symbol = putting.aliases(str(written))
        by_market.setdefault(putting.market(symbol), []).append(symbol)
    for market, symbols in by_market.items():
        listing.tell(symbols, putting.source or given.form, market)


def _exports(given: GivenBars, putting: Putting) -> Iterator[tuple[Export, int]]:
    """Each symbol's bars, and how many of its numbers have more digits than can be kept."""
    source = putting.source or given.form
    for (written,), frame in given.frame.group_by("symbol", maintain_order=True):
        symbol = putting.aliases(str(written))
        market = putting.market(symbol)
        starts_us = _starts(market, given.interval, frame.get_column("as_of_ms").to_list())
        bars: dict[int, GivenBar] = {}
        rounded = 0
        columns = [_decimals(frame, name) for name in _NUMBERS]
        for start_us, end_ms, *numbers in zip(starts_us, frame.get_column("as_of_ms"), *columns, strict=True):
            values = [value for value, _ in numbers]
            rounded += sum(not is_exact for _, is_exact in numbers)
            opened, high, low, close, volume = values
            if low > high:
                # By as much as its source rounds.
                low, high = high, low
            is_partial = start_us <= given.written_ms * 1000 < end_ms * 1000
            bars.setdefault(start_us, GivenBar(start_us, opened, high, low, close, volume, is_partial=is_partial))
        ordered = [bars[each] for each in sorted(bars) if each >= 0]
        if ordered:
            yield Export(symbol, given.interval, source, ordered), rounded


def _starts(market: str, interval: str, ends_ms: Sequence[int]) -> list[int]:
    """When bars begin that end then, in microseconds: days of an exchange, and what is longer, with the open of a session."""
    length_us = INTERVALS[interval] * 1_000_000
    # Some sources end a bar with the last millisecond that it has.
    ends_us = [(each + (each % 1000 == 999)) * 1000 for each in ends_ms]  # noqa: PLR2004
    if INTERVALS[interval] < DAY_S or (not market and interval != "1M"):
        return [each - length_us for each in ends_us]
    calendar = Sessions(sessions_of(market)) if market else Always()
    found = [calendar.bar_of(each - 1, interval, of_days=True) for each in ends_us]
    return [end_us - length_us if edges is None else edges.start_us for end_us, edges in zip(ends_us, found, strict=True)]


def _decimals(frame: pl.DataFrame, name: str) -> list[tuple[Decimal, bool]]:
    texts = frame.get_column(f"text_{name}").to_list() if f"text_{name}" in frame.columns else [None] * frame.height
    return [_decimal(text, value) for text, value in zip(texts, frame.get_column(name).to_list(), strict=True)]


def _decimal(text: str | None, value: float) -> tuple[Decimal, bool]:
    """The number that ``text`` is, if the reader took it as it stands; else the shortest decimal that is ``value``: of what was
    in hundredths, scaled, or a float in the file. And whether no digit was lost.
    """
    try:
        found = None if text is None else exact(text.strip())
    except ValueError:
        # Written for people, or with more digits than are kept.
        return exact(value), not _is_number(text or "")
    return (exact(value) if found is None or float(found) != value else found), True


def _is_number(text: str) -> bool:
    try:
        return Decimal(text.strip()).is_finite()
    except ArithmeticError:
        return False
