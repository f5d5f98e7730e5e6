"""When sessions close, for bars of trades, and which minutes a change of that concerns."""

from collections.abc import Mapping, Sequence

from app.domain.candles import CLOSING_US, MINUTE_US, SECOND_US
from app.market.connection import Connection
from app.market.protocol import Minute, Session
from app.market.trades import series_by_venue

_VERSION = "SELECT value FROM marks WHERE name = 'calendar'"
_CLOSES = "SELECT closes_us FROM sessions WHERE market = ? ORDER BY closes_us"
_NEAR = """
SELECT time_us FROM trades WHERE series = ? AND time_us >= ? AND time_us < ? AND (closing OR time_us < ?) AND NOT cancelled
"""
_ENDS = "SELECT (SELECT min(time_us) FROM trades WHERE series = ?), (SELECT max(time_us) FROM trades WHERE series = ?)"


def version_of(connection: Connection) -> int:
    """How often sessions, or which symbol has which, have changed."""
    row = connection.execute(_VERSION).fetchone()
    return 0 if row is None else int(row[0])


def changed(connection: Connection) -> None:
    """Say that they have."""
    connection.execute(
        "INSERT INTO marks VALUES ('calendar', 1) ON CONFLICT (name) DO UPDATE SET value = marks.value + 1",
    )


def closes_of(connection: Connection, market: str) -> list[int]:
    """All that are known of a market, ascending."""
    return [row[0] for row in connection.execute(_CLOSES, (market,))]


class Closes:
    """By symbol, as they were when somebody last looked."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._closes: dict[str, list[int]] = {}

    def forget(self) -> None:
        """What was read."""
        self._version = None

    def at(self, version: int, connection: Connection) -> Mapping[str, Sequence[int]]:
        """Those of symbols whose market has sessions, of a `version_of` now."""
        if version != self._version:
            symbols = connection.execute("SELECT symbol, market FROM symbols WHERE market <> ''").fetchall()
            markets = {market: closes_of(connection, market) for market in {market for _, market in symbols}}
            self._closes = {symbol: markets[market] for symbol, market in symbols if markets[market]}
            self._version = version
        return self._closes


def concerned(connection: Connection, symbol: str, closes: Sequence[int]) -> set[Minute]:
    """The minutes whose bars of ``symbol`` may have others of its trades, once ``closes`` are some or are none any more."""
    minutes = set()
    for number, _ in series_by_venue(connection, symbol):
        first_us, last_us = connection.execute(_ENDS, (number, number)).fetchone()
        for close_us in closes if first_us is not None else ():
            if not first_us - CLOSING_US < close_us <= last_us:
                continue
            near = connection.execute(_NEAR, (number, close_us, close_us + CLOSING_US, close_us + SECOND_US)).fetchall()
            starts = {time_us - time_us % MINUTE_US for (time_us,) in near}
            if near:
                starts.add((close_us - 1) // MINUTE_US * MINUTE_US)
            minutes |= {Minute(symbol, start_us) for start_us in starts}
    return minutes


def put_sessions(connection: Connection, market: str, sessions: Sequence[Session]) -> list[int]:
    """As `app.market.protocol.Writer.put_sessions`; the closes that are new or gone."""
    before = set(closes_of(connection, market))
    first, last = (each.day.isoformat() for each in (sessions[0], sessions[-1]))
    connection.execute("DELETE FROM sessions WHERE market = ? AND day BETWEEN ? AND ?", (market, first, last))
    connection.executemany(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
        [(market, each.day.isoformat(), each.opens_us, each.closes_us, *(each.pause or (None, None))) for each in sessions],
    )
    changed(connection)
    return sorted(before.symmetric_difference(closes_of(connection, market)))
