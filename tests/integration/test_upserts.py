"""Records that are written by themselves, on both stores: what is there afterwards, what the feed says, and what is refused."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from app.domain.records import HISTORY, KINDS
from app.domain.vector import AS_OF_MAX_MS
from app.errors import RunDamaged, StoreEmpty
from app.store.codec import decode, encode
from app.store.protocol import VALUE_MAX_BYTES, VALUES_A_CHANGE, Record
from app.store.sqlite import EmbeddedStore
from tests.integration.places import LiveStore, Place
from tests.integration.upserting import KINDS_HERE, MODEL, ModelRecord, model, price
from tests.kit.house import House
from tests.kit.moods import MOOD, SCHEMA, MoodRecord, mood, mood_record
from tests.kit.records import AS_OF_MS, history_record, raw_of, row, run_info, tick, tick_record


@pytest.fixture
def place(place: Place) -> Place:
    """It knows the made-up kinds."""
    return replace(place, kinds=KINDS_HERE)


def test_a_record_is_read_as_it_was_upserted_and_its_change_carries_it(place: Place) -> None:
    """A symbol that is new is named besides, so that whoever remembers that there is none forgets it."""

    async def work(store: LiveStore) -> None:
        await store.publish_run([row("Z")], run_info("r1"))
        start = await store.feed_position()
        assert await store.upsert([mood("A", mood=0.1)]) == (1, 0)
        (found,) = await store.get_many(["A"])
        assert (found.known, found.records) == (True, {"mood": mood("A", mood=0.1).value})
        assert await store.symbols() == ["A", "Z"]
        first = await store.changes(start, 0.0)
        assert (first.symbols, first.values, first.lost, first.more) == (("A",), (mood("A", mood=0.1),), False, False)
        assert await store.upsert([mood("A", AS_OF_MS + 1, mood=0.2)]) == (1, 0)
        second = await store.changes(first.last_id, 0.0)
        assert (second.symbols, second.values, second.lost) == ((), (mood("A", AS_OF_MS + 1, mood=0.2),), False)
        assert second.last_id == await store.feed_position()
        last = await store.changes(second.last_id, 0.0)
        assert (last.symbols, last.values, last.lost, last.last_id) == ((), (), False, second.last_id)
        both = await store.changes_since(start)
        assert (both.symbols, both.values, both.lost) == (("A",), first.values + second.values, False)

    place.run(work)


def test_both_stores_hold_last_trades_and_their_changes_bring_them_to_memory(place: Place) -> None:
    """To the microsecond, and with the digits that the venue wrote; one that is older never comes back."""
    place = replace(place, kinds=KINDS)

    async def work(store: LiveStore) -> None:
        house = House(over=store)
        await store.publish_run([row("A")], run_info("r1"))
        await house.feed.step()
        assert (await house.read("A")).records[2] is None
        newest = tick("A", AS_OF_MS, "0.000000010203", micros=900)
        assert await store.upsert([tick("A", AS_OF_MS, "1"), newest, tick("A", AS_OF_MS, "2", micros=899)]) == (2, 1)
        await house.feed.step()
        entry = house.hit("A")
        assert entry is not None
        assert entry.evidence.records[2] == tick_record("A", AS_OF_MS, "0.000000010203", micros=900)
        assert (await store.get_many(["A"]))[0].records["tick"] == newest.value
        assert (await store.withdraw(symbols=["A"])).records == {"price": 1, "agents": 1, "tick": 1}
        await house.feed.step()
        assert house.hit("A") is None

    place.run(work)


def test_no_record_goes_back_by_time_and_sequence(place: Place) -> None:
    """One that is as new as the stored one takes its place."""

    async def work(store: LiveStore) -> None:
        await store.upsert([mood("A", AS_OF_MS, 5, 0.5)])
        position = await store.feed_position()
        assert await store.upsert([mood("A", AS_OF_MS, 4, 0.4), mood("A", AS_OF_MS - 1, 9, 0.3)]) == (0, 2)
        assert await store.feed_position() == position
        newer = [mood("A", AS_OF_MS, 5, 0.6), mood("A", AS_OF_MS, 6, 0.7), mood("A", AS_OF_MS + 1, 0, 0.8)]
        assert await store.upsert([*newer, mood("A", AS_OF_MS, 7, 0.1)]) == (3, 1)
        assert (await store.changes(position, 0.0)).values[-1] == newer[-1]
        assert (await store.get_many(["A"]))[0].records == {"mood": newer[-1].value}

    place.run(work)


@pytest.mark.parametrize("sequence", [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1])
def test_sequences_of_every_size_are_ordered(sequence: int, place: Place) -> None:
    """However many bytes they take; and so whatever the length of the run's name before it."""

    async def work(store: LiveStore) -> None:
        assert await store.upsert([mood("A", AS_OF_MS, sequence)]) == (1, 0)
        if sequence:
            assert await store.upsert([mood("A", AS_OF_MS, sequence - 1)]) == (0, 1)
        assert await store.upsert([mood("A", AS_OF_MS, sequence)]) == (1, 0)
        for run in ("r" * 31, "r" * 32, "r" * 200):
            named = msgspec.structs.replace(mood_record("A", AS_OF_MS, sequence), run=run)
            assert await store.upsert([Record("mood", "A", encode(named))]) == (1, 0)
            if sequence:
                assert await store.upsert([mood("A", AS_OF_MS, sequence - 1)]) == (0, 1)

    place.run(work)


