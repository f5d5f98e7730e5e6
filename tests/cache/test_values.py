"""Records that come by themselves: L1 has them without a read of L2, and never goes back."""

import asyncio

import pytest

from app.store.codec import encode
from app.store.protocol import Changes, Record, Row, Written
from tests.kit.house import House
from tests.kit.moods import MOODS_BESIDE, WITH_MOODS, mood, mood_record
from tests.kit.records import AS_OF_MS, row, tick


class Outdated:
    """Something prepared, which counts how often it was told that it holds no more."""

    times = 0

    def outdate(self) -> None:
        """It is told."""
        self.times += 1


_FIRST = mood("A", AS_OF_MS, 1)


def _house() -> House:
    """The store holds a mood of A and none of B."""
    house = House("A", "B", kinds=WITH_MOODS)
    house.store.put(Row("A", {**row("A").records, "mood": Written(AS_OF_MS, _FIRST.value)}))
    return house


async def _mood(house: House, symbol: str = "A") -> object:
    """What a caller is told of it."""
    evidence = await house.read(symbol)
    place = WITH_MOODS.places["mood"]
    return evidence.records[place] or evidence.troubles[place]


def test_what_l1_holds_has_a_value_that_came_and_l2_is_not_read() -> None:
    """Also where it had none. The entry lasts as long as before, and what was prepared of it is told."""
    house = _house()

    async def work() -> None:
        await house.read("A")
        await house.read("B")
        entry = house.hit()
        assert entry is not None
        entry.prepared, fresh_until = Outdated(), entry.fresh_until
        house.tiers.apply([mood("A", AS_OF_MS, 2), mood("B", AS_OF_MS, 3)])
        assert (await _mood(house, "A"), await _mood(house, "B")) == (
            mood_record("A", AS_OF_MS, 2),
            mood_record("B", AS_OF_MS, 3),
        )
        assert (entry.prepared.times, entry.fresh_until, len(house.store.reads)) == (1, fresh_until, 2)

    asyncio.run(work())


def test_a_value_that_no_decision_rests_on_leaves_what_was_prepared() -> None:
    """It may come many times a second."""
    house = House("A", kinds=MOODS_BESIDE)

    async def work() -> None:
        await house.read("A")
        entry = house.hit()
        assert entry is not None
        entry.prepared = Outdated()
        house.tiers.apply([mood("A", AS_OF_MS, 1), mood("A", AS_OF_MS - 1, 7), mood("A", AS_OF_MS, 2)])
        assert (entry.prepared.times, entry.evidence.records[3]) == (0, mood_record("A", AS_OF_MS, 2))
        house.tiers.apply([Record("mood", "A", b"")])
        assert house.hit() is None

    asyncio.run(work())


@pytest.mark.parametrize(("as_of_ms", "sequence"), [(AS_OF_MS, 0), (AS_OF_MS - 1, 9)])
def test_a_value_that_is_older_changes_nothing(as_of_ms: int, sequence: int) -> None:
    """By time, and of one time by sequence."""
    house = _house()

    async def work() -> None:
        await house.read("A")
        house.tiers.apply([mood("A", as_of_ms, sequence)])
        assert await _mood(house, "A") == mood_record("A", AS_OF_MS, 1)

    asyncio.run(work())


@pytest.mark.parametrize("is_held", [True, False])
@pytest.mark.parametrize("sequence", [0, 2])
def test_a_load_that_is_under_way_does_not_lead_back_behind_what_came_meanwhile(sequence: int, *, is_held: bool) -> None:
    house = _house()

    async def work() -> None:
        if is_held:
            await house.read("A")
            house.clock.now += 61.0
        house.store.is_holding = True
        reading = asyncio.create_task(_mood(house, "A"))
        await asyncio.sleep(0.01)
        house.tiers.apply([mood("A", AS_OF_MS, sequence)])
        house.store.release()
        newer = mood_record("A", AS_OF_MS, max(1, sequence))
        assert (await reading, await _mood(house, "A")) == (newer, newer)

    asyncio.run(work())


