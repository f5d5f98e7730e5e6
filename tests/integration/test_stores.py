"""One suite for both kinds of L2: a real SQLite file and a real Redis."""

import asyncio
from dataclasses import replace
from typing import TypeVar

import pytest
import redis

from app.domain.records import PRICE
from app.errors import StoreEmpty
from app.store.codec import decode
from app.store.protocol import UNKNOWN, Store
from tests.integration.places import Place
from tests.kit.records import AS_OF_MS, make_row, raw_of, replaced, row, run_info, stored

T = TypeVar("T")
_DAY_MS = 86_400_000


@pytest.fixture
def place(place: Place) -> Place:
    """In a folder that is not there yet."""
    return replace(place, path=place.path.parent / "deep" / place.path.name)


def test_the_url_decides_the_kind(place: Place) -> None:
    async def kind(store: Store) -> str:
        return store.kind

    assert place.run(kind) == ("redis" if place.url else "sqlite")


def test_an_empty_store_knows_nothing(place: Place) -> None:
    """It does not say that a symbol is unknown, for it knows no universe."""

    async def work(store: Store) -> None:
        await store.ping()
        assert await store.run_info() is None
        assert await store.symbols() == []
        with pytest.raises(StoreEmpty):
            await store.get_many(["AAPL"])
        changes = await store.changes(await store.feed_position(), 0.01)
        assert (changes.symbols, changes.lost) == ((), False)

    place.run(work)


def test_what_was_published_is_read_in_the_order_asked_for(place: Place) -> None:
    rows = [row("B"), replaced(row("A"), agents=None), replaced(row("C"), price=None)]

    async def work(store: Store) -> None:
        published = await store.publish_run(rows, run_info("r1", symbols=3))
        assert (published.written, published.kept_newer, published.pruned) == (4, 0, 0)
        c, nope, a, b = await store.get_many(["C", "NOPE", "A", "B"])
        assert (b.known, raw_of(b, "price"), raw_of(b, "agents")) == (True, raw_of(rows[0], "price"), raw_of(rows[0], "agents"))
        assert (a.known, raw_of(a, "price"), raw_of(a, "agents")) == (True, raw_of(rows[1], "price"), None)
        assert (c.known, raw_of(c, "price"), raw_of(c, "agents")) == (True, None, raw_of(rows[2], "agents"))
        assert nope == UNKNOWN
        assert await store.symbols() == ["A", "B", "C"]
        info = await store.run_info()
        assert info is not None
        assert (info.run, info.symbols, info.newest_as_of_ms, info.bars, info.bytes) == ("r1", 3, AS_OF_MS, 100, 1000)

    place.run(work)


def test_an_older_record_never_replaces_a_newer_one(place: Place) -> None:
    older = row("A", AS_OF_MS - _DAY_MS, "r0")
    newer = row("A", AS_OF_MS + _DAY_MS, "r2")
    mixed = make_row(
        "A", older.records["price"].as_of_ms, raw_of(older, "price"), newer.records["agents"].as_of_ms, raw_of(newer, "agents")
    )

    async def work(store: Store) -> None:
        first = row("A", run="r1")
        await store.publish_run([first], run_info("r1"))
        kept = await store.publish_run([older], run_info("r0", AS_OF_MS - _DAY_MS))
        assert (kept.written, kept.kept_newer) == (0, 2)
        info = await store.run_info()
        assert info is not None
        assert info.run == "r1"
        published = await store.publish_run([mixed], run_info("r2", AS_OF_MS))
        assert (published.written, published.kept_newer) == (1, 1)
        stored = (await store.get_many(["A"]))[0]
        assert (raw_of(stored, "price"), raw_of(stored, "agents")) == (raw_of(first, "price"), raw_of(newer, "agents"))
        info = await store.run_info()
        assert info is not None
        assert (info.run, info.symbols) == ("r2", 1)
        assert info.newest_as_of_ms >= AS_OF_MS

    place.run(work)


def test_a_record_of_the_same_time_replaces_the_stored_one(place: Place) -> None:
    """A corrected run can be published again."""

    async def work(store: Store) -> None:
        await store.publish_run([row("A", run="r1")], run_info("r1"))
        published = await store.publish_run([row("A", run="r2")], run_info("r2"))
        assert published.written == 2
        assert raw_of((await store.get_many(["A"]))[0], "price") == raw_of(row("A", run="r2"), "price")

    place.run(work)


def test_prune_removes_what_the_run_does_not_name(place: Place) -> None:
    async def work(store: Store) -> None:
        await store.publish_run([row("A"), row("B")], run_info())
        await store.publish_run([row("C")], run_info("r2"))
        assert await store.symbols() == ["A", "B", "C"]
        position = await store.feed_position()
        published = await store.publish_run([row("C")], run_info("r3"), prune=True)
        assert published.pruned == 2
        assert await store.get_many(["A", "B"]) == [UNKNOWN, UNKNOWN]
        assert await store.symbols() == ["C"]
        assert set((await store.changes(position, 0.01)).symbols) == {"A", "B", "C"}

    place.run(work)


