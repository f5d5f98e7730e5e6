"""What L1 had of some symbols of a batch, when the others are here."""

import asyncio

from app.domain.records import KINDS
from tests.cache.misled import LATER_MS, MisledHouse
from tests.kit.house import TTL_S, shown
from tests.kit.records import AS_OF_MS, row
from tests.kit.settle import settle
from tests.kit.store import down


def test_what_l1_had_for_a_batch_that_waits_is_not_behind_what_it_has_when_that_is_answered() -> None:
    """Another caller was shown what changed meanwhile; after a loss, what was read since, however old."""
    house = MisledHouse()

    async def work() -> None:
        batch = await house.begin("A", "NEW")
        house.store.put(row("A", LATER_MS + 1, "newer"))
        await house.hear("A")
        assert shown(await house.fetch())[0] == "newer"
        house.store.release(0)
        assert shown((await batch)[0]) == ("newer", "l1", True)
        batch = await house.begin("A", "NEWER")
        house.store.put(row("A", AS_OF_MS, "right"))
        await house.hear(lost=True)
        await settle()
        house.store.release(1)
        assert shown((await batch)[0]) == ("right", "l1", True)

    house.run(work)


def test_what_a_batch_that_waits_had_to_fall_back_on_is_not_behind_what_l1_has_when_that_is_answered() -> None:
    """The read that was given up has come after all, and another caller was shown what it brought."""
    house = MisledHouse()

    async def work() -> None:
        house.clock.now += TTL_S
        house.store.put(row("A", LATER_MS + 1, "newer"))
        house.store.is_holding = True
        in_vain = asyncio.create_task(house.tiers.fetch("A", 0.01))
        await settle()
        house.clock.now += 1.0
        assert shown(await in_vain) == ("bad", "l1", False)
        batch = await house.begin("A", "NEW")
        house.store.release(0)
        await settle()
        house.store.release(1)
        assert shown((await batch)[0]) == ("newer", "l1", True)
        assert house.meters.counts["l1 stale"] == 2

    house.run(work)


def test_what_changed_while_a_batch_waited_is_not_shown_as_proven() -> None:
    """The feed has told, and nobody has read it again."""
    house = MisledHouse()

    async def work() -> None:
        batch = await house.begin("A", "NEW")
        house.store.faults["get_many"] = down()
        await house.hear("A")
        await settle()
        house.store.release(0)
        found = (await batch)[0]
        assert (shown(found), found.trouble) == (("bad", "l1", False), "l2_timeout")

    house.run(work)


def test_what_was_taken_back_while_a_batch_waited_is_not_shown() -> None:
    """Not even as stale, be it taken back by name or lost and taken back."""
    house = MisledHouse()

    async def work() -> None:
        for number, lost in enumerate((False, True)):
            batch = await house.begin("A", f"NEW{number}")
            await house.hear(lost=lost, withdrawn=("A",))
            house.store.release(-1)
            found = (await batch)[0]
            assert (found.evidence, found.tier, found.proven) == (KINDS.unread("l2_timeout"), "none", False)
            await house.fetch()

    house.run(work)


def test_a_symbol_that_was_unknown_when_a_batch_asked_is_not_when_it_was_published_while_that_waited() -> None:
    house = MisledHouse()

    async def work() -> None:
        for symbol, is_read in (("C", False), ("D", True)):
            assert (await house.fetch(symbol)).evidence is None
            batch = await house.begin(symbol, f"NEW{symbol}")
            house.store.put(row(symbol, AS_OF_MS, "first"))
            await house.hear(symbol)
            if is_read:
                await house.fetch(symbol)
            house.store.release(-1)
            found = (await batch)[0]
            assert shown(found) == (("first", "l1", True) if is_read else (None, "none", False))
            assert found.evidence is not None

    house.run(work)


def test_a_symbol_that_went_while_a_batch_waited_is_unknown() -> None:
    house = MisledHouse()

    async def work() -> None:
        batch = await house.begin("A", "NEW")
        del house.store.rows["A"]
        await house.hear(withdrawn=("A",))
        assert (await house.fetch()).evidence is None
        house.store.release(0)
        found = (await batch)[0]
        assert (found.evidence, found.tier, found.proven) == (None, "l1", True)

    house.run(work)


def test_what_was_pushed_out_or_expired_while_a_batch_waited_was_true_when_it_was_asked_for() -> None:
    """A batch may be larger than L1, and the feed has told nothing."""
    house = MisledHouse()

    async def work() -> None:
        unknown = [await house.fetch(symbol) for symbol in ("C", "C")][1]
        batch = await house.begin("A", "C", "NEW")
        house.tiers.memory._entries.clear()
        house.clock.now += TTL_S
        house.store.release(0)
        found = await batch
        assert shown(found[0]) == ("bad", "l1", True)
        assert found[1] == unknown

    house.run(work)
