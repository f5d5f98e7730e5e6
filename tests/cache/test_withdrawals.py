"""Never backwards begins anew: after a loss for everything, and for symbols whose records were taken back."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest

from app.cache.feed import Feed
from app.cache.loads import Lookup
from app.cache.read_through import READ_AT_ONCE
from app.store.protocol import UNKNOWN, Changes, Stored
from tests.cache.fakes import BROKEN, Clock, CountingMeters, make_tiers
from tests.cache.test_tiers_races import GatedStore, settle
from tests.kit.records import AS_OF_MS, agent_record, price_record, raw_of, row, stored

LATER_MS = AS_OF_MS + 10 * 365 * 86_400_000
_BAD, _RIGHT = row("A", LATER_MS, "bad"), row("A", AS_OF_MS, "right")
TTL_S = 60.0


class DeafStore(GatedStore):
    """A store that can fail to read records while it answers the feed."""

    def __init__(self, *symbols: str) -> None:
        super().__init__(*symbols)
        self.deaf = False

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """As it is read, or not at all."""
        if self.deaf:
            raise BROKEN
        return await super().get_many(symbols)


class House:
    """A feed over a store whose reads can be held up one by one. A's bad record is in both tiers."""

    def __init__(self) -> None:
        self.clock, self.meters, self.store = Clock(), CountingMeters(), DeafStore("A", "B")
        self.tiers = make_tiers(self.store, self.meters, self.clock, ttl_s=TTL_S, stale_s=3600.0)
        self.feed = Feed(
            self.store,
            self.tiers,
            self.meters,
            wait_s=0.0,
            rng=random.Random(1),
            lease_s=1e9,
            clock=self.clock,
            now_ms=lambda: AS_OF_MS,
        )

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """``work``, when the bad record has been read."""

        async def filled() -> None:
            self.store.put(_BAD)
            await self.feed.step()
            assert self.shown(await self.ask()) == ("bad", "l2", True)
            assert self.shown(await self.ask()) == ("bad", "l1", True)
            await work()
            await self.tiers.close()

        asyncio.run(filled())

    async def hear(self, *, lost: bool = False, withdrawn: tuple[str, ...] = (), changed: tuple[str, ...] = ()) -> None:
        """A read of the feed that brings this."""
        self.store.feed = [Changes("1", withdrawn + changed, lost=lost, withdrawn=withdrawn)]
        await self.feed.step()

    async def ask(self, symbol: str = "A") -> Lookup:
        """What a caller gets."""
        return await self.tiers.fetch(symbol, 30.0)

    async def begin(self, *symbols: str) -> "asyncio.Task[list[Lookup]]":
        """A caller of these, whose reads have left L2 and are held up."""
        self.store.hold = True
        caller = asyncio.create_task(self.tiers.fetch_many(symbols or ("A",), 30.0))
        await settle()
        self.store.hold = False
        assert not caller.done()
        return caller

    @staticmethod
    def shown(found: Lookup) -> tuple[str | None, str, bool]:
        """Run, tier, and whether it is fresh."""
        return None if found.evidence is None else found.evidence.run, found.tier, found.proven


def test_what_is_read_after_a_loss_counts_however_old_it_is() -> None:
    """The store was emptied and warmed without the bad record, which is dated ten years ahead."""
    house = House()

    async def work() -> None:
        house.store.put(_RIGHT)
        await house.hear(lost=True)
        await settle()
        assert [house.shown(await house.ask()) for _ in range(2)] == [("right", "l1", True)] * 2
        house.clock.now += TTL_S
        assert house.shown(await house.ask()) == ("right", "l2", True)

    house.run(work)


def test_after_a_loss_what_was_held_is_still_fallen_back_on_and_marked() -> None:
    """While L2 does not answer; the first read that it does answer ends that."""
    house = House()

    async def work() -> None:
        house.store.put(_RIGHT)
        house.store.deaf = True
        await house.hear(lost=True)
        await settle()
        found = await house.ask()
        assert (house.shown(found), found.trouble) == (("bad", "l1", False), "l2_error")
        house.store.deaf = False
        assert house.shown(await house.ask()) == ("right", "l2", True)
        house.clock.now += TTL_S
        house.store.deaf = True
        assert house.shown(await house.ask()) == ("right", "l1", False)

    house.run(work)


