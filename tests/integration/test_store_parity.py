"""What both kinds of L2 must have in common where it is easy to differ, and that no tier changes a decision."""

import asyncio
from pathlib import Path

import msgspec
import pytest
import redis

from app.domain.policy import HYBRID_1, Decision, Policy
from app.domain.staleness import Limits
from app.errors import StoreEmpty
from app.store.opening import open_store
from app.store.protocol import Row, Store
from tests.integration.places import LiveStore, Place
from tests.kit.emptying import empty_store, remove_file
from tests.kit.house import House
from tests.kit.records import AS_OF_MS, agent_record, make_row, price_record, raw_of, replaced, row, run_info, tick
from tests.kit.servers import RedisServer

_DAY_MS = 86_400_000
_LIMITS = Limits(price_ms=4.0 * _DAY_MS, agents_ms=7.0 * _DAY_MS, input_ms=30.0 * _DAY_MS, half_life_ms=5.0 * _DAY_MS)


def test_reading_no_symbols_is_no_error(place: Place) -> None:
    async def work(store: Store) -> None:
        assert await store.get_many([]) == []

    place.run(work)


def test_publishing_nothing_changes_nothing(place: Place) -> None:
    async def work(store: Store) -> None:
        await store.publish_run([row("A")], run_info("r1"))
        position = await store.feed_position()
        published = await store.publish_run([], run_info("r2"))
        assert (published.written, published.kept_newer, published.pruned) == (0, 0, 0)
        info = await store.run_info()
        assert info is not None
        assert (info.run, await store.feed_position()) == ("r1", position)

    place.run(work)


@pytest.mark.parametrize(("newer", "older"), [(100, 99), (200, 100), (60_000, 300), (2**32 - 1, 2**16), (2**32, 2**32 - 1)])
def test_never_backwards_holds_for_times_of_every_size(newer: int, older: int, place: Place) -> None:
    """A time that msgpack writes in fewer bytes is a time all the same, and the next newer one replaces it."""

    async def work(store: Store) -> None:
        await store.publish_run([row("A", older, "r1")], run_info("r1", older))
        assert (await store.publish_run([row("A", newer, "r2")], run_info("r2", newer))).written == 2
        kept = await store.publish_run([row("A", older, "r3")], run_info("r3", older))
        assert (kept.written, kept.kept_newer) == (0, 2)
        assert raw_of((await store.get_many(["A"]))[0], "price") == raw_of(row("A", newer, "r2"), "price")

    place.run(work)


def test_a_symbol_named_twice_does_not_go_backwards(place: Place) -> None:
    old, new = row("A", AS_OF_MS, "old"), row("A", AS_OF_MS + 1, "new")
    crossed = [
        make_row(
            "B",
            AS_OF_MS + 1,
            raw_of(row("B", AS_OF_MS + 1, "new"), "price"),
            AS_OF_MS,
            raw_of(row("B", AS_OF_MS, "old"), "agents"),
        ),
        make_row(
            "B",
            AS_OF_MS,
            raw_of(row("B", AS_OF_MS, "old"), "price"),
            AS_OF_MS + 1,
            raw_of(row("B", AS_OF_MS + 1, "new"), "agents"),
        ),
    ]

    async def work(store: Store) -> None:
        position = await store.feed_position()
        published = await store.publish_run([new, old, *crossed], run_info())
        assert (published.written, published.kept_newer) == (5, 3)
        a, b = await store.get_many(["A", "B"])
        assert (raw_of(a, "price"), raw_of(a, "agents")) == (raw_of(new, "price"), raw_of(new, "agents"))
        assert (raw_of(b, "price"), raw_of(b, "agents")) == (
            raw_of(row("B", AS_OF_MS + 1, "new"), "price"),
            raw_of(row("B", AS_OF_MS + 1, "new"), "agents"),
        )
        assert (await store.changes(position, 0.05)).symbols == ("A", "B")

    place.run(work)