def test_records_that_changes_do_not_carry_are_named_and_read_again(place: Place) -> None:
    async def work(store: LiveStore) -> None:
        await store.publish_run([row("A")], run_info("r1"))
        position = await store.feed_position()
        later = AS_OF_MS + 1
        history = encode(history_record("A", later, ""))
        assert await store.upsert([price("A", later), Record("history", "A", history)]) == (1, 0)
        changes = await store.changes(position, 0.0)
        assert (changes.symbols, changes.values) == (("A",), ())
        (found,) = await store.get_many(["A"])
        assert found.records == {"price": price("A", later).value, "agents": raw_of(row("A"), "agents")}
        assert await store.record("history", "A") == history
        old = Record("history", "A", encode(history_record("A", AS_OF_MS, "")))
        assert await store.upsert([old, price("A", AS_OF_MS)]) == (0, 1)
        assert await store.record("history", "A") == history
        assert await store.upsert([price("A", later + 1)]) == (1, 0)
        assert await store.record("history", "A") is None

    place.run(work)


def test_global_records_are_kept_by_name_and_are_no_symbols(place: Place) -> None:
    async def work(store: LiveStore) -> None:
        start = await store.feed_position()
        assert await store.upsert([model("volatility:1", 5, 0.5), model("volatility:2", 6, 0.6)]) == (2, 0)
        assert await store.upsert([model("volatility:2", 5, 0.7)]) == (0, 1)
        assert await store.record("model", "volatility:2") == model("volatility:2", 6, 0.6).value
        assert await store.record("model", "none") is None
        assert (await store.changes(start, 0.0)).symbols == ("model:volatility:1", "model:volatility:2")
        assert await store.symbols() == []

    place.run(work)


def test_an_upsert_changes_no_run_and_prune_leaves_what_no_run_brought(place: Place) -> None:
    """What changes carry goes with a symbol that is pruned, and the feed says so."""

    async def work(store: LiveStore) -> None:
        await store.publish_run([row("A"), row("B")], run_info("r1"))
        before = await store.run_info()
        await store.upsert([mood("B"), mood("C"), price("D", AS_OF_MS + 9)])
        assert await store.run_info() == before
        position = await store.feed_position()
        assert (await store.publish_run([row("A", run="r2")], run_info("r2"), prune=True)).pruned == 1
        assert await store.symbols() == ["A", "C", "D"]
        changes = await store.changes(position, 0.0)
        assert (changes.symbols, changes.withdrawn, changes.values) == (("A", "B"), ("B",), (Record("mood", "B", b""),))
        await store.publish_run([row("C", run="r3"), row("A", run="r3")], run_info("r3"))
        assert (await store.publish_run([row("A", run="r4")], run_info("r4"), prune=True)).pruned == 1
        assert await store.symbols() == ["A", "D"]

    place.run(work)


def test_a_store_that_holds_any_record_is_published(place: Place) -> None:
    async def work(store: LiveStore) -> None:
        with pytest.raises(StoreEmpty):
            await store.get_many(["A"])
        assert await store.run_info() is None
        await store.upsert([mood("A", AS_OF_MS), mood("B", AS_OF_MS + 5)])
        assert [each.known for each in await store.get_many(["A", "Z"])] == [True, False]
        info = await store.run_info()
        assert info is not None
        assert (info.run, info.newest_as_of_ms, info.symbols, info.bars, info.bytes) == ("", AS_OF_MS + 5, 2, 0, 0)
        assert info.warmed_at_ms > AS_OF_MS
        await store.publish_run([row("A")], run_info("r1"))
        info = await store.run_info()
        assert info is not None
        assert info.run == "r1"

    place.run(work)


