"""Where a market store's data is, whichever database it is in."""

import asyncio
import math
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from app.domain.prices import EXACT, plain
from app.market.contents import Contents
from app.market.following import StreamWriter
from app.market.opening import open_contents
from app.market.protocol import Reader
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_reader import EmbeddedReader
from tests.market.recomputation import POSTGRES, SQLITE

T = TypeVar("T")

DAY_US, MINUTE_US, SECOND_US = 86_400_000_000, 60_000_000, 1_000_000
NOON_US = 1_700_049_600_000_000
"""12:00 UTC on 2023-11-15, a Wednesday."""

_BLOCKS = {"15m": 15 * MINUTE_US, "1h": DAY_US // 24, "1d": DAY_US}


@dataclass
class Place:
    """SQLite at ``path``."""

    path: Path
    writers: list[StreamWriter] = field(default_factory=list)
    database: ClassVar = "sqlite"

    def writer(self, grids: int = 100) -> StreamWriter:
        """A writer of its own, whose clock stands still."""
        self.writers.append(EmbeddedWriter(self.path, clock_us=lambda: NOON_US, grids=grids))
        return self.writers[-1]

    def close(self) -> None:
        """Close what a test left open."""
        for writer in self.writers:
            writer.close()

    def reader(self, *sources: str, now_us: int = 10 * NOON_US) -> Reader:
        """A reader of its own; ``now_us`` is far ahead, so that all bars are over."""
        return EmbeddedReader(self.path, sources=sources, deadline_s=60.0, clock_us=lambda: now_us)

    def read(self, work: Callable[[Reader], Awaitable[T]], *sources: str, now_us: int = 10 * NOON_US) -> T:
        """``work`` with a reader that is closed afterwards."""

        async def opened() -> T:
            reader = self.reader(*sources, now_us=now_us)
            try:
                return await work(reader)
            finally:
                await reader.close()

        return asyncio.run(opened())

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database answers."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(statement).fetchall()

    def change(self, statement: str) -> None:
        """Behind the writers' backs."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement)

    def contents(self) -> AbstractContextManager[Contents]:
        """All that it holds."""
        return open_contents(url="", path=self.path)

    def bars_of_trades(self) -> list[tuple[Any, ...]]:
        """All rows of bars of trades but for what tells of their arrival: keys, numbers, variance, covered seconds."""
        return self.rows(
            "SELECT symbol, start_us, open, high, low, close, volume, notional, trades, open_key, close_key, covered_s, rv "
            "FROM candles WHERE source = 'trades' ORDER BY symbol, start_us"
        )

    def blocks(self) -> list[tuple[Any, ...]]:
        """Quarters, hours and days of minutes, as they are kept: from symbol and source to revision and minutes."""
        columns = "symbol, source, interval, start_us, open, high, low, close, volume, revision, minutes"
        return self.rows(f"SELECT {columns} FROM blocks ORDER BY symbol, source, interval, start_us")  # noqa: S608 - ours

    def blocks_of_minutes(self) -> list[tuple[Any, ...]]:
        """The same, as the minutes have them; of those that the newest minute is behind."""
        found: dict[tuple[str, str, str, int], list[Any]] = {}
        newest: dict[tuple[str, str], int] = {}
        statement = "SELECT symbol, source, start_us, open, high, low, close, volume, revision FROM candles WHERE interval = '1m'"
        for symbol, source, start_us, *row in self.rows(f"{statement} ORDER BY start_us"):
            newest[symbol, source] = start_us
            for interval, length_us in _BLOCKS.items():
                found.setdefault((symbol, source, interval, start_us - start_us % length_us), []).append(row)
        blocks = []
        for (symbol, source, interval, start_us), rows in sorted(found.items()):
            if start_us + _BLOCKS[interval] <= newest[symbol, source]:
                opens, highs, lows, closes, volumes, revisions = zip(*rows, strict=True)
                prices = opens[0], max(highs, key=Decimal), min(lows, key=Decimal), closes[-1]
                volume = Decimal(0)
                for each in volumes:
                    volume = EXACT.add(volume, Decimal(each))
                revision = 1 + sum(revisions) - len(revisions)
                blocks.append((symbol, source, interval, start_us, *prices, plain(volume), revision, len(rows)))
        return blocks

    def recomputed(self) -> list[tuple[Any, ...]]:
        """The same, as SQL makes them of the trades."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.create_aggregate("exact_sum", 1, _Sum)  # type: ignore[arg-type]
            connection.create_aggregate("exact_max", 1, _Max)  # type: ignore[arg-type]
            connection.create_aggregate("exact_min", 1, _Min)  # type: ignore[arg-type]
            connection.create_function("exact_product", 2, lambda one, other: plain(EXACT.multiply(Decimal(one), Decimal(other))))
            connection.create_function("log_return", 2, lambda price, before: math.log(float(price) / float(before)))
            return connection.execute(SQLITE).fetchall()


class PostgresPlace(Place):
    """A database of PostgreSQL."""

    database = "postgres"

    def __init__(self, url: str) -> None:
        super().__init__(Path())
        self.url = url

    def writer(self, grids: int = 100) -> StreamWriter:
        """As its base."""
        from app.market.postgres import PostgresWriter  # noqa: PLC0415 - its driver is an extra

        self.writers.append(PostgresWriter(self.url, clock_us=lambda: NOON_US, grids=grids))
        return self.writers[-1]

    def reader(self, *sources: str, now_us: int = 10 * NOON_US) -> Reader:
        """As its base."""
        from app.market.postgres_reader import PostgresReader  # noqa: PLC0415 - as above

        return PostgresReader(self.url, sources=sources, deadline_s=60.0, threads=2, clock_us=lambda: now_us)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """As its base: numbers that are exact as their digits."""
        import psycopg  # noqa: PLC0415 - as above
        from psycopg.types.string import TextLoader  # noqa: PLC0415 - as above

        with psycopg.connect(self.url) as connection:
            for name in ("numeric", "date"):
                connection.adapters.register_loader(name, TextLoader)
            return connection.execute(statement.encode()).fetchall()

    def change(self, statement: str) -> None:
        """As its base."""
        import psycopg  # noqa: PLC0415 - as above

        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

    def contents(self) -> AbstractContextManager[Contents]:
        """As its base."""
        return open_contents(url=self.url, path=self.path)

    def empty(self) -> None:
        """Remove all but what migrations wrote."""
        import psycopg  # noqa: PLC0415 - as above

        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations'"
        with psycopg.connect(self.url) as connection:
            for (name,) in connection.execute(tables).fetchall():
                kept = " WHERE name <> 'writes'" if name == "marks" else ""
                connection.execute(f"DELETE FROM {name}{kept}".encode())  # noqa: S608 - of the database's own

    def recomputed(self) -> list[tuple[Any, ...]]:
        """As its base, with the database's own numbers."""
        return self.rows(POSTGRES)


class _Sum:
    """SQLite has no decimals: this is their exact sum."""

    def __init__(self) -> None:
        self.found: Decimal | None = None

    def step(self, text: str) -> None:
        """One of them."""
        self.found = Decimal(text) if self.found is None else self.taken(self.found, Decimal(text))

    def taken(self, found: Decimal, new: Decimal) -> Decimal:
        """What it is with one more."""
        return EXACT.add(found, new)

    def finalize(self) -> str | None:
        """As digits."""
        return None if self.found is None else plain(self.found)


class _Max(_Sum):
    def taken(self, found: Decimal, new: Decimal) -> Decimal:
        return max(found, new)


class _Min(_Sum):
    def taken(self, found: Decimal, new: Decimal) -> Decimal:
        return min(found, new)