def test_a_history_is_replaced_exactly_when_its_price_record_is(place: Place) -> None:
    """Not by an older run, not by agents alone; by a price without one it is removed, and with its symbol."""
    old, new, same = row("A", AS_OF_MS - _DAY_MS, "r0"), row("A", AS_OF_MS, "r1"), row("A", AS_OF_MS, "r2")

    async def work(store: Store) -> None:
        first = await store.publish_run([new, row("B")], run_info("r1"))
        assert (first.written, await store.record("history", "A"), await store.record("history", "NOPE")) == (
            4,
            raw_of(new, "history"),
            None,
        )
        await store.publish_run([old], run_info("r0"))
        assert await store.record("history", "A") == raw_of(new, "history")
        agents_alone = replaced(same, price=None)
        assert (await store.publish_run([agents_alone], run_info("r2"))).written == 1
        assert await store.record("history", "A") == raw_of(new, "history")
        crossed = Row("A", dict(same.records) | {"agents": old.records["agents"]})
        published = await store.publish_run([crossed], run_info("r2"))
        assert (published.written, published.kept_newer, await store.record("history", "A")) == (1, 1, raw_of(same, "history"))
        await store.publish_run([replaced(same, history=None)], run_info("r2"))
        assert (await store.record("history", "A"), await store.record("history", "B")) == (None, raw_of(row("B"), "history"))
        await store.publish_run([row("A")], run_info("r3"), prune=True)
        assert (await store.record("history", "A"), await store.record("history", "B")) == (raw_of(row("A"), "history"), None)

    place.run(work)


def test_of_a_symbol_named_twice_the_history_is_that_of_the_price_that_stays(place: Place) -> None:
    old, new = row("A", AS_OF_MS, "old"), row("A", AS_OF_MS + 1, "new")
    crossed = [row("B", AS_OF_MS, "old"), replaced(row("B", AS_OF_MS + 1, "new"), history=None)]

    async def work(store: Store) -> None:
        await store.publish_run([new, old, *crossed], run_info())
        assert (await store.record("history", "A"), await store.record("history", "B")) == (raw_of(new, "history"), None)

    place.run(work)


def test_the_newest_time_is_that_of_all_runs_until_it_is_pruned(place: Place) -> None:
    """An older run beside a newer one does not turn the clock back; one that removes the newer symbols does."""

    async def newest(store: Store) -> tuple[str, int, int]:
        info = await store.run_info()
        assert info is not None
        return info.run, info.newest_as_of_ms, info.symbols

    async def work(store: Store) -> None:
        await store.publish_run([row("A", AS_OF_MS + _DAY_MS, "r1")], run_info("r1", AS_OF_MS + _DAY_MS))
        await store.publish_run([row("B", AS_OF_MS, "r2")], run_info("r2", AS_OF_MS))
        assert await newest(store) == ("r2", AS_OF_MS + _DAY_MS, 2)
        await store.publish_run([row("B", AS_OF_MS, "r3")], run_info("r3", AS_OF_MS), prune=True)
        assert await newest(store) == ("r3", AS_OF_MS, 1)

    place.run(work)


def test_data_that_came_and_went_between_two_looks_of_the_feed_are_lost(place: Place) -> None:
    """What was read meanwhile is not there. It is said once, and to the feed."""

    async def work(store: Store) -> None:
        position = await store.feed_position()
        assert not (await store.changes(position, 0.0)).lost
        await store.publish_run([row("A")], run_info("r1"))
        assert (await store.get_many(["A"]))[0].known
        empty_store(place.url, place.path)
        await store.changes_since(position)
        gone = await store.changes(position, 0.0)
        assert (gone.lost, gone.symbols) == (True, ())
        with pytest.raises(StoreEmpty):
            await store.get_many(["A"])
        assert not (await store.changes(gone.last_id, 0.0)).lost

    place.run(work)


