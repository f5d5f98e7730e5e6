"""What keeps callers from waiting: the breaker, the lease, refreshing and prefetching."""

import asyncio

from app.cache.loads import Lookup
from app.domain.records import KINDS
from app.errors import StoreEmpty
from app.store.protocol import Changes
from tests.kit.house import House
from tests.kit.records import row
from tests.kit.settle import settle
from tests.kit.store import down

_SYMBOLS = ("A", "B", "C")
_NOTHING = Changes("0", (), lost=False)


def _house(failures: int = 2, refresh_share: float = 1.0, lease_s: float = 5.0) -> House:
    return House(*_SYMBOLS, failures=failures, refresh_share=refresh_share, lease_s=lease_s)


def _state(house: House) -> str:
    return house.tiers.breaker.state


async def _fill(house: House) -> None:
    """The feed is connected and all symbols are in L1."""
    assert await house.feed.step()
    await house.fill()
    house.store.reads.clear()


def test_without_word_from_the_feed_nothing_is_fresh_after_the_lease() -> None:
    """All of L1 turns stale by the clock alone; entries still serve as a fallback, and are fresh again when the feed is heard."""

    async def work() -> None:
        house = _house()
        await _fill(house)
        house.store.fault = down()
        assert not await house.feed.step()
        house.clock.now += 4.9
        assert house.hit("A")
        house.clock.now += 0.2
        assert not house.hit("A")
        found = await house.tiers.fetch("A", 1.0)
        assert (found.tier, found.proven, found.trouble) == ("l1", False, "l2_error")
        house.store.fault = None
        house.store.feed.append(_NOTHING)
        assert await house.feed.step()
        assert house.hit("A")

    asyncio.run(work())


def test_a_lost_lease_does_not_hide_that_a_store_still_answers() -> None:
    async def work() -> None:
        house = _house()
        await _fill(house)
        house.clock.now += 6.0
        found = await house.tiers.fetch("A", 1.0)
        assert (found.tier, found.proven) == ("l2", True)

    asyncio.run(work())


def test_an_open_breaker_answers_at_once_from_what_there_is() -> None:
    async def work() -> None:
        house = _house()
        await _fill(house)
        house.tiers.invalidate_all()
        house.store.fault = down()
        for _ in range(2):
            await house.tiers.fetch("A", 1.0)
        house.store.reads.clear()
        known, unread = await house.tiers.fetch_many(("A", "Z"), 1.0)
        assert (known.tier, known.proven, known.trouble) == ("l1", False, "l2_open")
        assert unread.evidence is not None
        assert (unread.tier, unread.trouble) == ("none", "l2_open")
        assert house.store.reads == []

    asyncio.run(work())


def test_a_hanging_store_opens_the_breaker_before_its_connections_fail() -> None:
    """Each load that a caller waited for in vain counts once, however many callers waited."""

    async def work() -> None:
        house = _house(failures=2)
        house.store.is_holding = True
        waits = [asyncio.create_task(house.tiers.fetch(symbol, 0.01)) for symbol in ("A", "A", "A")]
        await asyncio.sleep(0)
        house.clock.now += 0.2
        assert {found.trouble for found in await asyncio.gather(*waits)} == {"l2_timeout"}
        assert _state(house) == "closed"
        wait = asyncio.create_task(house.tiers.fetch("B", 0.01))
        await asyncio.sleep(0)
        house.clock.now += 0.2
        await wait
        assert _state(house) == "open"
        house.store.release()
        await house.tiers.close()
        assert _state(house) == "closed"

    asyncio.run(work())


def test_a_read_of_many_symbols_is_one_failure_whether_it_hangs_or_fails() -> None:
    """Two failures open the breaker: one batch of five symbols does not, nor does its read's own end, and a second one does."""

    async def work() -> None:
        house = _house(failures=2)
        house.store.is_holding = True
        wait = asyncio.create_task(house.tiers.fetch_many("ABCDE", 0.01))
        await asyncio.sleep(0)
        house.clock.now += 0.2
        assert {found.trouble for found in await wait} == {"l2_timeout"}
        assert _state(house) == "closed"
        house.store.release(fault=down())
        await house.tiers.close()
        house.store.fault = down()
        assert _state(house) == "closed"
        await house.tiers.fetch_many("ABCDE", 1.0)
        assert _state(house) == "open"

    asyncio.run(work())


