"""Any sequence of publications leaves both kinds of L2 as a plain dictionary that never goes backwards would be."""

import asyncio
import itertools
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.vector import AS_OF_MAX_MS
from app.store.codec import encode
from app.store.opening import open_store
from app.store.protocol import Row, RunInfo, Store, Stored
from tests.kit.records import AS_OF_MS, agent_record, history_record, make_row, price_record, raw_of, row, run_info, stored
from tests.kit.servers import RedisServer

# Around every length that msgpack has for an integer, and about the two ends.
_TIMES = [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, AS_OF_MS - 1, AS_OF_MS, AS_OF_MAX_MS - 2000]
_times = st.sampled_from(_TIMES)
_both_or_one = st.tuples(_times, _times) | st.tuples(st.none(), _times) | st.tuples(_times, st.none())
_YEAR_MS = 365 * 86_400_000
_prefixes = (f"examples:{number}" for number in itertools.count())


class Publication(NamedTuple):
    """The times of price and agents by symbol (None: no such record in it), whether to prune, whether prices have histories."""

    times: dict[str, tuple[int | None, int | None]]
    prune: bool
    histories: bool


_publications = st.lists(
    st.builds(Publication, st.dictionaries(st.sampled_from("ABC"), _both_or_one, min_size=1), st.booleans(), st.booleans()),
    max_size=6,
)


class Model:
    """What a store must hold: for each symbol its price and its agents, each as time and bytes."""

    def __init__(self) -> None:
        self.records: dict[str, list[tuple[int, bytes] | None]] = {}
        self.histories: dict[str, bytes | None] = {}
        self.info: RunInfo | None = None

    def publish(self, rows: list[Row], info: RunInfo, *, prune: bool) -> tuple[int, int, int, set[str]]:
        """Records written and kept, symbols pruned, and which symbols changed."""
        written = kept = 0
        changed = set()
        for each in rows:
            held = self.records.setdefault(each.symbol, [None, None])
            for place, kind in enumerate(("price", "agents")):
                if kind not in each.records:
                    continue
                as_of_ms, raw = each.records[kind]
                before = held[place]
                if before is not None and before[0] > as_of_ms:
                    kept += 1
                    continue
                held[place] = (as_of_ms, raw)
                if place == 0:
                    self.histories[each.symbol] = raw_of(each, "history")
                written += 1
                changed.add(each.symbol)
        gone = self.records.keys() - {each.symbol for each in rows} if prune else set()
        for symbol in gone:
            del self.records[symbol]
            self.histories.pop(symbol, None)
        if changed or gone:
            times = [record[0] for held in self.records.values() for record in held if record is not None]
            self.info = RunInfo(info.run, info.warmed_at_ms, max(times), len(self.records), info.bars, info.bytes)
        return written, kept, len(gone), changed | gone

    def stored(self, symbol: str) -> Stored:
        """What a read of ``symbol`` must answer."""
        price, agents = self.records.get(symbol, (None, None))
        found = stored(None if price is None else price[1], None if agents is None else agents[1])
        return found._replace(known=symbol in self.records)


def _rows(publication: Publication, run: str) -> list[Row]:
    return [
        make_row(
            symbol,
            price_ms,
            None if price_ms is None else encode(price_record(symbol, price_ms, run)),
            agents_ms,
            None if agents_ms is None else encode(agent_record(symbol, agents_ms, run)),
            encode(history_record(symbol, price_ms or 0, run)) if publication.histories else None,
        )
        for symbol, (price_ms, agents_ms) in publication.times.items()
    ]


async def _check(store: Store, publications: list[Publication]) -> None:
    model = Model()
    position = await store.feed_position()
    try:
        for number, publication in enumerate(publications):
            rows = _rows(publication, f"run-{number}")
            newest_ms = max(time_ms for times in publication.times.values() for time_ms in times if time_ms is not None)
            info = run_info(f"run-{number}", newest_ms, len(rows))
            written, kept, pruned, changed = model.publish(rows, info, prune=publication.prune)
            published = await store.publish_run(rows, info, prune=publication.prune)
            assert (published.written, published.kept_newer, published.pruned) == (written, kept, pruned)
            assert await store.symbols() == sorted(model.records)
            assert await store.get_many("ABCD") == [model.stored(symbol) for symbol in "ABCD"]
            assert [await store.record("history", symbol) for symbol in "ABCD"] == [
                model.histories.get(symbol) for symbol in "ABCD"
            ]
            assert await store.run_info() == model.info
            changes = await store.changes(position, 0.0)
            # Nothing tells whether the first entries that a Redis stream ever shows are its first.
            assert (set(changes.symbols), changes.lost) == (changed, bool(changed) and position == "0-0")
            position = changes.last_id
    finally:
        await store.close()


@given(_publications)
@settings(max_examples=60)
def test_sqlite_holds_what_the_model_holds(publications: list[Publication]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_check(open_store(redis_url="", store_path=Path(folder) / "store", key_prefix="x"), publications))


