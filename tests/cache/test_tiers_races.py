"""Read-through where reads overlap, end out of order, are cancelled, or the budget runs out."""

import asyncio
import time
from collections.abc import Sequence

from app.cache.loads import Lookup
from app.store.protocol import Stored
from tests.kit.house import TTL_S, House, run_in
from tests.kit.records import AS_OF_MS, price_record, row
from tests.kit.settle import settle
from tests.kit.store import FakeStore


class ShortStore(FakeStore):
    """It gives one answer too few while it is ``short``."""

    short = False

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """As of the call."""
        answers = await super().get_many(symbols)
        return answers[:-1] if self.short else answers


def _run_in_l1(house: House) -> str | None:
    entry = house.hit()
    return None if entry is None else entry.run


async def _run_of(caller: "asyncio.Task[list[Lookup]]") -> str | None:
    (found,) = await caller
    return run_in(found)


def test_a_budget_that_runs_out_gives_the_stale_entry_and_says_why() -> None:
    """The late answer still comes into L1, though nobody waits for it."""
    house = House("A")

    async def work() -> None:
        await house.fetch()
        house.clock.now += TTL_S + 1
        house.store.put(row("A", AS_OF_MS + 1, "run-2"))
        house.store.is_holding = True
        found = await house.fetch(budget_s=0.0)
        assert (found.tier, found.proven, found.trouble, found.age_s) == ("l1", False, "l2_timeout", TTL_S + 1)
        assert found.evidence is not None
        assert found.evidence.price == price_record("A")
        await settle()
        house.store.release(0)
        await settle()
        assert (_run_in_l1(house), house.tiers.pending) == ("run-2", 0)

    house.run(work)
    assert (house.meters.counts["l1 stale"], house.meters.counts["l2 error"]) == (1, 0)


def test_the_loops_own_lag_is_not_taken_from_a_callers_budget() -> None:
    """L2 has answered while the loop was busy with somebody else: its answer is heard, and is no timeout."""
    house = House("A")

    async def work() -> None:
        house.store.is_holding = True
        waiting = asyncio.create_task(house.fetch(budget_s=0.05))
        await settle()
        loop = asyncio.get_running_loop()
        loop.call_soon(time.sleep, 0.2)
        # Redis's answer goes through two futures more than this store's.
        loop.call_soon(lambda: loop.call_soon(lambda: loop.call_soon(house.store.release)))
        found = await waiting
        assert (found.tier, found.proven, found.trouble) == ("l2", True, None)

    house.run(work)


def test_an_overloaded_server_gives_the_stale_entry_and_says_why() -> None:
    """The bound on loads is no reason to give less than L1 has."""
    house = House("A", "B", max_pending=1)

    async def work() -> None:
        await house.fetch()
        house.tiers.invalidate(["A"])
        waiting = await house.begin("B")
        found = await house.fetch()
        assert (found.tier, found.proven, found.trouble, run_in(found)) == ("l1", False, "l2_overloaded", "run-1")
        house.store.release(0)
        await waiting

    house.run(work)


def test_a_batch_beyond_the_bound_is_answered_in_part() -> None:
    house = House("A", "B", "C", max_pending=2)

    async def work() -> None:
        found = await house.tiers.fetch_many(["A", "B", "C", "A"], 30.0)
        assert [each.trouble for each in found] == [None, None, "l2_overloaded", None]

    house.run(work)
    assert house.store.reads == [["A", "B"]]


def test_a_batch_out_of_budget_gives_what_came_in_time() -> None:
    house = House("A", "B")

    async def work() -> None:
        slow = await house.begin("A")
        assert run_in(await house.fetch("B")) == "run-1"
        found = await house.tiers.fetch_many(["A", "B"], 0.0)
        assert [(each.tier, each.trouble) for each in found] == [("none", "l2_timeout"), ("l1", None)]
        house.store.release(0)
        assert await _run_of(slow) == "run-1"

    house.run(work)


def test_an_overtaken_load_that_ends_last_changes_nothing() -> None:
    """The newer load's entry stays, and so does the record that a third load is under way."""
    house = House("A")

    async def work() -> None:
        first = await house.begin()
        house.store.put(row("A", AS_OF_MS, "run-2"))
        house.tiers.invalidate(["A"])
        second = await house.begin()
        house.store.release(1)
        assert await _run_of(second) == "run-2"
        assert _run_in_l1(house) == "run-2"
        house.tiers.invalidate_all()
        third = await house.begin()
        house.store.release(0)
        assert await _run_of(first) == "run-1"
        assert _run_in_l1(house) is None
        joined = await house.begin()
        house.store.release(2)
        assert [await _run_of(each) for each in (third, joined)] == ["run-2", "run-2"]
        assert _run_in_l1(house) == "run-2"

    house.run(work)
    assert house.store.reads == [["A"], ["A"], ["A"]]


def test_overtaken_loads_count_as_under_way() -> None:
    """Changes that come faster than answers cannot pile up more reads than allowed."""
    house = House("A", max_pending=2)

    async def work() -> None:
        callers = []
        for _ in range(2):
            callers.append(await house.begin())
            house.tiers.invalidate(["A"])
        assert house.tiers.pending == 2
        assert (await house.fetch()).trouble == "l2_overloaded"
        house.store.release()
        assert [await _run_of(each) for each in callers] == ["run-1", "run-1"]
        assert house.tiers.pending == 0

    house.run(work)


def test_a_change_before_the_read_was_sent_overtakes_the_load_too() -> None:
    house = House("A")

    async def work() -> None:
        caller = asyncio.create_task(house.fetch())
        await asyncio.sleep(0)
        assert house.store.reads == []
        house.tiers.invalidate(["A"])
        assert run_in(await caller) == "run-1"
        assert _run_in_l1(house) is None

    house.run(work)


def test_a_read_goes_on_though_all_its_callers_went_away() -> None:
    house = House("A")

    async def work() -> None:
        callers = [await house.begin(), await house.begin()]
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        house.store.release(0)
        await settle()
        assert _run_in_l1(house) == "run-1"

    house.run(work)
    assert (house.store.reads, house.unforeseen) == ([["A"]], [])


def test_a_cancelled_read_leaves_nobody_waiting() -> None:
    """At the end of the process its callers get an error's answer, and nothing of it is remembered."""
    house = House("A")

    async def work() -> None:
        caller = await house.begin()
        (reading,) = house.tiers._tasks
        reading.cancel()
        (found,) = await caller
        assert (found.tier, found.trouble, house.tiers.pending) == ("none", "l2_error", 0)
        assert reading.cancelled()
        assert (await house.fetch()).tier == "l2"

    house.run(work)
    assert house.unforeseen == []
    assert (house.meters.counts["reads failed"], house.meters.counts["l2 error"]) == (1, 1)


def test_an_answer_of_the_wrong_length_is_an_error_for_all_who_asked() -> None:
    """It cannot be told which answer is whose: it is reported, nobody is left waiting, and the next caller reads anew."""
    store = ShortStore("A", "B")
    house = House(store=store)

    async def work() -> None:
        store.short = True
        found = await house.tiers.fetch_many(["A", "B"], 30.0)
        assert [each.trouble for each in found] == ["l2_error", "l2_error"]
        assert house.tiers.pending == 0
        store.short = False
        assert [each.tier for each in await house.tiers.fetch_many(["A", "B"], 30.0)] == ["l2", "l2"]

    house.run(work)
    assert [type(error) for error in house.unforeseen] == [ValueError]
    assert house.meters.counts["reads failed"] == 1