def test_what_is_taken_back_may_come_again_however_old(place: Place) -> None:
    async def work(store: LiveStore) -> None:
        await store.upsert([mood("A", AS_OF_MS + 5), mood("B"), price("A", AS_OF_MS)])
        position = await store.feed_position()
        done = await store.withdraw(symbols=("A", "Z"))
        assert (done.symbols, done.records["mood"], done.records["price"], done.unknown) == (("A",), 1, 1, ("Z",))
        assert (done.runs, done.symbols_left) == ((), 1)
        assert await store.upsert([mood("A", AS_OF_MS)]) == (1, 0)
        changes = await store.changes(position, 0.0)
        assert (set(changes.symbols), changes.withdrawn) == ({"A"}, ("A",))
        assert changes.values == (Record("mood", "A", b""), mood("A", AS_OF_MS))
        assert await store.symbols() == ["A", "B"]

    place.run(work)


def test_many_records_come_in_entries_of_which_none_is_too_long(place: Place) -> None:
    async def work(store: LiveStore) -> None:
        count = 101 * VALUES_A_CHANGE
        await store.publish_run([row("Z")], run_info("r1"))
        position = await store.feed_position()
        records = [mood(f"S{number}", mood=number / count) for number in range(count)]
        for first in range(0, count, 5000):
            await store.upsert(records[first : first + 5000])
        values: list[Record] = []
        for _ in range(200):
            changes = await store.changes(position, 0.0)
            assert not changes.lost
            values += changes.values
            position = changes.last_id
            if not changes.more:
                break
        assert values == records

    place.run(work)


def test_many_records_of_the_greatest_length_are_read_in_parts_and_none_is_lost(place: Place) -> None:
    async def work(store: LiveStore) -> None:
        await store.publish_run([row("Z")], run_info("r1"))
        position = await store.feed_position()
        names = [f"S{number}" for number in range(600)]
        parts = [(SCHEMA, AS_OF_MS, AS_OF_MS, "", 0, name, 0.5, b"x" * (VALUE_MAX_BYTES - 100)) for name in names]
        await store.upsert([Record("mood", part[5], msgspec.msgpack.encode(part)) for part in parts])
        found: list[str] = []
        more = True
        while more:
            changes = await store.changes(position, 0.0)
            assert not changes.lost
            found += [each.key for each in changes.values]
            position, more = changes.last_id, changes.more
        assert found == names

    place.run(work)


def test_a_reader_who_is_left_behind_is_told_and_one_at_the_end_is_not(place: Place) -> None:
    """Changes with values go by their time, and whoever had read them all has lost nothing by that."""

    async def work(store: LiveStore) -> None:
        await store.upsert([mood("A", AS_OF_MS)])
        behind = await store.feed_position()
        await store.upsert([mood("A", AS_OF_MS + 1)])
        at_end = await store.feed_position()
        place.write("DELETE FROM value_changes", "XTRIM", "decide:1:values", "MAXLEN", "0")
        assert not (await store.changes(at_end, 0.0)).lost
        await store.upsert([mood("A", AS_OF_MS + 2)])
        changes = await store.changes(at_end, 0.0)
        assert (changes.lost, changes.values) == (False, (mood("A", AS_OF_MS + 2),))
        assert (await store.changes(behind, 0.0)).lost
        assert (await store.changes_since(behind)).lost

    place.run(work)


@pytest.mark.parametrize("before", [0, 1])
def test_a_reader_is_told_that_all_that_it_has_not_read_is_gone(before: int, place: Place) -> None:
    async def work(store: LiveStore) -> None:
        await store.publish_run([row("A")], run_info())
        for number in range(before):
            await store.upsert([mood("A", AS_OF_MS + number)])
        behind = await store.feed_position()
        await store.upsert([mood("A", AS_OF_MS + 9)])
        place.write("DELETE FROM value_changes", "XTRIM", "decide:1:values", "MAXLEN", "0")
        found = await store.changes(behind, 0.0)
        assert (found.lost, found.values) == (True, ())
        assert not (await store.changes(found.last_id, 0.0)).lost

    place.run(work)


def test_changes_with_values_go_after_a_minute(place: Place) -> None:
    """By time and not by count, when the next one comes."""
    if place.url:
        pytest.skip("Redis' clock is its own; it trims whole nodes of a hundred entries, by the same bound")

    async def work(store: LiveStore) -> None:
        for number in range(5):
            await store.upsert([mood("A", AS_OF_MS + number)])
        place.write("UPDATE value_changes SET at_ms = at_ms - 61000 WHERE id < 4")
        await store.upsert([mood("A", AS_OF_MS + 9)])
        connection = sqlite3.connect(place.path)
        assert [row[0] for row in connection.execute("SELECT id FROM value_changes")] == [4, 5, 6]
        connection.close()

    place.run(work)


