"""A change of however many symbols: read, applied and followed by loads in slices, between which others have their turns."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cache.loads import Load
from app.cache.memory import Entry, Memory
from app.domain.evidence import Evidence
from app.slices import SLICE, in_slices, names_on_lines, shares
from app.store.codec import encode
from app.store.protocol import Changes, Row
from tests.kit.house import House
from tests.kit.records import AS_OF_MS, agent_record, agent_view, replaced, row
from tests.kit.serving import Served, http_scope, part, talk
from tests.kit.store import FakeStore

MANY = tuple(f"S{number:05}" for number in range(10 * SLICE))


class Turns:
    """Counts the turns of the loop while it is ``counted``, and what is handled in each."""

    def __init__(self) -> None:
        self.number = 0
        self.handled: Counter[int] = Counter()
        self.kept: Counter[int] = Counter()

    def handle(self, count: int) -> None:
        """So many symbols in this turn."""
        self.handled[self.number] += count

    @contextlib.asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        """The loop turns while the body awaits."""

        async def turn() -> None:
            while True:
                self.number += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(turn())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()


class CountedMemory(Memory):
    """L1 that counts the symbols that it goes through in one go."""

    def __init__(self, turns: Turns, **options: Any) -> None:  # noqa: ANN401 - as the other
        super().__init__(**options)
        self._turns = turns

    def put(self, symbol: str, evidence: Evidence, *more: Any) -> Entry:  # noqa: ANN401 - as the other
        """As ever, counted."""
        self._turns.kept[self._turns.number] += 1
        return super().put(symbol, evidence, *more)

    def expire(self, symbols: Iterable[str]) -> None:
        """As ever, counted."""
        symbols = tuple(symbols)
        self._turns.handle(len(symbols))
        super().expire(symbols)

    def withdraw(self, symbols: Iterable[str]) -> None:
        """As ever, counted twice: it takes twice as long."""
        symbols = tuple(symbols)
        self._turns.handle(2 * len(symbols))
        super().withdraw(symbols)

    def hottest(self, most: int, among: Iterable[str] | None = None) -> list[str]:
        """As ever, counted."""
        symbols = tuple(self._entries if among is None else among)
        self._turns.handle(len(symbols))
        return super().hottest(most, symbols)


class ManyHouse(House):
    """Its tiers hold MANY symbols; it counts in turns of the loop what is done with them."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.hear_of: Callable[[Changes], None] = super().on_changes
        super().__init__("A", "B", lease_s=5.0, max_entries=2 * len(MANY), memory=partial(CountedMemory, self.turns))

    def on_changes(self, changes: Changes) -> None:
        """Counted."""
        self.turns.handle(len(changes.symbols))
        self.hear_of(changes)

    async def fill(self) -> None:
        """All of them into L1, one object of evidence for all; the last ones are the hottest."""
        await self.feed.step()
        (found,) = await self.tiers.fetch_many(["A"], 30.0)
        assert found.evidence is not None
        for symbol in MANY:
            self.tiers.memory.put(symbol, found.evidence)
        for symbol in MANY[-300:]:
            assert self.tiers.memory.fresh(symbol, self.clock()) is not None
        for symbol in MANY[-100:]:
            assert self.tiers.memory.fresh(symbol, self.clock()) is not None
        self.store.reads.clear()
        self.heard.clear()

    async def change(self, changes: Changes) -> None:
        """The feed reads this, and the loads that follow begin."""
        self.store.feed = [changes]
        async with self.turns.counted():
            await self.feed.step()
        await self.tiers.close()


async def _hot_read(house: ManyHouse) -> set[str]:
    await asyncio.sleep(0)
    await house.tiers.close()
    (read,) = house.store.reads
    assert len(read) == 256
    return set(read)


def test_a_change_of_many_symbols_is_applied_in_slices() -> None:
    async def work() -> None:
        house = ManyHouse()
        await house.fill()
        await house.change(Changes("1", MANY, lost=False))
        assert sum(house.turns.handled.values()) >= 3 * len(MANY)
        assert max(house.turns.handled.values()) <= 4 * SLICE
        assert all(house.tiers.memory.fresh(symbol, house.clock()) is None for symbol in MANY if symbol not in MANY[-300:])
        assert set(MANY[-100:]) <= await _hot_read(house) <= set(MANY[-300:])

    asyncio.run(work())


