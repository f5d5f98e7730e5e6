"""``python -m bench.upserts``: what single records cost, to write them and to bring them to those who answer from them.

It fills a small store and a large one, and upserts the same number of records to both in turn: one, then 500 that lie as far from
each other as they can. Of the times it takes the one below which a quarter of them lies. Where the system allows, this is done on
one CPU: with two, what it takes to wake a store's thread differs by half between two stores of one size. It applies changes
to a worker's memory, which holds all symbols. And it has another process write to SQLite while this one waits for the change.
Exit codes: 0, 1 one of these took more than it may (in the large store 1.3 times as long, 5 µs of CPU time a record, 2 ms), 2
wrong usage.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.domain.records import KINDS, Kind
from app.domain.vector import fingerprint
from app.options import Settings
from app.store.codec import encode
from app.store.opening import open_store
from app.store.protocol import Record
from app.worker import Worker

_RATIO_MAX, _APPLY_MAX_US, _WAKE_MAX_MS = 1.3, 5.0, 2.0
_FEW, _AT_ONCE = 100, 500
_FAILED = 1
_VALUES = tuple(1.0 / number for number in range(1, 17))


class Level(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A made-up record, about as large as a tick with its features. ``loaded_at_ms`` is in nanoseconds here."""

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str
    sequence: int
    symbol: str
    values: tuple[float, ...]


_SCHEMA = fingerprint("level-1", Level.__struct_fields__)
_LEVEL = Kind(
    name="level",
    plural="levels",
    decoder=msgspec.msgpack.Decoder(Level),
    schema=_SCHEMA,
    fault=lambda record: None if len(record.values) == len(_VALUES) else "it has too few values",
    is_input=True,
    life_ms=lambda *_: 60_000.0,
    carries_value=True,
)
_KINDS = KINDS.adding(_LEVEL)


def _level(symbol: str, number: int) -> Record:
    return Record("level", symbol, encode(Level(_SCHEMA, number, time.monotonic_ns() // 1000, "", number, symbol, _VALUES)))


def _symbols(count: int, step: int = 1) -> list[str]:
    return [f"S{number * step:06}" for number in range(count)]


@contextmanager
def one_cpu() -> Iterator[None]:
    """Threads that begin meanwhile stay on one CPU."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


async def cost(redis_url: str, folder: Path, many: int, rounds: int) -> float:
    """The highest ratio of what an upsert costs in the large store to what it costs in the small one."""
    stores = [
        open_store(redis_url=redis_url, store_path=folder / f"{count}.sqlite3", key_prefix=f"bench:{count}", kinds=_KINDS)
        for count in (_FEW, many)
    ]
    for store, count in zip(stores, (_FEW, many), strict=True):
        held = _symbols(count)
        for first in range(0, count, _AT_ONCE):
            await store.upsert([_level(symbol, 1) for symbol in held[first : first + _AT_ONCE]])
    highest, number = 0.0, 1
    for at_once in (1, _AT_ONCE):
        chosen = _symbols(at_once), _symbols(at_once, many // at_once)
        took_ms: tuple[list[float], list[float]] = [], []
        for turn in range(rounds):
            number += 1
            pairs = list(zip(stores, chosen, took_ms, strict=True))
            for store, some, took in pairs if turn % 2 else reversed(pairs):
                records = [_level(symbol, number) for symbol in some]
                began = time.perf_counter()
                await store.upsert(records)
                if turn >= rounds // 10:
                    # The first ones are of symbols and pages that were not there.
                    took.append((time.perf_counter() - began) * 1000.0)
        # What else the machine does only adds.
        few_ms, many_ms = (statistics.quantiles(each, n=4)[0] for each in took_ms)
        highest = max(highest, many_ms / few_ms)
        what = f"{stores[0].kind}, upsert of {at_once}: {few_ms:.3f} ms of {_FEW} symbols, {many_ms:.3f} ms of {many:,}"
        print(f"{what}, {many_ms / few_ms:.2f} times as long")
    for store in stores:
        await store.withdraw(symbols=_symbols(max(many, _AT_ONCE)))
        await store.close()
    return highest


async def apply(folder: Path, count: int) -> float:
    """CPU time of one record that is applied to a worker's memory, in microseconds."""
    store = open_store(redis_url="", store_path=folder / "applied.sqlite3", key_prefix="", kinds=_KINDS)
    settings = msgspec.convert({"l1_max_entries": max(count, 1000)}, Settings)
    tiers = Worker(settings, store, clock=time.monotonic, rng=random.Random(1), logs=None, kinds=_KINDS).tiers
    symbols = _symbols(count)
    for symbol in symbols:
        tiers.memory.put(symbol, _KINDS.unread("absent"))
    taken_us = []
    for number in range(2, 7):
        records = [_level(symbol, number) for symbol in symbols]
        began = time.process_time()
        for first in range(0, count, _AT_ONCE):
            tiers.apply(records[first : first + _AT_ONCE])
        taken_us.append((time.process_time() - began) * 1e6 / count)
    await store.close()
    print(f"applied to the memory of {count:,} symbols: {statistics.median(taken_us):.2f} µs of CPU time a record")
    return statistics.median(taken_us)


def _write(path: Path, rounds: int) -> None:
    async def work() -> None:
        store = open_store(redis_url="", store_path=path, key_prefix="", kinds=_KINDS)
        for number in range(2, rounds + 2):
            await store.upsert([_level("A", number)])
            await asyncio.sleep(0.013)
        await store.close()

    asyncio.run(work())


async def wake(folder: Path, rounds: int) -> float:
    """Milliseconds, in the median, from before the write in another process until the record is here."""
    path = folder / "woken.sqlite3"
    store = open_store(redis_url="", store_path=path, key_prefix="", kinds=_KINDS)
    await store.upsert([_level("A", 1)])
    position, taken_ms = await store.feed_position(), list[float]()
    writer = multiprocessing.get_context("spawn").Process(target=_write, args=(path, rounds))
    writer.start()
    while len(taken_ms) < rounds:
        changes = await store.changes(position, 1.0)
        now_us, position = time.monotonic_ns() // 1000, changes.last_id
        taken_ms += [(now_us - _LEVEL.decoder.decode(each.value).loaded_at_ms) / 1000.0 for each in changes.values]
    writer.join()
    await store.close()
    median_ms = statistics.median(taken_ms)
    print(f"sqlite, written in another process and here: {median_ms:.2f} ms, p99 {sorted(taken_ms)[rounds * 99 // 100]:.2f} ms")
    return median_ms


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.upserts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redis-url", default="", help="measure this Redis too, under keys that begin with bench:")
    parser.add_argument("--symbols", type=int, default=100_000, help="so many are in the large store (default 100,000)")
    parser.add_argument("--rounds", type=int, default=200, help="so often each is measured (default 200)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder, many, rounds = Path(name), arguments.symbols, arguments.rounds
        with one_cpu():
            ratios = [
                asyncio.run(cost(url, folder, many, rounds))
                for url in ("", arguments.redis_url)[: 2 if arguments.redis_url else 1]
            ]
        apply_us, wake_ms = asyncio.run(apply(folder, many)), asyncio.run(wake(folder, rounds))
    return _FAILED if max(ratios) > _RATIO_MAX or apply_us > _APPLY_MAX_US or wake_ms > _WAKE_MAX_MS else 0


if __name__ == "__main__":
    sys.exit(main())
