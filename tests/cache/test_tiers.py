"""Read-through: who waits for what, what is kept, and what callers get when L2 does not answer."""

import asyncio

import pytest

from app.cache.loads import Lookup
from app.store.codec import encode
from tests.kit.house import TTL_S, House, evidence_in
from tests.kit.records import AS_OF_MS, agent_record, make_row, price_record, replaced, row
from tests.kit.settle import settle
from tests.kit.store import down


def test_a_miss_is_read_from_l2_and_then_hit_in_l1() -> None:
    house = House("A")

    async def work() -> None:
        assert house.hit() is None
        first = await house.fetch()
        assert (first.tier, first.proven, first.age_s, first.trouble) == ("l2", True, 0.0, None)
        entry = house.hit()
        assert entry is not None
        assert entry.evidence is first.evidence
        house.clock.now += 7
        again = await house.fetch()
        assert (again.tier, again.age_s, again.evidence) == ("l1", 7.0, first.evidence)

    house.run(work)
    assert house.store.reads == [["A"]]
    assert house.meters.counts == {"l1 miss": 1, "l2 hit": 1, "reads": 1, "symbols read": 1, "l1 hit": 1}


def test_a_thousand_callers_of_one_cold_symbol_make_one_read() -> None:
    house = House("A")

    async def work() -> None:
        found = await asyncio.gather(*(house.fetch() for _ in range(1000)))
        assert {each.tier for each in found} == {"l2"}

    house.run(work)
    assert house.store.reads == [["A"]]


def test_a_thousand_cold_symbols_of_one_tick_make_a_handful_of_reads() -> None:
    """Misses of one turn of the loop are gathered, and split only to let others have their turn."""
    symbols = [f"S{number}" for number in range(1000)]
    house = House(*symbols)

    async def work() -> None:
        found = await asyncio.gather(*(house.fetch(symbol) for symbol in symbols))
        assert all(each.evidence is not None for each in found)

    house.run(work)
    assert [len(read) for read in house.store.reads] == [256, 256, 256, 232]


_LARGE = [f"S{number}" for number in range(8)]


def _house_of_large_records() -> House:
    house = House()
    for symbol in _LARGE:
        house.store.put(make_row(symbol, AS_OF_MS, b"\xc1" * 100_000, AS_OF_MS, encode(agent_record(symbol))))
    return house


def test_large_records_of_one_read_are_decoded_in_several_turns() -> None:
    """Else nobody would be answered while they are."""
    house = _house_of_large_records()
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def ended(symbol: str) -> int:
        await house.fetch(symbol)
        return turns

    async def work() -> None:
        counting = asyncio.create_task(turn())
        at = await asyncio.gather(*map(ended, _LARGE))
        counting.cancel()
        assert len({*at}) == 4

    house.run(work)
    assert len(house.store.reads) == 1


def test_who_waits_for_a_large_record_gets_it_though_decoding_is_cancelled() -> None:
    house = _house_of_large_records()

    async def work() -> None:
        callers = [asyncio.create_task(house.fetch(symbol)) for symbol in _LARGE]
        await callers[0]
        assert not callers[-1].done()
        for task in asyncio.all_tasks() - {*callers, asyncio.current_task()}:
            task.cancel()
        assert all(each.tier == "l2" for each in await asyncio.gather(*callers))

    house.run(work)


def test_a_batch_answers_in_order_whatever_tier_has_what() -> None:
    house = House("A", "B")

    async def work() -> None:
        await house.fetch("B")
        found = await house.tiers.fetch_many(["NOPE", "B", "A", "A"], 30.0)
        assert [each.tier for each in found] == ["l2", "l1", "l2", "l2"]
        assert [None if each.evidence is None else each.evidence.run for each in found] == [None, "run-1", "run-1", "run-1"]
        assert await house.tiers.fetch_many([], 30.0) == []

    house.run(work)
    assert house.store.reads == [["B"], ["NOPE", "A"]]