def test_what_l1_knew_before_a_wait_is_not_proven_if_the_lease_ended_in_it() -> None:
    """A fresh symbol, an unknown one, and one that L2 does not answer for: all three are of the moment after the wait."""

    async def work() -> None:
        house = _house()
        await _fill(house)
        await house.tiers.fetch("Z", 1.0)
        house.store.is_holding = True
        begun = house.tiers.begin_many(("A", "Z", "C"))
        house.clock.now += 6.0
        known, unknown, unread = await house.tiers.finish_many(begun, 0.01)
        assert (known.tier, known.proven, known.trouble, known.evidence is not None) == ("l1", False, "l2_timeout", True)
        assert unknown == Lookup(KINDS.unread("l2_timeout"), "none", proven=False, age_s=0.0, trouble="l2_timeout")
        assert unread.trouble == "l2_timeout"
        house.store.release()
        await house.tiers.close()

    asyncio.run(work())


def test_an_unknown_symbol_is_asked_for_again_when_the_lease_is_over() -> None:
    """With a silent feed nobody would hear that it was published."""

    async def work() -> None:
        house = _house()
        assert (await house.tiers.fetch("Z", 1.0)).tier == "l2"
        assert (await house.tiers.fetch("Z", 1.0)).tier == "l1"
        house.tiers.memory.proven_until = house.clock.now + 1.0
        house.store.put(row("Z"))
        house.clock.now += 1.0
        found = await house.tiers.fetch("Z", 1.0)
        assert (found.tier, found.evidence is not None) == ("l2", True)

    asyncio.run(work())


def test_whoever_finds_an_entry_late_in_its_life_has_it_loaded_anew() -> None:
    """Symbols asked for in another spelling, and those of batches and streams, come this way and not by `hit`."""

    async def work() -> None:
        house = _house(refresh_share=0.5, lease_s=1000.0)
        await _fill(house)
        house.clock.now += 31.0
        assert (await house.tiers.fetch("A", 1.0)).tier == "l1"
        await settle()
        assert house.store.reads == [["A"]]

    asyncio.run(work())


def test_a_load_that_was_waited_for_in_vain_is_not_waited_for_again() -> None:
    """What it brings in the end is kept all the same."""

    async def work() -> None:
        house = _house(failures=1000)
        house.store.is_holding = True
        first = asyncio.create_task(house.tiers.fetch("A", 0.01))
        await asyncio.sleep(0)
        house.clock.now += 0.2
        await first
        found = await asyncio.wait_for(house.tiers.fetch("A", 3600.0), 1.0)
        assert found.trouble == "l2_timeout"
        house.store.release()
        await house.tiers.close()
        assert house.hit("A")

    asyncio.run(work())


def test_a_callers_short_deadline_says_nothing_of_the_store() -> None:
    """Who waits for a millisecond only has not seen L2 fail."""

    async def work() -> None:
        house = _house(failures=1)
        house.store.is_holding = True
        assert (await house.tiers.fetch("A", 0.001)).trouble == "l2_timeout"
        assert _state(house) == "closed"
        house.store.release()
        await house.tiers.close()

    asyncio.run(work())


def test_the_feed_ends_the_breakers_pause() -> None:
    """A feed that is heard again means that L2 is back."""

    async def work() -> None:
        house = _house(failures=1)
        await _fill(house)
        house.tiers.invalidate_all()
        house.store.fault = down()
        await house.tiers.fetch("A", 1.0)
        assert _state(house) == "open"
        house.store.fault = None
        house.store.feed.append(_NOTHING)
        assert await house.feed.step()
        assert (await house.tiers.fetch("A", 1.0)).tier == "l2"
        assert _state(house) == "closed"

    asyncio.run(work())


