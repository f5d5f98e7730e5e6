"""Never backwards begins anew: after a loss for everything, and for symbols whose records were taken back."""

import pytest

from app.cache.read_through import READ_AT_ONCE
from app.store.protocol import Changes, Row
from tests.cache.misled import LATER_MS, MisledHouse
from tests.kit.house import TTL_S, shown
from tests.kit.records import AS_OF_MS, agent_record, price_record, replaced, row
from tests.kit.settle import settle
from tests.kit.store import down

_RIGHT = row("A", AS_OF_MS, "right")


def test_what_is_read_after_a_loss_counts_however_old_it_is() -> None:
    """The store was emptied and warmed without the bad record, which is dated ten years ahead."""
    house = MisledHouse()

    async def work() -> None:
        house.store.put(_RIGHT)
        await house.hear(lost=True)
        await settle()
        assert [shown(await house.fetch()) for _ in range(2)] == [("right", "l1", True)] * 2
        house.clock.now += TTL_S
        assert shown(await house.fetch()) == ("right", "l2", True)

    house.run(work)


def test_after_a_loss_what_was_held_is_still_fallen_back_on_and_marked() -> None:
    """While L2 does not answer; the first read that it does answer ends that."""
    house = MisledHouse()

    async def work() -> None:
        house.store.put(_RIGHT)
        house.store.faults["get_many"] = down()
        await house.hear(lost=True)
        await settle()
        found = await house.fetch()
        assert (shown(found), found.trouble) == (("bad", "l1", False), "l2_error")
        house.store.faults.clear()
        assert shown(await house.fetch()) == ("right", "l2", True)
        house.clock.now += TTL_S
        house.store.faults["get_many"] = down()
        assert shown(await house.fetch()) == ("right", "l1", False)

    house.run(work)


def test_a_record_that_cannot_be_used_is_not_made_up_for_by_one_from_before_a_loss() -> None:
    """What was lost may have been taken back; within one life of the store it is made up for."""
    house = MisledHouse()
    foreign = replaced(_RIGHT, price=b"\xdc")

    async def work() -> None:
        house.store.put(foreign)
        house.clock.now += TTL_S
        found = await house.fetch()
        assert found.evidence is not None
        assert found.evidence.price == price_record("A", LATER_MS, "bad")
        await house.hear(lost=True)
        await settle()
        found = await house.fetch()
        assert found.evidence is not None
        assert (found.evidence.price, found.evidence.troubles[0]) == (None, "corrupt")
        assert found.evidence.agents == agent_record("A", AS_OF_MS, "right")

    house.run(work)


def test_a_read_from_before_a_loss_holds_nothing_back_that_is_read_after_it() -> None:
    """It is shown to whoever waits for it, to others only for want of L2, and compared with nothing."""
    house = MisledHouse()

    async def work() -> None:
        house.clock.now += TTL_S
        house.store.put(row("A", LATER_MS + 1, "worse"))
        caller = await house.begin()
        house.clock.now += 1.0
        house.store.faults["get_many"] = down()
        await house.hear(lost=True)
        await settle()
        house.store.release(0)
        assert shown((await caller)[0]) == ("worse", "l2", True)
        assert shown(await house.fetch()) == ("worse", "l1", False)
        house.store.faults.clear()
        house.store.put(_RIGHT)
        assert shown(await house.fetch()) == ("right", "l2", True)

    house.run(work)


def test_whoever_waits_for_a_read_from_before_a_loss_gets_what_was_read_since() -> None:
    """However old that is: others have been shown it already."""
    house = MisledHouse()

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin()
        house.store.put(_RIGHT)
        await house.hear(lost=True)
        await settle()
        assert shown(await house.fetch()) == ("right", "l1", True)
        house.store.release(0)
        assert shown((await caller)[0])[0] == "right"

    house.run(work)


def test_a_read_from_before_a_loss_that_ends_amid_one_from_after_it_is_held_against_nothing() -> None:
    """It was shown, and may be fallen back on; the later one is compared neither with it nor, for who waits for it, later."""
    house = MisledHouse()

    async def work() -> None:
        house.clock.now += TTL_S
        house.store.put(row("A", LATER_MS + 1, "worse"))
        before = await house.begin()
        house.store.faults["get_many"] = down()
        await house.hear(lost=True)
        await settle()
        house.store.faults.clear()
        house.store.put(_RIGHT)
        after = await house.begin()
        house.store.release(0)
        assert shown((await before)[0]) == ("worse", "l2", True)
        house.store.release(1)
        assert shown((await after)[0]) == ("right", "l2", True)
        assert shown(await house.fetch()) == ("right", "l1", True)

    house.run(work)


def test_a_fenced_read_from_after_a_loss_is_not_held_back_by_one_from_before_it() -> None:
    """Both are on their way, and the symbol changes once more."""
    house = MisledHouse()

    async def work() -> None:
        house.clock.now += TTL_S
        house.store.put(row("A", LATER_MS + 1, "worse"))
        before = await house.begin()
        house.store.faults["get_many"] = down()
        await house.hear(lost=True)
        await settle()
        house.store.faults.clear()
        house.store.put(_RIGHT)
        after = await house.begin()
        house.store.release(0)
        await before
        house.store.faults["get_many"] = down()
        house.store.feed = [Changes("2", ("A",), lost=False)]
        await house.feed.step()
        house.store.release(1)
        assert shown((await after)[0]) == ("right", "l2", True)

    house.run(work)