def test_a_record_that_cannot_be_used_is_not_made_up_for_by_one_from_before_a_loss() -> None:
    """What was lost may have been taken back; within one life of the store it is made up for."""
    house = House()
    foreign = stored(b"\xdc", raw_of(_RIGHT, "agents"))

    async def work() -> None:
        house.store.records["A"] = foreign
        house.clock.now += TTL_S
        found = await house.ask()
        assert found.evidence is not None
        assert found.evidence.price == price_record("A", LATER_MS, "bad")
        await house.hear(lost=True)
        await settle()
        found = await house.ask()
        assert found.evidence is not None
        assert (found.evidence.price, found.evidence.troubles[0]) == (None, "corrupt")
        assert found.evidence.agents == agent_record("A", AS_OF_MS, "right")

    house.run(work)


def test_a_read_from_before_a_loss_holds_nothing_back_that_is_read_after_it() -> None:
    """It is shown to whoever waits for it, to others only for want of L2, and compared with nothing."""
    house = House()

    async def work() -> None:
        house.clock.now += TTL_S
        house.store.put(row("A", LATER_MS + 1, "worse"))
        caller = await house.begin()
        house.clock.now += 1.0
        house.store.deaf = True
        await house.hear(lost=True)
        await settle()
        house.store.gates[0].set()
        assert house.shown((await caller)[0]) == ("worse", "l2", True)
        assert house.shown(await house.ask()) == ("worse", "l1", False)
        house.store.deaf = False
        house.store.put(_RIGHT)
        assert house.shown(await house.ask()) == ("right", "l2", True)

    house.run(work)


def test_whoever_waits_for_a_read_from_before_a_loss_gets_what_was_read_since() -> None:
    """However old that is: others have been shown it already."""
    house = House()

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin()
        house.store.put(_RIGHT)
        await house.hear(lost=True)
        await settle()
        assert house.shown(await house.ask()) == ("right", "l1", True)
        house.store.gates[0].set()
        assert house.shown((await caller)[0])[0] == "right"

    house.run(work)


def test_a_read_from_before_a_loss_that_ends_amid_one_from_after_it_is_held_against_nothing() -> None:
    """It was shown, and may be fallen back on; the later one is compared neither with it nor, for who waits for it, later."""
    house = House()

    async def work() -> None:
        house.clock.now += TTL_S
        house.store.put(row("A", LATER_MS + 1, "worse"))
        before = await house.begin()
        house.store.deaf = True
        await house.hear(lost=True)
        await settle()
        house.store.deaf = False
        house.store.put(_RIGHT)
        after = await house.begin()
        house.store.gates[0].set()
        assert house.shown((await before)[0]) == ("worse", "l2", True)
        house.store.gates[1].set()
        assert house.shown((await after)[0]) == ("right", "l2", True)
        assert house.shown(await house.ask()) == ("right", "l1", True)

    house.run(work)


def test_a_fenced_read_from_after_a_loss_is_not_held_back_by_one_from_before_it() -> None:
    """Both are on their way, and the symbol changes once more."""
    house = House()

    async def work() -> None:
        house.clock.now += TTL_S
        house.store.put(row("A", LATER_MS + 1, "worse"))
        before = await house.begin()
        house.store.deaf = True
        await house.hear(lost=True)
        await settle()
        house.store.deaf = False
        house.store.put(_RIGHT)
        after = await house.begin()
        house.store.gates[0].set()
        await before
        house.store.deaf = True
        house.store.feed = [Changes("2", ("A",), lost=False)]
        await house.feed.step()
        house.store.gates[1].set()
        assert house.shown((await after)[0]) == ("right", "l2", True)

    house.run(work)


def test_of_two_reads_from_before_a_loss_the_newer_record_is_shown_as_ever() -> None:
    """Entries of the feed were trimmed, and nothing else was lost."""
    house = House()

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin()
        house.store.put(row("A", LATER_MS + 1, "newer"))
        house.store.feed = [Changes("1", ("A",), lost=False)]
        await house.feed.step()
        await settle()
        assert house.shown(await house.ask()) == ("newer", "l1", True)
        house.store.deaf = True
        await house.hear(lost=True)
        house.store.gates[0].set()
        assert house.shown((await caller)[0])[0] == "newer"

    house.run(work)


