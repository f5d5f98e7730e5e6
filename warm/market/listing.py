"""What the market store is told of symbols: whose sessions they have, by their suffix, and what they are quoted in."""

from collections.abc import Iterable
from functools import cache

from app.domain.symbols import currency_of, never_closes
from app.domain.trades import SIMULATED, Trade
from app.market.protocol import Session, Symbol, Writer
from warm.calendar.exchanges import exchange, exchange_of
from warm.calendar.sessions import at_minute
from warm.errors import InputRefused


def market_of(symbol: str) -> str:
    """Whose sessions a canonical ``symbol`` has; empty if its market never closes."""
    return "" if never_closes(symbol) else exchange_of(symbol)


@cache
def sessions_of(code: str) -> list[Session]:
    """All of an exchange, as far as its table goes."""
    found = exchange(code)
    sessions = []
    for day, hours in found.sessions(found.first):
        if day > found.until:
            break
        opens_us, closes_us = (at_minute(day, each, found.zone) * 1000 for each in (hours.opens, hours.closes))
        pause = None
        if hours.pause is not None:
            pause_from, pause_to = hours.pause
            pause = at_minute(day, pause_from, found.zone) * 1000, at_minute(day, pause_to, found.zone) * 1000
        sessions.append(Session(day, opens_us, closes_us, pause))
    return sessions


class Listing:
    """Tells a store of each symbol and of each market once, before anything of them is written: then bars at closes are right at
    once.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._told: set[tuple[str, str | None]] = set()
        self._markets: set[str] = set()

    def tell_trades(self, trades: Iterable[Trade], source: str) -> tuple[set[str], set[str]]:
        """The symbols of ``trades``, which it tells as `tell` does, and those of them that are simulated."""
        named = {(trade.symbol, trade.venue == SIMULATED) for trade in trades}
        symbols = {symbol for symbol, _ in named}
        simulated = {symbol for symbol, is_simulated in named if is_simulated}
        self.tell(symbols - simulated, source)
        self.tell(simulated, SIMULATED, SIMULATED)
        return symbols, simulated

    def tell(self, symbols: Iterable[str], source: str, market: str | None = None) -> None:
        """Of those that are new, in one step: each step changes whose closes are known, and these are then read anew.

        ``source`` is what they were heard of by, ``market`` whose sessions they have (None: as their suffixes say).

        Raises:
            InputRefused: one is simulated here and real there, or the other way round.
        """
        new = {symbol for symbol in symbols if (symbol, market) not in self._told}
        if not new:
            return
        markets = {symbol: market_of(symbol) if market is None else market for symbol in sorted(new)}
        for each in sorted({*markets.values()} - self._markets - {"", SIMULATED}):
            self._writer.put_sessions(each, sessions_of(each))
            self._markets.add(each)
        described = [
            Symbol(symbol, market=own, currency=currency_of(symbol) or "", source=source, is_guess=market is None)
            for symbol, own in markets.items()
        ]
        try:
            self._writer.put_symbols(described)
        except ValueError as error:
            raise InputRefused(str(error)) from error
        self._told |= {(symbol, market) for symbol in new}