def test_of_two_reads_from_before_a_loss_the_newer_record_is_shown_as_ever() -> None:
    """Entries of the feed were trimmed, and nothing else was lost."""
    house = MisledHouse()

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin()
        house.store.put(row("A", LATER_MS + 1, "newer"))
        house.store.feed = [Changes("1", ("A",), lost=False)]
        await house.feed.step()
        await settle()
        assert shown(await house.fetch()) == ("newer", "l1", True)
        house.store.faults["get_many"] = down()
        await house.hear(lost=True)
        house.store.release(0)
        assert shown((await caller)[0])[0] == "newer"

    house.run(work)


def test_what_was_taken_back_is_not_shown_after_the_next_read_though_the_feed_is_silent() -> None:
    """What L2 says later is what counts: that it is older says that something was taken back."""
    house = MisledHouse()

    async def work() -> None:
        house.store.put(_RIGHT)
        house.clock.now += TTL_S
        assert shown(await house.fetch()) == ("right", "l2", True)
        assert shown(await house.fetch()) == ("right", "l1", True)

    house.run(work)


@pytest.mark.parametrize("left", [None, replaced(_RIGHT, price=None, history=None)], ids=["nothing", "agents"])
def test_what_was_taken_back_is_shown_to_nobody_even_if_l2_fails(left: Row | None) -> None:
    """Neither fresh nor as something to fall back on; what is left of the symbol is."""
    house = MisledHouse()

    async def work() -> None:
        if left is None:
            del house.store.rows["A"]
        else:
            house.store.put(left)
        house.store.faults["get_many"] = down()
        await house.hear(withdrawn=("A",))
        found = await house.fetch()
        assert (shown(found), found.trouble) == ((None, "none", False), "l2_error")
        assert house.tiers.held("A") is None
        house.store.faults.clear()
        found = await house.fetch()
        assert found.proven
        if left is None:
            assert found.evidence is None
        else:
            assert found.evidence is not None
            assert (found.evidence.price, found.evidence.troubles[0], found.evidence.run) == (None, "absent", "right")

    house.run(work)


def test_what_is_published_after_a_withdrawal_counts_however_old_it_is() -> None:
    """Also where the one change is heard of together with the other, and other symbols keep their place."""
    house = MisledHouse()

    async def work() -> None:
        await house.fetch("B")
        house.store.put(_RIGHT)
        house.store.feed = [Changes("2", ("A",), lost=False, withdrawn=("A",))]
        await house.feed.step()
        await settle()
        assert shown(await house.fetch()) == ("right", "l2", True)
        assert shown(await house.fetch()) == ("right", "l1", True)
        assert shown(await house.fetch("B")) == ("run-1", "l1", True)

    house.run(work)


def test_a_read_that_a_withdrawal_overtook_is_given_to_nobody_and_not_kept() -> None:
    """Nobody can tell whether it was before or after it. Who comes then does not wait for that read."""
    house = MisledHouse()

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin()
        await house.hear(withdrawn=("A",))
        house.store.put(_RIGHT)
        assert shown(await house.fetch()) == ("right", "l2", True)
        house.store.release(0)
        (found,) = await caller
        assert (shown(found), found.trouble) == (("right", "l1", False), "l2_timeout")
        assert shown(await house.fetch()) == ("right", "l1", True)

    house.run(work)


def test_a_caller_whose_read_was_overtaken_gets_no_record_at_all_if_there_is_none_else() -> None:
    """A neutral answer that says why, for as long as it takes to ask again."""
    house = MisledHouse()

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin()
        await house.hear(withdrawn=("A",))
        house.store.release(0)
        (found,) = await caller
        assert (shown(found), found.trouble) == ((None, "none", False), "l2_timeout")
        assert house.hit() is None
        assert house.tiers.memory.stale("A", house.clock()) is None

    house.run(work)


def test_a_read_that_is_here_but_held_up_by_others_of_its_batch_is_fenced_too() -> None:
    """The first 256 symbols are here, the caller waits for the rest, and the first one is taken back; the others are given."""
    house = MisledHouse()
    more = [f"S{number}" for number in range(READ_AT_ONCE)]

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin("A", *more)
        house.store.release(0)
        await settle()
        assert shown(await house.fetch()) == ("bad", "l1", True)
        await house.hear(withdrawn=("A", "NEVER-SEEN"))
        house.store.release(1)
        found = await caller
        assert (shown(found[0]), found[0].trouble) == ((None, "none", False), "l2_timeout")
        assert [(each.evidence, each.proven) for each in found[1:]] == [(None, True)] * len(more)

    house.run(work)


def test_a_symbol_that_was_unknown_when_it_was_taken_back_is_asked_for_anew() -> None:
    """It may have been published again since."""
    house = MisledHouse()

    async def work() -> None:
        assert shown(await house.fetch("NEW")) == (None, "l2", True)
        house.store.put(row("NEW"))
        assert shown(await house.fetch("NEW")) == (None, "l1", True)
        await house.hear(withdrawn=("NEW",))
        assert shown(await house.fetch("NEW")) == ("run-1", "l2", True)

    house.run(work)
