"""``python -m bench.market.writing URL PATH TRADES RESENT``: what a market store takes in, by a process of its own.

It writes made-up trades of `SYMBOLS` symbols in batches, as a consumer of a log does: trades, bars and the log's offset in one
transaction. Then it sends the last ones again. It prints one line of JSON (`Written`). ``URL`` is empty for SQLite at ``PATH``.
"""

import resource
import sys
import time
from pathlib import Path

import msgspec

from app.domain.trades import Trade, trade_key
from app.market.opening import open_writer
from app.market.protocol import Batch, Move, Partition, Writer
from bench.market.made import VENUE, symbols_of, trades

SYMBOLS, BATCH = 100, 10_000
_PARTITION = Partition("bench", "trades", "1", 0)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds are those of `Writer.apply` alone; making the trades is not counted. ``memory_mb`` is the process's at the end of
    each tenth of the trades. ``wrong`` says what the store did not do as it must; empty if it did all.
    """

    trades: int
    wall_s: float
    cpu_s: float
    resent: int
    resent_wall_s: float
    resent_cpu_s: float
    memory_mb: list[float]
    wrong: str = ""


def batch(first: int, count: int, following: int | None = None) -> Batch:
    """Trades from number ``first`` on; with where the log goes on, if that is given."""
    made = [
        Trade(VENUE, symbol, trade_key(str(number)), time_us, price, size, str(number), "buy" if side == "buy" else "sell", VENUE)
        for symbol, number, time_us, price, size, side in trades(symbols_of(SYMBOLS, "T"), first, count)
    ]
    if following is None:
        return Batch(trades=made)
    return Batch(trades=made, moves=(Move(_PARTITION, None if first == 0 else first, following),))


def written(writer: Writer, count: int, resent: int, clock: "Clock") -> Written:
    """What came of it."""
    memory_mb, inserted, duplicate = list[float](), 0, 0
    for first in range(0, count, BATCH):
        size = min(BATCH, count - first)
        made = batch(first, size, first + size)
        clock.begin()
        inserted += writer.apply(made).inserted
        clock.end()
        if (first + size) * 10 // count > len(memory_mb):
            memory_mb.append(clock.memory_mb())
    once = clock.taken()
    begin = max(0, count - resent)
    for first in range(begin, count, BATCH):
        made = batch(first, min(BATCH, count - first))
        clock.begin()
        duplicate += writer.apply(made).duplicate
        clock.end()
    again = clock.taken()
    offset = writer.offsets(_PARTITION.log).get(_PARTITION)
    wrong = [
        f"{what} is {found:,} of {wanted:,}"
        for what, found, wanted in (
            ("trades inserted", inserted, count),
            ("trades known again", duplicate, count - begin),
            ("the log's offset", offset or 0, count),
        )
        if found != wanted
    ]
    return Written(
        trades=count,
        wall_s=once[0],
        cpu_s=once[1],
        resent=count - begin,
        resent_wall_s=again[0],
        resent_cpu_s=again[1],
        memory_mb=memory_mb,
        wrong="; ".join(wrong),
    )


class Clock:
    """Wall and CPU time of this process between `begin` and `end`, summed."""

    def __init__(self) -> None:
        self._wall_s = self._cpu_s = 0.0
        self._began = (0.0, 0.0)

    def begin(self) -> None:
        """From here."""
        self._began = time.perf_counter(), time.process_time()

    def end(self) -> None:
        """To here."""
        wall_s, cpu_s = self._began
        self._wall_s += time.perf_counter() - wall_s
        self._cpu_s += time.process_time() - cpu_s

    def taken(self) -> tuple[float, float]:
        """Wall and CPU seconds so far; it begins anew."""
        taken = self._wall_s, self._cpu_s
        self._wall_s = self._cpu_s = 0.0
        return taken

    @staticmethod
    def memory_mb() -> float:
        """What is resident now."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 1e6


def main() -> None:
    """As above."""
    url, path, count, resent = sys.argv[1:]
    writer = open_writer(url=url, path=Path(path))
    # The store is made now, and not in the first batch.
    writer.offsets(_PARTITION.log)
    print(msgspec.json.encode(written(writer, int(count), int(resent), Clock())).decode())
    writer.close()


if __name__ == "__main__":
    main()