def test_what_was_taken_back_is_not_shown_after_the_next_read_though_the_feed_is_silent() -> None:
    """What L2 says later is what counts: that it is older says that something was taken back."""
    house = House()

    async def work() -> None:
        house.store.put(_RIGHT)
        house.clock.now += TTL_S
        assert house.shown(await house.ask()) == ("right", "l2", True)
        assert house.shown(await house.ask()) == ("right", "l1", True)

    house.run(work)


@pytest.mark.parametrize("left", [UNKNOWN, stored(None, raw_of(_RIGHT, "agents"))], ids=["nothing", "agents"])
def test_what_was_taken_back_is_shown_to_nobody_even_if_l2_fails(left: Stored) -> None:
    """Neither fresh nor as something to fall back on; what is left of the symbol is."""
    house = House()

    async def work() -> None:
        house.store.records["A"] = left
        house.store.deaf = True
        await house.hear(withdrawn=("A",))
        found = await house.ask()
        assert (house.shown(found), found.trouble) == ((None, "none", False), "l2_error")
        assert house.tiers.held("A") is None
        house.store.deaf = False
        found = await house.ask()
        assert found.proven
        if left is UNKNOWN:
            assert found.evidence is None
        else:
            assert found.evidence is not None
            assert (found.evidence.price, found.evidence.troubles[0], found.evidence.run) == (None, "absent", "right")

    house.run(work)


def test_what_is_published_after_a_withdrawal_counts_however_old_it_is() -> None:
    """Also where the one change is heard of together with the other, and other symbols keep their place."""
    house = House()

    async def work() -> None:
        await house.ask("B")
        house.store.put(_RIGHT)
        house.store.feed = [Changes("2", ("A",), lost=False, withdrawn=("A",))]
        await house.feed.step()
        await settle()
        assert house.shown(await house.ask()) == ("right", "l2", True)
        assert house.shown(await house.ask()) == ("right", "l1", True)
        assert house.shown(await house.ask("B")) == ("run-1", "l1", True)

    house.run(work)


def test_a_read_that_a_withdrawal_overtook_is_given_to_nobody_and_not_kept() -> None:
    """Nobody can tell whether it was before or after it. Who comes then does not wait for that read."""
    house = House()

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin()
        await house.hear(withdrawn=("A",))
        house.store.put(_RIGHT)
        assert house.shown(await house.ask()) == ("right", "l2", True)
        house.store.gates[0].set()
        (found,) = await caller
        assert (house.shown(found), found.trouble) == (("right", "l1", False), "l2_timeout")
        assert house.shown(await house.ask()) == ("right", "l1", True)

    house.run(work)


def test_a_caller_whose_read_was_overtaken_gets_no_record_at_all_if_there_is_none_else() -> None:
    """A neutral answer that says why, for as long as it takes to ask again."""
    house = House()

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin()
        await house.hear(withdrawn=("A",))
        house.store.gates[0].set()
        (found,) = await caller
        assert (house.shown(found), found.trouble) == ((None, "none", False), "l2_timeout")
        assert house.tiers.hit("A", house.clock()) is None
        assert house.tiers.memory.stale("A", house.clock()) is None

    house.run(work)


def test_a_read_that_is_here_but_held_up_by_others_of_its_batch_is_fenced_too() -> None:
    """The first 256 symbols are here, the caller waits for the rest, and the first one is taken back; the others are given."""
    house = House()
    more = [f"S{number}" for number in range(READ_AT_ONCE)]

    async def work() -> None:
        house.clock.now += TTL_S
        caller = await house.begin("A", *more)
        house.store.gates[0].set()
        await settle()
        assert house.shown(await house.ask()) == ("bad", "l1", True)
        await house.hear(withdrawn=("A", "NEVER-SEEN"))
        house.store.gates[1].set()
        found = await caller
        assert (house.shown(found[0]), found[0].trouble) == ((None, "none", False), "l2_timeout")
        assert [(each.evidence, each.proven) for each in found[1:]] == [(None, True)] * len(more)

    house.run(work)


def test_a_symbol_that_was_unknown_when_it_was_taken_back_is_asked_for_anew() -> None:
    """It may have been published again since."""
    house = House()

    async def work() -> None:
        assert house.shown(await house.ask("NEW")) == (None, "l2", True)
        house.store.put(row("NEW"))
        assert house.shown(await house.ask("NEW")) == (None, "l1", True)
        await house.hear(withdrawn=("NEW",))
        assert house.shown(await house.ask("NEW")) == ("run-1", "l2", True)

    house.run(work)