def test_a_redis_that_has_lost_its_feed_alone_does_not_lose_it_again_with_every_look(redis_server: RedisServer) -> None:
    """Its records are still there, and are read; when they are gone too, that is said."""

    async def work() -> None:
        store = open_store(redis_url=redis_server.url, store_path=Path(), key_prefix="decide:1", read_timeout_s=5)
        await store.publish_run([row("A")], run_info("r1"))
        position = await store.feed_position()
        with redis.Redis.from_url(redis_server.url) as client:
            client.delete("decide:1:changes")
            gone = await store.changes(position, 0.0)
            assert (gone.lost, gone.last_id) == (True, "0-0")
            for _ in range(2):
                assert (await store.get_many(["A"]))[0].known
                assert not (await store.changes(gone.last_id, 0.0)).lost
            client.flushall()
        assert (await store.changes(gone.last_id, 0.0)).lost
        assert not (await store.changes(gone.last_id, 0.0)).lost
        await store.close()

    asyncio.run(work())


def test_a_feed_that_was_emptied_says_so_without_a_new_entry(place: Place) -> None:
    """Whoever has not read the removed entries learns that they are lost at once, not with the next publication."""

    async def work(store: Store) -> None:
        await store.publish_run([row("A")], run_info("r1"))
        position = await store.feed_position()
        await store.publish_run([row("B")], run_info("r2"))
        place.forget_changes()
        assert (await store.changes(position, 0.05)).lost

    place.run(work)


def test_what_was_trimmed_before_a_reader_saw_anything_is_lost_too(place: Place) -> None:
    """A reader that began on an empty feed is told, though it has no position that could be gone."""

    async def work(store: Store) -> None:
        position = await store.feed_position()
        await store.publish_run([row("A")], run_info("r1"))
        place.forget_changes()
        await store.publish_run([row("B")], run_info("r2"))
        assert (await store.changes(position, 0.05)).lost

    place.run(work)