def test_the_feed_gives_each_change_once_from_where_it_is_asked(place: Place) -> None:
    async def work(store: Store) -> None:
        await store.publish_run([row("Z")], run_info("r0"))
        start = await store.feed_position()
        await store.publish_run([row("A"), row("B")], run_info("r1"))
        first = await store.changes(start, 1)
        assert (first.symbols, first.lost) == (("A", "B"), False)
        await store.publish_run([row("B")], run_info("r2"))
        await store.publish_run([row("B"), row("C")], run_info("r3"))
        second = await store.changes(first.last_id, 1)
        assert (second.symbols, second.lost) == (("B", "C"), False)
        assert second.last_id == await store.feed_position()
        nothing = await store.changes(second.last_id, 0.05)
        assert (nothing.symbols, nothing.lost, nothing.last_id) == ((), False, second.last_id)
        assert (await store.changes(start, 1)).symbols == ("A", "B", "C")

    place.run(work)


def test_a_waiting_reader_is_woken_by_another_connections_publication(place: Place) -> None:
    async def work(store: Store) -> None:
        start = await store.feed_position()
        waiting = asyncio.create_task(store.changes(start, 60))
        await asyncio.sleep(0.05)
        other = place.open()
        await other.publish_run([row("A")], run_info())
        await other.close()
        assert (await asyncio.wait_for(waiting, 10)).symbols == ("A",)

    place.run(work)


def test_a_trimmed_feed_says_that_entries_are_lost(place: Place) -> None:
    async def work(store: Store) -> None:
        await store.publish_run([row("A")], run_info("r1"))
        position = await store.feed_position()
        await store.publish_run([row("B")], run_info("r2"))
        place.forget_changes()
        await store.publish_run([row("C")], run_info("r3"))
        changes = await store.changes(position, 0.05)
        assert changes.lost
        after = await store.changes(changes.last_id, 0.05)
        assert (after.symbols, after.lost) == ((), False)

    place.run(work)


def test_a_feed_that_starts_over_says_that_entries_are_lost(place: Place) -> None:
    """A position the store never gave out is that of another store."""

    async def work(store: Store) -> None:
        await store.publish_run([row("A")], run_info("r1"))
        ahead = "1000" if not place.url else "99999999999999-0"
        changes = await store.changes(ahead, 0.05)
        assert (changes.lost, changes.last_id) == (True, await store.feed_position())

    place.run(work)


def test_a_bulk_change_comes_whole(place: Place) -> None:
    rows = [row(f"S{number}") for number in range(2500)]

    async def work(store: Store) -> None:
        start = await store.feed_position()
        published = await store.publish_run(rows, run_info(symbols=2500))
        assert published.written == 5000
        changes = await store.changes(start, 1)
        assert changes.symbols == tuple(each.symbol for each in rows)
        assert changes.last_id == published.change_id == await store.feed_position()
        assert await store.symbols() == sorted(each.symbol for each in rows)
        assert all(raw_of(stored, "price") for stored in await store.get_many([each.symbol for each in rows]))

    place.run(work)


def test_a_long_feed_is_read_in_parts(place: Place) -> None:
    async def work(store: Store) -> None:
        start = await store.feed_position()
        for number in range(120):
            await store.publish_run([row(f"S{number}")], run_info(f"r{number}"))
        first = await store.changes(start, 0.05)
        second = await store.changes(first.last_id, 0.05)
        assert first.symbols + second.symbols == tuple(f"S{number}" for number in range(120))
        assert len(first.symbols) == 100
        assert (await store.changes(second.last_id, 0.05)).symbols == ()

    place.run(work)


def test_a_reader_sees_whole_runs_only(place: Place) -> None:
    symbols = [f"S{number}" for number in range(50)]

    async def work(store: Store) -> None:
        publisher = place.open()
        await publisher.publish_run([row(symbol, run="r0") for symbol in symbols], run_info("r0"))

        async def publish() -> None:
            for number in range(1, 21):
                await publisher.publish_run([row(symbol, run=f"r{number}") for symbol in symbols], run_info(f"r{number}"))

        publishing = asyncio.create_task(publish())
        seen = set()
        while not publishing.done():
            found = await store.get_many(symbols)
            runs = {decode(PRICE, raw_of(each, "price") or b"", symbol).run for each, symbol in zip(found, symbols, strict=True)}
            assert len(runs) == 1
            seen |= runs
        await publishing
        await publisher.close()
        assert len(seen) > 1

    place.run(work)


def test_a_damaged_record_does_not_stand_in_the_way_of_a_new_one(place: Place) -> None:
    async def work(store: Store) -> None:
        await store.publish_run([row("A")], run_info("r1"))
        if place.url:
            with redis.Redis.from_url(place.url) as client:
                client.set("decide:1:{A}:price", b"\x97\xb0 nothing like a record")
                client.delete("decide:1:{A}:agents")
                client.lpush("decide:1:{A}:agents", "a list")
        published = await store.publish_run([row("A", AS_OF_MS, "r2")], run_info("r2"))
        assert (published.written, published.kept_newer) == (2, 0)
        assert (await store.get_many(["A"]))[0] == stored(
            raw_of(row("A", run="r2"), "price"), raw_of(row("A", run="r2"), "agents")
        )

    place.run(work)
