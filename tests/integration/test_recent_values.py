"""Values that change often, of more symbols than SQLite keeps in its short table."""

from dataclasses import replace

import pytest

from app.store.sqlite_values import RECENT_MAX
from tests.integration.places import LiveStore, Place
from tests.integration.upserting import KINDS_HERE
from tests.kit.moods import mood
from tests.kit.records import AS_OF_MS


@pytest.fixture
def place(place: Place) -> Place:
    """It knows the made-up kinds."""
    return replace(place, kinds=KINDS_HERE)


def test_of_more_symbols_than_change_lately_each_has_its_newest_record(place: Place) -> None:
    """On SQLite they lie in two tables, and which one has the newest differs."""

    async def work(store: LiveStore) -> None:
        names, newest = [f"S{number}" for number in range(RECENT_MAX + 1)], dict[str, bytes]()
        rounds = [names[:RECENT_MAX], names[-1:], names[:3], [*names[2:5], "T"], names]
        for later, some in enumerate(rounds):
            records = [mood(each, AS_OF_MS + later, mood=0.1 * later) for each in some]
            assert await store.upsert(records) == (len(some), 0)
            assert await store.upsert([mood(each, AS_OF_MS + later - 1) for each in some[:9]]) == (0, len(some[:9]))
            newest |= {each.key: each.value for each in records}
            asked = ["S0", "S1", "S2", "S3", "S4", "S5", names[-1], "T"]
            found = {name: each.records.get("mood") for name, each in zip(asked, await store.get_many(asked), strict=True)}
            assert found == {name: newest.get(name) for name in asked}
            assert [await store.record("mood", name) for name in asked] == list(found.values())
        assert await store.upsert([mood("S1", AS_OF_MS + 9)]) == (1, 0)
        done = await store.withdraw(symbols=("S1", "S2"))
        assert (done.symbols, done.records["mood"], done.symbols_left) == (("S1", "S2"), 2, len(newest) - 2)
        assert [each.known for each in await store.get_many(["S1", "S2", "S3"])] == [False, False, True]

    place.run(work)


def test_records_of_an_earlier_version_s_file_are_read_and_not_gone_behind(place: Place) -> None:
    if place.url:
        pytest.skip("of SQLite's tables")

    async def work(store: LiveStore) -> None:
        await store.upsert([mood("A", AS_OF_MS + 5)])
        place.write("INSERT INTO moods SELECT symbol, mood FROM recent_moods")
        place.write("DELETE FROM recent_moods")
        assert (await store.get_many(["A"]))[0].records == {"mood": mood("A", AS_OF_MS + 5).value}
        assert await store.upsert([mood("A", AS_OF_MS)]) == (0, 1)
        assert await store.upsert([mood("A", AS_OF_MS + 6)]) == (1, 0)
        assert (await store.get_many(["A"]))[0].records == {"mood": mood("A", AS_OF_MS + 6).value}

    place.run(work)