def test_a_sqlite_file_that_was_made_anew_is_noticed(tmp_path: Path) -> None:
    """It is deleted under an open store."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = open_store(redis_url="", store_path=path, key_prefix="decide:1")
        other = open_store(redis_url="", store_path=path, key_prefix="decide:1")
        await store.publish_run([row("A")], run_info("r1"))
        await store.publish_run([row("A")], run_info("r2"))
        position = await store.feed_position()
        assert not (await store.changes(position, 0.0)).lost
        remove_file(path)
        gone = await store.changes(position, 0.05)
        assert (gone.lost, gone.last_id) == (True, "0")
        with pytest.raises(StoreEmpty):
            await store.get_many(["A"])
        await other.close()
        other = open_store(redis_url="", store_path=path, key_prefix="decide:1")
        await other.publish_run([row("B")], run_info("r3"))
        assert (await store.changes(gone.last_id, 0.05)).symbols == ("B",)
        assert [each.known for each in await store.get_many(["A", "B"])] == [False, True]
        await store.close()
        await other.close()

    asyncio.run(work())


def test_a_sqlite_file_that_was_made_anew_is_read_at_once_and_the_feed_still_tells(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = open_store(redis_url="", store_path=path, key_prefix="decide:1")
        await store.publish_run([row("A", run="bad")], run_info("bad"))
        position = await store.feed_position()
        assert raw_of((await store.get_many(["A"]))[0], "price") == raw_of(row("A", run="bad"), "price")
        remove_file(path)
        other = open_store(redis_url="", store_path=path, key_prefix="decide:1")
        await other.publish_run([row("A", run="right")], run_info("right"))
        assert raw_of((await store.get_many(["A"]))[0], "price") == raw_of(row("A", run="right"), "price")
        info = await store.run_info()
        assert info is not None
        assert (info.run, (await store.changes_since(position)).lost) == ("right", True)
        gone = await store.changes(position, 0.0)
        assert (gone.lost, gone.symbols) == (True, ())
        assert not (await store.changes(gone.last_id, 0.0)).lost
        await other.publish_run([row("B")], run_info("r3"))
        assert (await store.changes(gone.last_id, 0.05)).symbols == ("B",)
        await store.close()
        await other.close()

    asyncio.run(work())


def test_a_loss_is_said_as_often_as_it_is_asked_about(place: Place) -> None:
    """A reader whose first answer went astray is not told that all is well the second time."""

    async def work(store: Store) -> None:
        await store.publish_run([row("A")], run_info())
        ahead = "99999999999999-0" if place.url else "1000"
        assert [(await store.changes(ahead, 0.05)).lost for _ in range(2)] == [True, True]

    place.run(work)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_long_read_never_falls_between_two_publications(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    place = Place(request.getfixturevalue("redis_url") if kind == "redis" else "", tmp_path / "store.sqlite3")
    names = [f"SYM{number:06}" for number in range(2000)]
    everything, little = [row(name) for name in names], [row("OTHER")]

    async def work(store: Store) -> None:
        publisher = place.open()
        await publisher.publish_run(everything, run_info("r"))

        async def publish() -> None:
            for number in range(12):
                await publisher.publish_run(little if number % 2 else everything, run_info(f"r{number}"), prune=True)

        publishing = asyncio.create_task(publish())
        seen: set[frozenset[tuple[bool, bool, bool]]] = set()
        while not publishing.done():
            found = await store.get_many(names)
            seen.add(frozenset((each.known, "price" in each.records, "agents" in each.records) for each in found))
        await publishing
        await publisher.close()
        assert seen <= {frozenset({(True, True, True)}), frozenset({(False, False, False)})}

    place.run(work)


async def _decisions(store: Store, symbols: list[str], now_ms: int) -> dict[str, list[Decision]]:
    """What is decided on what L2 gives, and then on what L1 kept of it."""
    tiers = House(over=store).tiers
    policy = Policy(HYBRID_1, _LIMITS)
    decided: dict[str, list[Decision]] = {}
    for tier in ("l2", "l1"):
        found = await tiers.fetch_many(symbols, 30.0)
        assert {each.tier for each in found} == {tier}
        evidence = [each.evidence for each in found if each.evidence is not None]
        assert len(evidence) == len(symbols)
        decided[f"{store.kind} {tier}"] = [
            policy.decide(each, now_ms, price=price) for each in evidence for price in (None, 101.3)
        ]
    await tiers.close()
    return decided


def test_every_tier_gives_the_same_decision_bit_for_bit(tmp_path: Path, redis_url: str) -> None:
    symbols = [f"S{number}" for number in range(20)]
    rows = [row(symbol, AS_OF_MS - number * _DAY_MS) for number, symbol in enumerate(symbols)]
    rows += [replaced(row("HALF"), agents=None), replaced(row("QUIET"), price=None)]
    trades = [
        tick(each, AS_OF_MS + _DAY_MS - 40_000 * at, f"{99 + at}.000{at}") for at, each in enumerate([*symbols[:9], "HALF"])
    ]
    decided: dict[str, list[Decision]] = {}

    async def work(store: LiveStore) -> None:
        await store.publish_run(rows, run_info(symbols=len(rows)))
        await store.upsert(trades)
        decided.update(await _decisions(store, [each.symbol for each in rows], AS_OF_MS + _DAY_MS))

    Place("", tmp_path / "store.sqlite3").run(work)
    Place(redis_url, tmp_path / "unused").run(work)
    assert sorted(decided) == ["redis l1", "redis l2", "sqlite l1", "sqlite l2"]
    first = decided["sqlite l2"]
    assert first[0].judged.price == price_record("S0")
    assert first[0].judged.agents == agent_record("S0")
    assert {each.judged.tick_unused for each in first} == {None, "stale", "price_given"}
    bits = {name: [msgspec.msgpack.encode(each) for each in decisions] for name, decisions in decided.items()}
    assert {name: each for name, each in bits.items() if each != bits["sqlite l2"]} == {}
    assert len({each.score for each in first}) > 2