def test_a_hit_late_in_an_entrys_life_has_it_loaded_anew() -> None:
    """There is one load, and the entry never expires for whoever asks often."""

    async def work() -> None:
        house = _house(refresh_share=0.5, lease_s=1e9)
        await _fill(house)
        house.clock.now += 29.0
        assert house.hit("A")
        await settle()
        assert house.store.reads == []
        house.clock.now += 2.0
        assert all(house.hit("A") for _ in range(10))
        await settle()
        assert house.store.reads == [["A"]]
        house.clock.now += 40.0
        assert house.hit("A")
        assert not house.hit("B")

    asyncio.run(work())


def test_an_entry_that_is_already_on_its_way_is_not_loaded_twice() -> None:
    """It was asked of L2 while the lease was lost; when the lease is back, a late hit waits for that load."""

    async def work() -> None:
        house = _house(refresh_share=0.05)
        await _fill(house)
        house.clock.now += 6.0
        house.store.is_holding = True
        asked = asyncio.create_task(house.tiers.fetch("A", 1.0))
        await settle()
        house.store.feed.append(_NOTHING)
        assert await house.feed.step()
        assert house.hit("A")
        await settle()
        house.store.release()
        await asked
        assert house.store.reads == [["A"]]

    asyncio.run(work())


def test_an_empty_store_is_no_failure_and_no_miss() -> None:
    """It answers, so the breaker stays closed; it knows no universe, so nobody is told that a symbol is unknown."""

    async def work() -> None:
        house = _house(failures=1)
        await _fill(house)
        house.tiers.invalidate_all()
        house.store.fault = StoreEmpty("flushed")
        known, unread = await house.tiers.fetch_many(("A", "Z"), 1.0)
        assert (known.tier, known.proven, known.trouble) == ("l1", False, "l2_empty")
        assert (unread.tier, unread.trouble) == ("none", "l2_empty")
        assert unread.evidence is not None
        assert _state(house) == "closed"

    asyncio.run(work())


def test_a_refresh_that_fails_harms_nobody() -> None:
    """The load is not tried again for each hit."""

    async def work() -> None:
        house = _house(refresh_share=0.5, lease_s=1e9)
        await _fill(house)
        house.clock.now += 31.0
        house.store.fault = down()
        assert all(house.hit("A") for _ in range(10))
        await settle()
        assert house.hit("A")
        await settle()
        assert len(house.store.reads) == 1

    asyncio.run(work())


def test_after_a_change_hot_symbols_are_loaded_before_they_are_asked_for() -> None:
    async def work() -> None:
        house = _house()
        await _fill(house)
        house.store.put(row("A"))
        house.store.feed.append(Changes("1", ("A", "B", "UNHEARD"), lost=False, published_ms=1_000_000))
        assert await house.feed.step()
        await settle()
        assert [sorted(read) for read in house.store.reads] == [["A", "B"]]
        assert house.hit("A")
        assert house.hit("C")
        assert house.meters.delays_s == [0.5]

    asyncio.run(work())


def test_of_many_changes_the_hottest_are_loaded_first() -> None:
    """As many as one read takes, by how often they were hit."""

    async def work() -> None:
        house = _house()
        symbols = [f"S{number:03}" for number in range(600)]
        for symbol in symbols:
            house.store.put(row(symbol))
        await house.feed.step()
        await house.tiers.fetch_many(symbols, 1.0)
        hot = symbols[300:400]
        for symbol in hot:
            assert house.hit(symbol)
        house.store.reads.clear()
        house.store.feed.append(Changes("1", (), lost=True))
        assert await house.feed.step()
        await settle()
        (read,) = house.store.reads
        assert len(read) == 256
        assert set(hot) <= set(read)

    asyncio.run(work())


def test_nothing_is_prefetched_from_a_store_that_does_not_answer() -> None:
    """An open breaker holds for what nobody waits for, too."""

    async def work() -> None:
        house = _house(failures=1)
        await _fill(house)
        house.tiers.breaker.failed()
        await house.tiers.prefetch()
        await settle()
        assert house.store.reads == []

    asyncio.run(work())
