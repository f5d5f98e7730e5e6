"""Given bars, as they are stored. Plain functions on a connection, whose transaction is the caller's."""

import hashlib
from typing import NamedTuple

from app.domain.intervals import INTERVALS
from app.domain.prices import plain
from app.market import blocks
from app.market.candles import NEWEST, WRITE
from app.market.connection import Connection
from app.market.protocol import TIME_MAX_US, TRADES, Export, GivenBar, Put

_OVERLAPPING = (
    f"SELECT last_us, is_over, bars, digest, first_us FROM exports WHERE {blocks.BARS_OF} AND first_us <= ? AND last_us >= ?"  # noqa: S608 - words of ours
)
_BARS = f"""
SELECT start_us, open, high, low, close, volume, notional, trades, is_partial, revision FROM candles
WHERE {blocks.BARS_OF} AND start_us BETWEEN ? AND ?
"""  # noqa: S608 - as above


class _Rank(NamedTuple):
    """What decides which of some exports counts."""

    last_us: int
    is_over: bool
    bars: int
    digest: str


def refusal(export: Export) -> str | None:
    """Why ``export`` cannot be stored, or None."""
    if export.interval not in INTERVALS:
        return f"interval is {export.interval!r}; allowed: {', '.join(INTERVALS)}"
    if not export.source or export.source == TRADES:
        return f"source is {export.source!r}; allowed: a name other than {TRADES!r}"
    before_us = -1
    for bar in export.bars:
        if not before_us < bar.start_us < TIME_MAX_US:
            return f"start of a bar is {bar.start_us} after {before_us}; allowed: ascending, from 0, before the year 9000"
        before_us = bar.start_us
        if min(bar.open, bar.low, bar.close) <= 0 or bar.low > bar.high:
            shown = ", ".join(f"{name} {plain(getattr(bar, name))}" for name in ("open", "high", "low", "close"))
            return f"bar at {bar.start_us}: {shown}; allowed: above 0, low up to high"
        if bar.volume < 0:
            return f"bar at {bar.start_us}: volume is {plain(bar.volume)}; allowed: 0 and above"
    return None


def put(connection: Connection, export: Export, now_us: int) -> Put:
    """As `app.market.protocol.Writer.put_bars`."""
    of = export.symbol, export.interval, export.source
    rows = {bar.start_us: _row(bar) for bar in export.bars}
    first_us, last_us = export.bars[0].start_us, export.bars[-1].start_us
    digest = hashlib.sha256(repr(list(rows.items())).encode()).hexdigest()
    rank = _Rank(last_us, not export.bars[-1].is_partial, len(rows), digest)
    others = [(_Rank(*row), first) for *row, first in connection.execute(_OVERLAPPING, (*of, last_us, first_us)).fetchall()]
    best, best_first_us = max(others, default=(rank, first_us))
    if best == rank and others:
        return Put(counts=True)
    counts = rank >= best
    all_first_us = min(first_us, *(first for _, first in others)) if others else first_us
    all_last_us = max(rank, best).last_us
    # What stands there is of the exports that counted so far; of these the best one's stays unless the new one is better.
    stored = {start_us: row for start_us, *row in connection.execute(_BARS, (*of, all_first_us, all_last_us))}
    newest_us = connection.execute(NEWEST, of).fetchone()[0]
    stays = rows.keys() if counts else {each for each in stored if best_first_us <= each <= best.last_us}
    gone = [(*of, start_us) for start_us in stored if start_us not in stays]
    connection.executemany(f"DELETE FROM candles WHERE {blocks.BARS_OF} AND start_us = ?", gone)  # noqa: S608 - as above
    touched = [each[-1] for each in gone]
    connection.executemany(f"DELETE FROM exports WHERE {blocks.BARS_OF} AND first_us = ?", [(*of, first) for _, first in others])  # noqa: S608 - as above
    connection.execute("INSERT INTO exports VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*of, all_first_us, *max(rank, best)))
    if not counts:
        _refresh(connection, export, touched, newest_us)
        return Put(counts=False, removed=len(gone))
    changed, revised = [], 0
    for start_us, row in rows.items():
        *before, revision = stored.get(start_us, (1,))
        if tuple(before) != row:
            is_revised = newest_us is not None and start_us < newest_us
            revised += is_revised
            *numbers, is_partial = row
            changed.append((*of, start_us, *numbers, None, None, None, None, is_partial, revision + is_revised, now_us))
    connection.executemany(WRITE, changed)
    _refresh(connection, export, [*touched, *(each[3] for each in changed)], newest_us)
    return Put(counts=True, written=len(changed), revised=revised, removed=len(gone))


def _refresh(connection: Connection, export: Export, touched: list[int], newest_us: int | None) -> None:
    if export.interval == "1m" and touched:
        (now_us,) = connection.execute(NEWEST, (export.symbol, export.interval, export.source)).fetchone()
        blocks.refresh(connection, export.symbol, export.source, touched, newest_us, now_us)


def _row(bar: GivenBar) -> tuple[object, ...]:
    prices = (plain(each) for each in (bar.open, bar.high, bar.low, bar.close, bar.volume))
    return *prices, None if bar.notional is None else plain(bar.notional), bar.trades, bar.is_partial
