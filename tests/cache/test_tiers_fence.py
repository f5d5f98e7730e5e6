"""What the epoch fence keeps out of L1, and how reads of every outcome are counted."""

import asyncio
from collections.abc import Callable

import pytest

from app.cache.loads import Lookup
from app.cache.read_through import Tiers
from tests.kit.house import House
from tests.kit.records import AS_OF_MS, row
from tests.kit.store import down


async def _overtaken(house: House, change: Callable[[Tiers], None]) -> Lookup:
    """What a caller of A gets whose read was under way when ``change`` was told."""
    caller = await house.begin()
    assert house.store.reads[-1] == ["A"]
    change(house.tiers)
    house.store.release()
    return (await caller)[0]


_CHANGES: list[Callable[[Tiers], None]] = [lambda tiers: tiers.invalidate(["A"]), lambda tiers: tiers.invalidate_all()]


@pytest.mark.parametrize("change", _CHANGES, ids=["one", "all"])
def test_an_overtaken_answer_is_not_in_l1_afterwards(change: Callable[[Tiers], None]) -> None:
    """Neither fresh nor as something to fall back on: it may be older than what the change was about."""
    house = House("A")

    async def work() -> None:
        found = await _overtaken(house, change)
        assert (found.tier, found.proven, found.evidence is not None) == ("l2", True, True)
        assert house.hit() is None
        assert house.tiers.memory.stale("A", house.clock()) is None

    house.run(work)


@pytest.mark.parametrize("change", _CHANGES, ids=["one", "all"])
def test_an_overtaken_unknown_does_not_push_out_what_l1_has(change: Callable[[Tiers], None]) -> None:
    """The symbol was pruned and published again: the old entry stays to fall back on, and nothing says unknown."""
    house = House("A")

    async def work() -> None:
        await house.fetch()
        house.clock.now += 61
        del house.store.rows["A"]
        found = await _overtaken(house, change)
        assert (found.evidence, found.tier, found.proven) == (None, "l2", True)
        assert house.tiers.memory.stale("A", house.clock()) is not None
        assert not house.tiers.memory.is_unknown("A", house.clock())

    house.run(work)


def test_an_overtaken_answer_does_not_replace_a_newer_entry() -> None:
    """The load that began after the change may have ended before the one that began before it."""
    house = House("A")

    async def work() -> None:
        def change(tiers: Tiers) -> None:
            tiers.invalidate_all()
            house.store.put(row("A", AS_OF_MS, "run-2"))
            # Published with the same time, so that only the fence can tell which of the two is the newer truth.
            later.append(asyncio.create_task(tiers.fetch("A", 30.0)))

        later: list[asyncio.Task[Lookup]] = []
        first = await _overtaken(house, change)
        second = await later[0]
        assert first.evidence is not None
        assert second.evidence is not None
        assert (first.evidence.run, second.evidence.run) == ("run-1", "run-2")
        entry = house.hit()
        assert entry is not None
        assert entry.run == "run-2"

    house.run(work)


def test_every_outcome_is_counted_once() -> None:
    house = House("A")

    async def work() -> None:
        await house.tiers.fetch_many(["A", "NOPE"], 30.0)
        await house.tiers.fetch_many(["A", "NOPE"], 30.0)
        house.clock.now += 61
        house.store.fault = down()
        await house.tiers.fetch_many(["A", "B"], 30.0)

    house.run(work)
    assert house.meters.counts == {
        "l1 miss": 4,
        "l1 hit": 1,
        "l1 negative": 1,
        "l1 stale": 1,
        "l2 hit": 1,
        "l2 miss": 1,
        "l2 error": 2,
        "reads": 1,
        "reads failed": 1,
        "symbols read": 4,
    }


def test_an_unknown_symbol_is_proven_by_the_tier_that_said_so() -> None:
    """L2 first, then L1's memory of it; neither is a fallback."""
    house = House()

    async def work() -> None:
        asked = [await house.fetch() for _ in range(2)]
        assert asked == [Lookup(None, tier, proven=True, age_s=0.0) for tier in ("l2", "l1")]

    house.run(work)


@pytest.mark.parametrize("change", _CHANGES, ids=["one", "all"])
def test_callers_are_not_led_back_behind_an_overtaken_answer(change: Callable[[Tiers], None]) -> None:
    """It was shown, so an older entry is no longer what to fall back on when L2 fails next; and it is never fresh itself."""
    house = House("A")

    async def work() -> None:
        await house.fetch()
        house.clock.now += 61
        house.store.put(row("A", AS_OF_MS + 5))
        shown = await _overtaken(house, change)
        assert shown.evidence is not None
        assert house.hit() is None
        house.store.fault = down()
        again = await house.fetch()
        assert (again.tier, again.proven) == ("l1", False)
        assert again.evidence == shown.evidence

    house.run(work)
