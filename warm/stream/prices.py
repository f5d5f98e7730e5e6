"""Price records, computed anew when a bar of theirs is over: from the bars of the market store, by the code of a warm run.

A record is carried on where the market store has at least the bars that it was made of, adjusted alike (`app.market.history`);
else it stays, and `decide market check` says why. It keeps the run that it carries on, so it is withdrawn with it. Late trades
compute it anew, too. Nothing is remembered: whoever begins looks at all symbols.
"""

import asyncio
import math
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

import polars as pl

from app.domain.intervals import DAY_S
from app.domain.records import HISTORY, PRICE
from app.domain.vector import HistoryRecord, PriceRecord
from app.errors import MarketError, RecordError, StoreError
from app.market.history import history_of
from app.market.protocol import Bar, Minute, Reader
from app.store.codec import decode
from app.store.protocol import Record, Row, RunInfo, Stored, Upserting
from warm.calendar.intervals import BY_SECONDS, Market
from warm.calendar.sessions import Session, open_session
from warm.make.indicators import latest_of_markets
from warm.make.vectors import build_vectors, last_closes
from warm.stream.metrics import ConsumerMeters
from warm.stream.sifting import LATE_US

_AT_ONCE = 100
"""Symbols that are looked at together."""
_WAIT_S, _RETRY_S = 1.0, 2.0
_RUN_S = 5.0
"""How often it is looked whether another run was loaded."""
_UNKNOWN_US = 60_000_000
"""How long after a symbol was found without a price record it is looked for again."""
_DIGITS = 1e-9


class PriceStore(Upserting, Protocol):
    """L2, as far as it is needed; raises as `app.store.protocol.Store` does."""

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """As `Store`."""
        ...

    async def record(self, kind: str, key: str) -> bytes | None:
        """As `Store`."""
        ...

    async def run_info(self) -> RunInfo | None:
        """As `Store`."""
        ...

    async def close(self) -> None:
        """As `Store`."""
        ...


class Clock(NamedTuple):
    """Of a symbol: the time of its newest message, and when the log got that. From then on it goes as the wall's, so what is
    replayed has the time of then.
    """

    symbol: str
    newest_us: int
    told_us: int


class _Symbol:
    """``look_us``: when to look at it next, by its own clock. ``as_of_us``: its record's, as it was last seen."""

    __slots__ = ("as_of_us", "clock", "look_us")

    def __init__(self, clock: Clock) -> None:
        self.clock, self.as_of_us, self.look_us = clock, 0, 0


class _Found(NamedTuple):
    """A symbol's records in L2, and the bars to carry them on."""

    price: PriceRecord
    history: HistoryRecord
    bars: tuple[Bar, ...]