def test_an_unknown_symbol_is_remembered_briefly() -> None:
    """L2 is not asked again until the memory of it has run out, or the feed names it."""
    house = House()

    async def work() -> None:
        assert (await house.fetch()).tier == "l2"
        assert (await house.fetch()) == Lookup(None, "l1", proven=True, age_s=0.0)
        house.store.put(row("A"))
        house.tiers.invalidate(["A"])
        assert (await house.fetch()).evidence is not None

    house.run(work)
    assert len(house.store.reads) == 2


def test_an_error_is_not_a_miss() -> None:
    house = House("A")

    async def work() -> None:
        house.store.fault = down()
        found = await house.fetch()
        assert (found.tier, found.proven, found.trouble) == ("none", False, "l2_error")
        evidence = evidence_in(found)
        assert (evidence.price, evidence.troubles[0], evidence.troubles[1]) == (None, "l2_error", "l2_error")
        house.store.fault = None
        assert (await house.fetch()).tier == "l2"

    house.run(work)
    assert (house.meters.counts["l2 error"], house.meters.counts["reads failed"]) == (1, 1)


def test_stale_evidence_answers_while_l2_cannot() -> None:
    """It is said to be unproven."""
    house = House("A")

    async def work() -> None:
        await house.fetch()
        house.clock.now += TTL_S + 1
        house.store.fault = down()
        found = await house.fetch()
        assert (found.tier, found.proven, found.trouble, found.age_s) == ("l1", False, "l2_error", TTL_S + 1)
        assert evidence_in(found).price == price_record("A")
        house.clock.now += 600
        assert (await house.fetch()).tier == "none"

    house.run(work)
    assert house.meters.counts["l1 stale"] == 1


def test_a_caller_waits_no_longer_than_its_budget_and_the_load_goes_on() -> None:
    house = House("A")

    async def work() -> None:
        house.store.is_holding = True
        found = await house.fetch(budget_s=0.0)
        assert (found.tier, found.trouble) == ("none", "l2_timeout")
        assert house.tiers.pending == 1
        waiting = asyncio.create_task(house.fetch())
        await settle()
        house.store.release()
        assert (await waiting).tier == "l2"
        assert house.hit() is not None
        assert house.tiers.pending == 0

    house.run(work)
    assert house.store.reads == [["A"]]


def test_a_caller_who_goes_away_takes_nobody_with_it() -> None:
    house = House("A")

    async def work() -> None:
        house.store.is_holding = True
        gone, stays = asyncio.create_task(house.fetch()), asyncio.create_task(house.fetch())
        await settle()
        gone.cancel()
        await settle()
        house.store.release()
        assert (await stays).tier == "l2"
        assert gone.cancelled()

    house.run(work)


@pytest.mark.parametrize("everything", [False, True])
def test_a_load_that_the_feed_overtook_is_used_and_not_kept(everything: bool) -> None:  # noqa: FBT001 - a test's parameter
    """Whoever is answered after the newer truth is here gets that, whichever read they wait for."""
    house = House("A")
    newer = row("A", AS_OF_MS + 1, "run-2")

    async def work() -> None:
        house.store.is_holding = True
        waiting = asyncio.create_task(house.fetch())
        await settle()
        house.store.put(newer)
        if everything:
            house.tiers.invalidate_all()
        else:
            house.tiers.invalidate(["A", "NEVER-SEEN"])
        after = asyncio.create_task(house.fetch())
        await settle()
        house.store.release()
        assert evidence_in(await waiting).run == "run-2"
        assert evidence_in(await after).run == "run-2"
        entry = house.hit()
        assert entry is not None
        assert entry.run == "run-2"

    house.run(work)
    assert house.store.reads == [["A"], ["A"]]


def test_an_unknown_that_the_feed_overtook_is_not_remembered() -> None:
    """The symbol was published while L2 still said that it did not know it."""
    house = House()

    async def work() -> None:
        house.store.is_holding = True
        waiting = asyncio.create_task(house.fetch())
        await settle()
        house.tiers.invalidate(["A"])
        house.store.put(row("A"))
        house.store.release()
        assert (await waiting).evidence is None
        assert (await house.fetch()).evidence is not None

    house.run(work)