def test_after_a_loss_the_hottest_are_looked_for_in_slices() -> None:
    async def work() -> None:
        house = ManyHouse()
        await house.fill()
        await house.change(Changes("1", (), lost=True))
        assert sum(house.turns.handled.values()) >= len(MANY)
        assert max(house.turns.handled.values()) <= 2 * SLICE
        assert set(MANY[-100:]) <= await _hot_read(house) <= set(MANY[-300:])

    asyncio.run(work())


@pytest.mark.parametrize("lost", [False, True])
def test_a_withdrawal_of_many_symbols_is_applied_in_slices(lost: bool) -> None:  # noqa: FBT001 - a test's parameter
    """L1 forgets no more in a turn than it makes stale, and whoever is told of a slice is told that it was withdrawn."""

    async def work() -> None:
        house = ManyHouse()
        await house.fill()
        await house.change(Changes("1", ("X", *MANY), lost=lost, withdrawn=MANY))
        assert max(house.turns.handled.values()) <= 4 * SLICE + (len(MANY) if lost else 0)
        assert len(house.tiers.memory) == 1
        told = [(each.symbols, each.withdrawn) for each in house.heard]
        if lost:
            assert told == [(("X", *MANY), MANY)]
        else:
            assert all(set(withdrawn) == set(symbols) - {"X"} for symbols, withdrawn in told)
            assert max(len(symbols) for symbols, _ in told) == SLICE // 2

    asyncio.run(work())


def test_how_far_a_change_reaches_is_told_with_its_last_slice() -> None:
    """Until then what was told is a part, and no point to go on from. All are told, once, in order."""

    async def work() -> None:
        house = ManyHouse()
        await house.fill()
        await house.change(Changes("1", MANY, lost=False, published_ms=AS_OF_MS))
        assert [each.last_id for each in house.heard] == [""] * 9 + ["1"]
        assert tuple(symbol for each in house.heard for symbol in each.symbols) == MANY

    asyncio.run(work())


def test_the_lease_is_renewed_when_all_of_a_change_is_applied() -> None:
    """Not while there are slices left, and then from the moment at which the feed was read."""

    async def work() -> None:
        house = ManyHouse()
        await house.fill()
        until = house.tiers.memory.proven_until
        house.clock.now += 2.0
        leases = []

        def hear(_: Changes) -> None:
            leases.append(house.tiers.memory.proven_until)
            house.clock.now += 0.25

        house.hear_of = hear
        await house.change(Changes("1", MANY, lost=False))
        assert leases == [until] * 10
        assert (house.tiers.memory.proven_until, house.feed.lag_s()) == (until + 2.0, 2.5)

    asyncio.run(work())


def test_a_load_is_fenced_by_its_symbols_own_slice() -> None:
    async def work() -> None:
        house = ManyHouse()
        await house.fill()
        house.clock.now += 61.0
        house.store.is_holding = True
        begun: list[Load] = []

        def hear(changes: Changes) -> None:
            if not begun:
                begun.extend(each.found for each in house.tiers.begin_many(["A", "B"]) if isinstance(each.found, Load))
            elif changes.last_id:
                # Both have been read.
                house.store.put(row("B", AS_OF_MS + 1))
                house.store.release()

        house.hear_of = hear
        await house.change(Changes("1", ("A", *MANY, "B"), lost=False))
        assert house.store.reads[0] == ["A", "B"]
        assert [(each.symbol, each.moved) for each in begun] == [("A", False), ("B", True)]
        assert house.hit() is not None
        assert house.hit("B") is None

    asyncio.run(work())


def _large(symbol: str) -> Row:
    """A row whose agents have a lot to say."""
    views = tuple(agent_view(f"agent_{number}") for number in range(100))
    return replaced(row(symbol), agents=encode(agent_record(symbol, views=views)))