@pytest.mark.parametrize(
    ("statement", "command"),
    [
        ("UPDATE value_changes SET records = x'c1'", ("XADD", "decide:1:values", "*", "rubbish", "1")),
        ("UPDATE value_changes SET records = 'text'", ("XADD", "decide:1:values", "*", b"\xff \xff", "1")),
    ],
)
def test_an_entry_that_is_none_of_ours_may_have_said_anything(statement: str, command: tuple[str, ...], place: Place) -> None:
    async def work(store: LiveStore) -> None:
        position = await store.feed_position()
        await store.upsert([mood("A")])
        place.write(statement, *command)
        changes = await store.changes(position, 0.0)
        assert (changes.lost, changes.values) == (True, ())
        await store.upsert([mood("A", AS_OF_MS + 1)])
        after = await store.changes(changes.last_id, 0.0)
        assert after.values == (mood("A", AS_OF_MS + 1),)

    place.run(work)


def test_what_stands_in_a_record_s_place_and_is_none_is_replaced(place: Place) -> None:
    async def work(store: LiveStore) -> None:
        for rubbish in ("", "rubbish", "x" * 400):
            await store.upsert([mood("A")])
            statement = f"UPDATE recent_moods SET mood = CAST('{rubbish}' AS BLOB)"  # noqa: S608 - three texts of ours
            place.write(statement, "SET", "decide:1:{A}:mood", rubbish)
            assert await store.upsert([mood("A", AS_OF_MS - 1)]) == (1, 0)
            place.write("DELETE FROM recent_moods", "DEL", "decide:1:{A}:mood")

    place.run(work)


def test_an_upsert_of_nothing_changes_nothing(place: Place) -> None:
    async def work(store: LiveStore) -> None:
        assert await store.upsert([]) == (0, 0)
        assert await store.run_info() is None

    place.run(work)


def test_the_records_that_were_upserted_can_be_decoded() -> None:
    record = decode(MOOD, mood("A", AS_OF_MS, 3, -0.5).value, "A")
    assert record == MoodRecord(MOOD.schema, AS_OF_MS, AS_OF_MS + 1000, "", 3, "A", -0.5)
    assert HISTORY.part_of == "price"


def test_a_file_of_an_earlier_version_has_newer_kinds_added(tmp_path: Path) -> None:
    """Those that runs write are columns of its rows. What stands there stays; two may find it so at once."""
    path = tmp_path / "store.sqlite3"
    scores = KINDS_HERE.adding(replace(MODEL, name="score", plural="scores", scope="symbol"))

    async def work() -> None:
        old = EmbeddedStore(path)
        await old.publish_run([row("A")], run_info("r1"))
        await old.close()
        stores = [EmbeddedStore(path, kinds=scores) for _ in range(2)]
        found = await asyncio.gather(*(store.get_many(["A"]) for store in stores))
        assert [set(each[0].records) for each in found] == [{"price", "agents"}] * 2
        raw = encode(ModelRecord(MODEL.schema, AS_OF_MS, AS_OF_MS, "r2", 0.5))
        assert await stores[0].upsert([Record("score", "A", raw)]) == (1, 0)
        assert await stores[1].record("score", "A") == raw
        for store in stores:
            await store.close()

    asyncio.run(work())


def test_a_value_of_a_symbol_that_is_not_there_is_nobody_s(place: Place) -> None:
    """As every record whose symbol is not in the universe."""

    async def work(store: LiveStore) -> None:
        await store.publish_run([row("Z")], run_info("r1"))
        await store.upsert([mood("A")])
        place.write("DELETE FROM records WHERE symbol = 'A'", "DEL", "decide:1:{A}:mood")
        place.write("DELETE FROM upserted", "SREM", "decide:1:symbols", "A")
        assert [each.known for each in await store.get_many(["A"])] == [False]

    place.run(work)


def test_a_stored_record_whose_time_none_can_have_is_replaced(place: Place) -> None:
    """It would else be the newest for ever."""

    async def work(store: LiveStore) -> None:
        await store.upsert([mood("A")])
        raw = mood("A", AS_OF_MAX_MS).value
        place.write(f"UPDATE recent_moods SET mood = x'{raw.hex()}'", "SET", "decide:1:{A}:mood", raw)  # noqa: S608 - digits
        assert await store.upsert([mood("A", AS_OF_MS - 1)]) == (1, 0)

    place.run(work)


def test_what_stands_in_the_place_of_upserts_and_is_none_of_ours_is_an_error(place: Place) -> None:
    async def work(store: LiveStore) -> None:
        await store.upsert([mood("A")])
        place.write("UPDATE upserts SET at_ms = -1", "HSET", "decide:1:upserts", "at_ms", "x")
        with pytest.raises(RunDamaged):
            await store.run_info()

    place.run(work)