def test_a_read_that_began_later_counts_however_old_its_record_is() -> None:
    """L2 itself never goes back but where records are taken back, so there is nothing to hold against it."""
    house = House()

    async def work() -> None:
        house.store.put(row("A", AS_OF_MS + 5, "new"))
        await house.fetch()
        house.store.put(row("A", AS_OF_MS, "old"))
        house.tiers.invalidate(["A"])
        found = await house.fetch()
        price = evidence_in(found).price
        assert price is not None
        assert (price.as_of_ms, price.run) == (AS_OF_MS, "old")

    house.run(work)


def test_more_loads_than_allowed_are_answered_by_fallback() -> None:
    """Callers of those on their way still join."""
    house = House("A", "B", "C", max_pending=2)

    async def work() -> None:
        house.store.is_holding = True
        waiting = [asyncio.create_task(house.fetch(symbol)) for symbol in ("A", "B", "A")]
        await settle()
        refused = await house.fetch("C")
        assert (refused.tier, refused.trouble) == ("none", "l2_overloaded")
        house.store.release()
        assert [(await each).tier for each in waiting] == ["l2", "l2", "l2"]
        assert (await house.fetch("C")).tier == "l2"

    house.run(work)


def test_what_is_wrong_with_a_record_is_said() -> None:
    """The other record is used all the same."""
    house = House()
    price, agents = encode(price_record("A")), encode(agent_record("A"))
    foreign = price.replace(price_record().schema.encode(), b"0" * 16)
    cases = {
        "absent": replaced(row("A"), price=None),
        "schema_mismatch": replaced(row("A"), price=foreign),
        "corrupt": replaced(row("A"), price=price[:-3]),
    }

    async def work() -> None:
        for trouble, held in cases.items():
            house.store.put(held)
            house.tiers.invalidate_all()
            evidence = evidence_in(await house.fetch())
            assert (evidence.price, evidence.troubles[0], evidence.troubles[1]) == (None, trouble, None)
            assert evidence.agents == agent_record("A")
        house.store.put(replaced(row("A"), agents=agents + b"x"))
        house.tiers.invalidate_all()
        evidence = evidence_in(await house.fetch())
        assert (evidence.troubles[1], evidence.price) == ("corrupt", price_record("A"))
        house.store.put(replaced(row("A"), agents=None))
        house.tiers.invalidate_all()
        assert evidence_in(await house.fetch()).troubles[1] == "absent"

    house.run(work)
    assert (house.meters.counts["fault corrupt"], house.meters.counts["fault schema_mismatch"]) == (2, 1)


def test_closing_waits_for_reads_under_way() -> None:
    """A read that nobody waits for any more still ends before the store is closed."""
    house = House("A")

    async def work() -> None:
        house.store.is_holding = True
        await house.fetch(budget_s=0.0)
        await settle()
        asyncio.get_running_loop().call_soon(house.store.release)
        await house.tiers.close()
        assert house.tiers.pending == 0
        assert house.hit() is not None

    house.run(work)


def test_a_fault_nobody_foresaw_leaves_nobody_waiting_and_is_reported() -> None:
    """Callers get an error's answer at once; the fault goes to the loop's handler, which logs it."""
    house = House("A")

    async def work() -> None:
        house.store.fault = RuntimeError("unforeseen")
        assert (await house.fetch()).trouble == "l2_error"
        house.store.fault = None
        house.store.put(replaced(row("B"), price="no bytes", agents=None))  # type: ignore[arg-type]
        found = await house.tiers.fetch_many(["B", "A"], 30.0)
        assert [each.trouble for each in found] == ["l2_error", None]

    house.run(work)
    assert [type(error) for error in house.unforeseen] == [RuntimeError, TypeError]
    assert house.tiers.pending == 0
