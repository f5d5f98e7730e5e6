"""What servers ask of a market store. Plain functions on a connection, whose transaction is the caller's."""

import heapq
from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial
from itertools import islice, takewhile

from app.domain.candles import SECOND_US
from app.domain.intervals import DAY_S, INTERVALS
from app.domain.nearest import LOOKED_AT, Neighbours, is_in
from app.domain.trades import Trade
from app.market import counting, gaps
from app.market.calendar import Always, Calendar, Sessions, is_of_days, zone_named
from app.market.connection import Connection
from app.market.kinds import Kind, of_symbol
from app.market.protocol import (
    GOOD,
    Bar,
    CandlePage,
    CandlesWanted,
    Session,
    TradePage,
    TradesWanted,
)  # fmt: skip
from app.market.rows import rows_of
from app.market.selection import Selection, usable
from app.market.spans import GapsAhead
from app.market.trades import COLUMNS, series_by_venue, trade_of

_DAY_US = DAY_S * SECOND_US
_END_US = 2**62
_NAME = "SELECT symbol FROM symbols"
_MARK = "SELECT count(*), max(first_seen_us) FROM symbols"
"""None is ever removed."""
_NAMES = f"{_NAME} WHERE symbol > ? ORDER BY symbol LIMIT ?"
_FROM = f"{_NAME} WHERE symbol >= ? ORDER BY symbol LIMIT ?"
_SESSIONS = "SELECT day, opens_us, closes_us, pause_from_us, pause_to_us FROM sessions WHERE market = ? ORDER BY day"
_LAST_TRADE = f"""
SELECT {COLUMNS} FROM trades INDEXED BY trades_by_time WHERE series = ? AND time_us <= ? AND NOT cancelled AND size <> '0'
ORDER BY time_us DESC, trade_key DESC LIMIT 1
"""  # noqa: S608 - columns of ours
_TRADES = f"SELECT {COLUMNS} FROM trades INDEXED BY trades_by_time WHERE series = ? AND NOT cancelled AND "  # noqa: S608 - as above
_FORWARDS = "(time_us, trade_key) {} (?, ?) AND time_us < ? ORDER BY time_us, trade_key LIMIT ?"
_BACKWARDS = "(time_us, trade_key) < (?, ?) AND time_us >= ? ORDER BY time_us DESC, trade_key DESC LIMIT ?"


class Calendars:
    """Of markets, as they were when somebody last looked."""

    def __init__(self) -> None:
        self._sessions: dict[str, tuple[int, Calendar | None]] = {}

    def of(self, connection: Connection, market: str, version: int, zone: str = "UTC") -> Calendar:
        """That of ``market``, at a `app.market.closes.version_of` now; one of which no session is known never closes."""
        known = self._sessions.get(market)
        if known is None or known[0] != version:
            known = self._sessions[market] = version, _sessions_of(connection, market) if market else None
        return known[1] or Always(None if zone == "UTC" else zone_named(zone))


class Census:
    """How many symbols there are; all are looked at only where one has come since, or others are new."""

    def __init__(self) -> None:
        self._counted: tuple[Sequence[str], object, int] | None = None

    def beside(self, connection: Connection, others: Sequence[str]) -> int:
        """How many are not among ``others``, which are sorted."""
        known, mark = self._counted, connection.execute(_MARK).fetchone()
        if known is None or known[0] is not others or known[1] != mark:
            names = connection.execute(_NAME)
            known = self._counted = others, mark, sum(1 for (name,) in names if not is_in(name, others))
        return known[2]


def _sessions_of(connection: Connection, market: str) -> Calendar | None:
    sessions = []
    for day, opens_us, closes_us, *pause in connection.execute(_SESSIONS, (market,)):
        sessions.append(Session(date.fromisoformat(day), opens_us, closes_us, None if None in pause else (pause[0], pause[1])))
    return Sessions(sessions) if sessions else None


def candles(connection: Connection, wanted: CandlesWanted, calendars: Calendars, order: Sequence[str], now_us: int) -> CandlePage:
    """As `app.market.protocol.Reader.candles`."""
    symbol, interval = wanted.symbol, wanted.interval
    there = of_symbol(connection, symbol)
    if there is None:
        return CandlePage((), None, total=0 if wanted.counts else None, is_known=False)
    first_us, end_us = wanted.start_us or 0, _END_US if wanted.end_us is None else wanted.end_us
    calendar, given = (calendars.of(connection, there.market, there.calendar_version, zone) for zone in (wanted.zone, "UTC"))
    kinds = [kind for kind in there.kinds if usable(kind.interval, interval)]
    whole, is_by_clock = (first_us, end_us), calendar.is_by_clock(interval)
    after_us, passed = wanted.after_us, 0
    if is_by_clock:
        after_us, passed = _passed(connection, wanted, kinds, whole)
    # A day's bar may be stamped by its date, before its session; and the last bar may go on behind the end.
    from_us, to_us = first_us - (_DAY_US if is_of_days(interval) else 0), end_us + (INTERVALS[interval] + DAY_S) * SECOND_US
    if after_us is not None and wanted.descending:
        to_us, end_us = min(to_us, after_us), min(end_us, after_us)
    elif after_us is not None:
        from_us, first_us = max(from_us, after_us), max(first_us, after_us + 1)
    span = from_us, min(to_us, _END_US)
    ahead_us = (wanted.limit + wanted.offset) * INTERVALS[interval] * SECOND_US
    known = GapsAhead(
        partial(gaps.touching, connection, symbol),
        -ahead_us if wanted.descending else ahead_us,
        end_us if wanted.descending else first_us,
        there.gaps_until_us,
    )
    selection = Selection(symbol, interval, calendar, given, known, order, now_us, extended=wanted.extended)
    number = wanted.offset - passed + wanted.limit + 1
    rows = rows_of(connection, selection, kinds, span, number, descending=wanted.descending)
    found = _inside(selection.bars(rows), first_us, end_us, wanted)
    passed += sum(1 for _ in islice(found, wanted.offset - passed))
    bars = tuple(islice(found, wanted.limit))
    more = bool(bars) and next(found, None) is not None
    from_us, to_us = first_us, end_us
    if after_us is not None and not wanted.descending and (had := calendar.bar_of(after_us, interval)) is not None:
        from_us = had.end_us
    if more and wanted.descending:
        from_us = bars[-1].start_us
    elif more:
        to_us = bars[-1].end_us
    total = None
    if wanted.counts and not (more or wanted.after_us):
        total = passed + len(bars)
    elif wanted.counts and not wanted.complete_only:
        total = counting.total(connection, symbol, interval, kinds, selection, whole, is_by_clock=is_by_clock)
    return CandlePage(bars, bars[-1].start_us if more else None, tuple(known.touching(from_us, to_us)[::-1]), total)