def test_what_a_read_brings_is_decoded_in_slices_of_its_bytes() -> None:
    """Records may be large: whoever waits for some of them is not kept from the others, nor is anybody else."""

    async def work() -> None:
        house = ManyHouse()
        symbols = MANY[:200]
        for symbol in symbols:
            house.store.put(_large(symbol))
        async with house.turns.counted():
            found = await house.tiers.fetch_many(symbols, 30.0)
        assert all(each.evidence is not None and each.evidence.agents is not None for each in found)
        assert house.store.reads == [list(symbols)]
        assert sum(house.turns.kept.values()) == len(symbols)
        assert max(house.turns.kept.values()) <= len(symbols) / 5

    asyncio.run(work())


def test_what_a_read_has_brought_is_given_to_all_though_it_is_cancelled() -> None:
    """As at the end of the process: nobody waits for a load that is gone."""

    async def work() -> None:
        house = ManyHouse()
        symbols = MANY[:200]
        for symbol in symbols:
            house.store.put(_large(symbol))
        begun = house.tiers.begin_many(symbols)
        await house.tiers.finish_many(begun[:1], 3600.0)
        assert not all(isinstance(each.found, Load) and each.found.found for each in begun)
        (task,) = house.tiers._tasks
        task.cancel()
        found = await house.tiers.finish_many(begun, 3600.0)
        assert all(each.proven for each in found)

    asyncio.run(work())


def test_names_are_read_in_slices_of_their_text() -> None:
    async def turns(texts: list[bytes]) -> int:
        counting = Turns()
        async with counting.counted():
            before = counting.number
            assert await names_on_lines(texts) == MANY
            return counting.number - before

    texts = ["\n".join(MANY[first : first + 10]).encode() for first in range(0, len(MANY), 10)]
    assert asyncio.run(turns(["\n".join(MANY).encode()])) >= 3
    assert asyncio.run(turns(texts)) >= 3


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.sampled_from(["A", "B", "", "S" * 9000, "T" * 40_000]))))
def test_names_are_those_on_the_lines_in_order_without_repeats(entries: list[list[str]]) -> None:
    texts = ["\n".join(entry).encode() for entry in entries]
    expected = tuple(dict.fromkeys(name for entry in entries for name in entry if name))
    assert asyncio.run(names_on_lines(texts)) == expected


def test_slices_are_all_there_is_in_order() -> None:
    async def slices(names: tuple[str, ...]) -> list[tuple[str, ...]]:
        return [some async for some in in_slices(names)]

    assert asyncio.run(slices(())) == []
    assert [len(each) for each in asyncio.run(slices(MANY[: 2 * SLICE + 1]))] == [SLICE, SLICE, 1]


@given(st.lists(st.integers(1, 12), max_size=60), st.integers(1, 30))
def test_shares_cost_about_as_much_each_and_are_all_together(costs: list[int], most: int) -> None:
    found = list(shares(costs, most))
    assert [place for share in found for place in share] == list(range(len(costs)))
    assert all(sum(costs[place] for place in share[:-1]) < most for share in found)


@pytest.mark.parametrize(("method", "path"), [("GET", "/price/latest?symbols="), ("POST", "/decide/batch")])
def test_others_have_more_turns_where_symbols_are_unknown(method: str, path: str) -> None:
    """What each may be meant to be takes as long as ten answers."""
    turns = Turns()

    async def ask(served: Served, prefix: str) -> int:
        symbols = [f"{prefix}{number:04}" for number in range(200)]
        scope = http_scope(method, path.partition("?")[0])
        messages = []
        if method == "GET":
            scope["query_string"] = f"symbols={','.join(symbols)}".encode()
        else:
            messages = [part(json.dumps({"symbols": symbols}).encode())]
        before = turns.number
        async with turns.counted():
            assert (await talk(served.app, scope, *messages)).status == 200
        return turns.number - before

    with Served(FakeStore(*(f"K{number:04}" for number in range(200)))) as served:
        # The universe is read once.
        known, _, unknown = [served.runner.run(ask(served, prefix)) for prefix in ("K", "V", "U")]
    assert unknown >= known + 30