class Prices:
    """Works in a thread of its own (`run`), with ``reader`` and ``store`` for itself. ``say`` is told of what happens."""

    def __init__(
        self, reader: Reader, store: PriceStore, meters: ConsumerMeters, say: Callable[..., None], now_us: Callable[[], int]
    ) -> None:
        self._reader, self._store, self._meters, self._say, self._now_us = reader, store, meters, say, now_us
        self._runner = asyncio.Runner()
        self._session = open_session(None, None, None)
        self._lock = threading.Lock()
        self._clocks: dict[str, Clock] = {}
        self._touched: dict[str, int] = {}
        self._symbols: dict[str, _Symbol] = {}
        self._lacks: dict[str, str] = {}
        self._told: frozenset[str] = frozenset()
        self._run: str | None = None
        self._run_us = 0

    def follow(self, clocks: Iterable[Clock], touched: Collection[Minute] = (), changed: Iterable[str] = ()) -> None:
        """Symbols were heard; the bars of these minutes are others, and of symbols that ``changed`` it may be any. From any
        thread.
        """
        with self._lock:
            self._clocks.update((each.symbol, each) for each in clocks)
            for symbol, start_us in touched:
                self._touched[symbol] = min(start_us, self._touched.get(symbol, start_us))
            self._touched.update(dict.fromkeys(changed, 0))

    def run(self, stop: threading.Event) -> None:
        """Until it is to stop. Whatever fails is tried again."""
        is_away, wait_s = False, _WAIT_S
        while not stop.wait(wait_s):
            try:
                while self.step() and not stop.is_set():
                    pass
                is_away, wait_s = False, _WAIT_S
            except (MarketError, StoreError, OSError) as error:
                if not is_away:
                    self._say("prices_wait", error=str(error))
                is_away, wait_s = True, _RETRY_S

    def close(self) -> None:
        """Reader and store, in the loop that they were used in."""
        self._runner.run(self._reader.close())
        self._runner.run(self._store.close())
        self._runner.close()

    def step(self) -> bool:
        """Look at the symbols whose time has come, some at once; whether more may wait.

        Raises:
            MarketError: the market store failed; StoreError and OSError: L2 did. They are looked at again by the next step.
        """
        self._learn()
        now_us = self._now_us()
        if now_us >= self._run_us:
            info = self._runner.run(self._store.run_info())
            # Without a run its times are those of upserts, of which there are many.
            run = None if info is None else info.run and f"{info.run} {info.warmed_at_ms}"
            self._run_us = now_us + int(_RUN_S * 1e6)
            if run != self._run:
                self._run = run
                for each in self._symbols.values():
                    each.look_us = 0
        if self._run is None:
            # L2 is empty.
            return False
        times = {each: _time(each.clock, now_us) for each in self._symbols.values()}
        due = [each for each, time_us in times.items() if time_us >= each.look_us][:_AT_ONCE]
        if due:
            self._runner.run(self._look({each.clock.symbol: (each, times[each]) for each in due}, now_us))
        if self._told != (lacking := frozenset(self._lacks)):
            first = next(iter(lacking - self._told or lacking), None)
            self._say("prices_stay", symbols=len(lacking), first=first, why=self._lacks.get(first or ""))
            self._told = lacking
            self._meters.short_of_history.set(len(lacking))
        return len(due) == _AT_ONCE

    def _learn(self) -> None:
        with self._lock:
            clocks, self._clocks = self._clocks, {}
            touched, self._touched = self._touched, {}
        for symbol, clock in clocks.items():
            known = self._symbols.setdefault(symbol, _Symbol(clock))
            known.clock = clock
        for symbol, start_us in touched.items():
            if symbol in self._symbols and start_us < self._symbols[symbol].as_of_us:
                self._symbols[symbol].look_us = 0

    async def _look(self, due: dict[str, tuple[_Symbol, int]], now_us: int) -> None:
        found: list[_Found] = []
        seen: dict[str, tuple[PriceRecord | None, str | None]] = {}
        for symbol, stored in zip(due, await self._store.get_many(list(due)), strict=True):
            raw = stored.records.get(PRICE.name), await self._store.record(HISTORY.name, symbol)
            price, lacks = None, None
            if raw[0] is not None:
                try:
                    price = decode(PRICE, raw[0], symbol)
                    history = decode(HISTORY, raw[1] or b"", symbol)
                except RecordError as error:
                    lacks = f"its records cannot be read ({error.reason})"
                else:
                    until_us = due[symbol][1] - LATE_US
                    # What is replayed from before it changes nothing.
                    if until_us >= history.as_of_ms * 1000:
                        bars, lacks = await history_of(self._reader, history, until_us)
                        if bars and price.as_of_ms == history.as_of_ms:
                            found.append(_Found(price, history, bars))
            seen[symbol] = price, lacks
        await self._write(found, now_us // 1000)
        for symbol, (price, lacks) in seen.items():
            each, time_us = due[symbol]
            each.as_of_us, each.look_us = _next(price, found, symbol, time_us)
            self._lacks.pop(symbol, None)
            if lacks is not None:
                self._lacks[symbol] = lacks

    async def _write(self, found: Sequence[_Found], now_ms: int) -> None:
        by_run: dict[str, list[_Found]] = {}
        for each in found:
            by_run.setdefault(each.price.run, []).append(each)
        for run, some in by_run.items():
            rows = {row.symbol: row for row in _made(some, run, now_ms, self._session)}
            changed = [rows[each.price.symbol] for each in some if _is_other(each, rows[each.price.symbol])]
            if changed:
                records = [Record(kind, row.symbol, written.value) for row in changed for kind, written in row.records.items()]
                await self._store.upsert(records)
                self._meters.price_records.inc(len(changed))


def _time(clock: Clock, now_us: int) -> int:
    """By its own clock."""
    return clock.newest_us + max(0, now_us - clock.told_us)


def _next(price: PriceRecord | None, found: Sequence[_Found], symbol: str, time_us: int) -> tuple[int, int]:
    """As of when its record is, and when to look at it next: once the next bar is over, and what comes late has come."""
    if price is None:
        return 0, time_us + _UNKNOWN_US
    as_of_us = max([price.as_of_ms, *(each.bars[-1].end_us // 1000 for each in found if each.price.symbol == symbol)]) * 1000
    ends_us = [each * 1000 + LATE_US for each in price.due_ms if each * 1000 + LATE_US > time_us]
    return as_of_us, min(ends_us, default=time_us + price.interval_s * 1_000_000)


def _made(found: Sequence[_Found], run: str, now_ms: int, session: Session) -> list[Row]:
    """Their rows."""
    columns: dict[str, list[object]] = {name: [] for name in ("symbol", "as_of_ms", "high", "low", "close", "volume")}
    markets: dict[str, Market] = {}
    found = sorted(found, key=lambda each: each.price.symbol)
    for price, _, bars in found:
        for bar in bars:
            values = price.symbol, bar.end_us // 1000, *(float(each) for each in (bar.high, bar.low, bar.close, bar.volume))
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        # Beyond sessions there are none.
        never_closes = all(bar.session is None for bar in bars)
        session_s = session.of(price.symbol).days.session_s
        is_short = not never_closes and price.interval_s < DAY_S
        market = Market(BY_SECONDS[price.interval_s], never_closes)
        markets[price.symbol] = market._replace(session_s=session_s) if is_short else market
    frame = pl.DataFrame(columns, schema_overrides={"as_of_ms": pl.Int64})
    latest = latest_of_markets(frame, markets)
    closes = last_closes(frame)
    return build_vectors(
        latest, closes, pl.DataFrame(), run=run, loaded_at_ms=now_ms, markets=markets, session=session, is_of_store=True
    ).rows


def _is_other(found: _Found, row: Row) -> bool:
    """Whether it is of a newer bar, or of other numbers than the one that stands there."""
    price = decode(PRICE, row.records[PRICE.name].value, row.symbol)
    history = decode(HISTORY, row.records[HISTORY.name].value, row.symbol)
    if price.as_of_ms != found.price.as_of_ms:
        return price.as_of_ms > found.price.as_of_ms
    return not (_are_close(price.values, found.price.values) and _are_close(history.closes, found.history.closes))


def _are_close(some: Sequence[float | None], others: Sequence[float | None]) -> bool:
    return len(some) == len(others) and all(
        one == other or (one is not None and other is not None and math.isclose(one, other, rel_tol=_DIGITS, abs_tol=1e-12))
        for one, other in zip(some, others, strict=True)
    )