@given(_publications)
@settings(max_examples=60)
def test_redis_holds_what_the_model_holds(redis_server: RedisServer, publications: list[Publication]) -> None:
    """As on SQLite: the script reads a record's time out of its bytes, in whichever form msgpack gave it."""
    store = open_store(redis_url=redis_server.url, store_path=Path(), key_prefix=next(_prefixes))
    asyncio.run(_check(store, publications))


_HEAD = encode(price_record("A", AS_OF_MS, "old"))


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x97",
        _HEAD[:18],
        _HEAD[:19],
        _HEAD[:26],
        b"\x93" + _HEAD[1:],
        _HEAD[:1] + b"\xb1" + _HEAD[2:],
        _HEAD[:18] + b"\xcb" + _HEAD[19:],
        _HEAD[:18] + b"\xff" + _HEAD[19:],
        _HEAD[:18] + b"\xcd\x01",
        _HEAD[:18] + b"\xcf" + b"\xff" * 8 + _HEAD[27:],
        _HEAD[:18] + b"\xcf" + AS_OF_MAX_MS.to_bytes(8, "big") + _HEAD[27:],
    ],
)
def test_a_header_that_is_none_is_no_newer_record(damaged: bytes, redis_url: str) -> None:
    async def work() -> None:
        store = open_store(redis_url=redis_url, store_path=Path(), key_prefix="decide:1")
        try:
            published = await store.publish_run([row("A", 5)], run_info(as_of_ms=5))
            stored, info = (await store.get_many(["A"]))[0], await store.run_info()
        finally:
            await store.close()
        assert (published.written, published.kept_newer) == (2, 0)
        assert raw_of(stored, "price") == raw_of(row("A", 5), "price")
        assert info is not None
        assert info.newest_as_of_ms == 5

    with redis.Redis.from_url(redis_url) as client:
        client.set("decide:1:{A}:price", damaged)
    asyncio.run(work())


@pytest.mark.parametrize("newest", ["", "junk", "nan", "inf", "-inf", "9" * 18, "1e30", "-1", str(AS_OF_MS + 1), "1"])
def test_a_damaged_run_hash_neither_halves_a_publication_nor_outlives_it(newest: str, redis_url: str) -> None:
    """What it says of the newest time is not believed; records, run and feed are written as ever, and the run is read again."""

    async def work() -> None:
        store = open_store(redis_url=redis_url, store_path=Path(), key_prefix="decide:1")
        try:
            await store.publish_run([row("A", run="r1")], run_info("r1"))
            position = await store.feed_position()
            with redis.Redis.from_url(redis_url) as client:
                client.hset("decide:1:run", "newest_as_of_ms", newest)
            published = await store.publish_run([row("A", run="r2")], run_info("r2"))
            changes, info = await store.changes(position, 0.0), await store.run_info()
        finally:
            await store.close()
        assert published.written == 2
        assert (changes.symbols, changes.lost) == (("A",), False)
        assert info == run_info("r2")

    asyncio.run(work())


@pytest.mark.parametrize("claimed_ms", [AS_OF_MS + _YEAR_MS, 1])
@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_no_time_but_a_records_is_the_newest(kind: str, claimed_ms: int, redis_url: str, tmp_path: Path) -> None:
    """Whatever a publication says of itself: servers that replay would else stand a year off all data."""

    async def work() -> None:
        store = open_store(redis_url=redis_url if kind == "redis" else "", store_path=tmp_path / "store", key_prefix="decide:1")
        try:
            newest = []
            for rows in [row("A"), row("B", AS_OF_MS - 5)], [row("B", AS_OF_MS - 4)]:
                await store.publish_run(rows, msgspec.structs.replace(run_info(), newest_as_of_ms=claimed_ms))
                info = await store.run_info()
                assert info is not None
                newest.append(info.newest_as_of_ms)
        finally:
            await store.close()
        assert newest == [AS_OF_MS, AS_OF_MS]

    asyncio.run(work())


def test_a_time_that_no_record_has_does_not_outlive_a_publication_beside_the_newest_record(redis_url: str) -> None:
    """A run that brings an older record alone must find the newest one, which it does not name."""

    async def work() -> None:
        store = open_store(redis_url=redis_url, store_path=Path(), key_prefix="decide:1")
        try:
            await store.publish_run([row("A"), row("B", AS_OF_MS - 5)], run_info("r1", symbols=2))
            expected = msgspec.structs.replace(run_info("r2", AS_OF_MS - 4, 2), newest_as_of_ms=AS_OF_MS)
            for newest, key in (
                (AS_OF_MS + _YEAR_MS, "decide:1:{A}:price"),
                (AS_OF_MS + _YEAR_MS, ""),
                (AS_OF_MS + _YEAR_MS, "decide:1:symbols"),
                (5, "decide:1:{A}:price"),
            ):
                with redis.Redis.from_url(redis_url) as client:
                    client.hset("decide:1:run", mapping={"newest_as_of_ms": newest, "newest_key": key})
                await store.publish_run([row("B", AS_OF_MS - 4)], run_info("r2", AS_OF_MS - 4))
                assert await store.run_info() == expected, (newest, key)
        finally:
            await store.close()

    asyncio.run(work())