def _passed(
    connection: Connection, wanted: CandlesWanted, kinds: Sequence[Kind], span: tuple[int, int]
) -> tuple[int | None, int]:
    """The start of the last bar that need not be read again, and how many of ``offset`` are passed over by it."""
    if wanted.offset and not wanted.complete_only:
        of = wanted.symbol, wanted.interval, kinds, span, wanted.offset - 1
        at_us = counting.start_of(connection, *of, descending=wanted.descending)
        if at_us is not None:
            return at_us, wanted.offset
    return wanted.after_us, 0


def _inside(bars: Iterator[Bar], first_us: int, end_us: int, wanted: CandlesWanted) -> Iterator[Bar]:
    for bar in bars:
        if (bar.start_us < first_us) if wanted.descending else (bar.start_us >= end_us):
            return
        if first_us <= bar.start_us < end_us and (not wanted.complete_only or bar.coverage in GOOD):
            yield bar


def names(connection: Connection, limit: int, after: str) -> list[str]:
    """Those behind ``after``, sorted."""
    return [name for (name,) in connection.execute(_NAMES, (after, limit))]


def neighbours(connection: Connection, wanted: Neighbours) -> list[str]:
    """As `app.market.protocol.Reader.neighbours`."""
    found = []
    for text in wanted.beginnings:
        beginning = connection.execute(_FROM, (text, LOOKED_AT))
        found += [name for (name,) in takewhile(lambda row, text=text: row[0].startswith(text), beginning)]  # type: ignore[misc]
    marks = ", ".join("?" * len(wanted.symbols))
    if marks:
        found += [name for (name,) in connection.execute(f"{_NAME} WHERE symbol IN ({marks})", wanted.symbols)]
    return found


def trades(connection: Connection, wanted: TradesWanted) -> TradePage:
    """As `app.market.protocol.Reader.trades`."""
    start_us, end_us = wanted.start_us or 0, _END_US if wanted.end_us is None else wanted.end_us
    cursors = [
        _trades_of(connection, number, venue, wanted, (start_us, end_us))
        for number, venue in series_by_venue(connection, wanted.symbol)
    ]
    merged = heapq.merge(*cursors, key=lambda each: each.order, reverse=wanted.descending)
    found = [trade for _, trade in zip(range(wanted.limit + 1), merged, strict=False)]
    page = tuple(found[: wanted.limit])
    is_known = bool(page) or connection.execute(f"{_NAME} WHERE symbol = ?", (wanted.symbol,)).fetchone() is not None
    return TradePage(page, page[-1].order if len(found) > wanted.limit else None, is_known)


def _trades_of(connection: Connection, number: int, venue: str, wanted: TradesWanted, span: tuple[int, int]) -> Iterator[Trade]:
    """One venue's, behind the trade that was had last; at its very time stand those of the venues before and after it."""
    (start_us, end_us), sign = span, ">="
    bound = (end_us if wanted.descending else start_us), ""
    if wanted.after is not None:
        time_us, after_venue, key = wanted.after
        behind = (time_us, key) if venue == after_venue else (time_us + (venue < after_venue), "")
        if wanted.descending:
            bound = min(bound, behind)
        elif behind >= bound:
            bound, sign = behind, ">" if venue == after_venue else ">="
    page = _BACKWARDS if wanted.descending else _FORWARDS.format(sign)
    other = start_us if wanted.descending else end_us
    for row in connection.execute(_TRADES + page, (number, *bound, other, wanted.limit + 1)):
        yield trade_of(venue, wanted.symbol, row)


def last_trade(connection: Connection, symbol: str, until_us: int | None = None) -> Trade | None:
    """The last one with a size, of those up to ``until_us``."""
    found = []
    for number, venue in series_by_venue(connection, symbol):
        row = connection.execute(_LAST_TRADE, (number, _END_US if until_us is None else until_us)).fetchone()
        if row is not None:
            found.append(trade_of(venue, symbol, row))
    return max(found, key=lambda each: each.order, default=None)