@pytest.mark.parametrize("is_moved", [True, False])
def test_a_load_from_before_a_symbol_had_a_value_has_it(*, is_moved: bool) -> None:
    """Even where another change has fenced it off, and others have been shown more."""
    house = _house()

    async def work() -> None:
        await house.read("B")
        house.clock.now += 61.0
        house.store.is_holding = True
        reading = asyncio.create_task(_mood(house, "B"))
        await asyncio.sleep(0.01)
        if is_moved:
            house.tiers.invalidate(["B"])
        house.tiers.apply([mood("B", AS_OF_MS, 2)])
        house.store.release()
        assert await reading == mood_record("B", AS_OF_MS, 2)

    asyncio.run(work())


def test_what_was_taken_back_is_forgotten_and_may_come_again_older() -> None:
    house = _house()

    async def work() -> None:
        await house.read("A")
        house.store.put(Row("A", {}))
        house.tiers.apply([Record("mood", "A", b"")])
        assert await _mood(house, "A") == "absent"
        house.tiers.apply([mood("A", AS_OF_MS - 100, 0)])
        assert await _mood(house, "A") == mood_record("A", AS_OF_MS - 100, 0)

    asyncio.run(work())


def test_a_value_that_cannot_be_used_is_read_again_and_counted() -> None:
    """L2 may hold what can."""
    house = _house()

    async def work() -> None:
        await house.read("A")
        for wrong in (b"\xc1", encode(mood_record("B")), encode(mood_record("A", mood=7.0))):
            house.tiers.apply([Record("mood", "A", wrong)])
            assert house.hit() is None
            await house.read("A")
        assert len(house.store.reads) == 4

    asyncio.run(work())


def test_values_of_other_kinds_and_of_symbols_that_nobody_holds_cost_nothing() -> None:
    house = _house()

    async def work() -> None:
        house.tiers.apply([Record("mood", "Z", b"\xc1"), Record("model", "A", b"\xc1"), Record("model", "A", b"")])
        assert (len(house.tiers.memory), house.store.reads) == (0, [])

    asyncio.run(work())


def test_the_feed_gives_values_to_l1_and_names_their_symbols_to_who_listens() -> None:
    """In slices; the last one says how far they reach. No value makes it look at the run; a name does."""
    house = _house()

    async def work() -> None:
        await house.feed.step()
        await house.read("A")
        reads = len(house.store.reads)
        values = (*(mood(f"S{number}") for number in range(60)), mood("A", AS_OF_MS, 2))
        house.store.feed = [Changes("5~7", (), lost=False, values=values), Changes("6~8", ("B",), lost=False, values=values[:1])]
        house.store.info = None
        await house.feed.step()
        assert await _mood(house, "A") == mood_record("A", AS_OF_MS, 2)
        assert len(house.store.reads) == reads
        told = [(each.last_id, len(each.symbols), len(each.values)) for each in house.heard[1:]]
        assert told == [("", 50, 50), ("5~7", 11, 11)]
        assert house.store.asked_after[-1] == "0"
        await house.feed.step()
        last = [(each.last_id, each.symbols, len(each.values)) for each in house.heard[3:]]
        assert last == [("", ("S0",), 1), ("6~8", ("B",), 0)]

    asyncio.run(work())


def test_who_follows_decisions_is_not_told_of_what_none_rests_on() -> None:
    """But of how far it reaches."""
    house = House("A", "B", kinds=MOODS_BESIDE)

    async def work() -> None:
        await house.feed.step()
        house.store.feed = [Changes("5~7", (), lost=False, values=(mood("A"), tick("B"), mood("C")))]
        await house.feed.step()
        assert [(each.last_id, each.symbols) for each in house.heard[1:]] == [("5~7", ("B",))]

    asyncio.run(work())


def test_values_that_come_with_a_loss_are_read_with_everything_else() -> None:
    """All of L1 is stale in any case."""
    house = _house()

    async def work() -> None:
        await house.feed.step()
        await house.read("A")
        house.store.feed = [Changes("5~7", (), lost=True, values=(mood("A", AS_OF_MS, 2),))]
        await house.feed.step()
        assert house.hit() is None
        house.store.put(row("A"))

    asyncio.run(work())
