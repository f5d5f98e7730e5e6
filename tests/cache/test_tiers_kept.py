"""What L1 keeps: never what is behind, nor what cannot be used while it has what can."""

import asyncio

import pytest

from app.cache.loads import Lookup
from app.cache.read_through import Tiers
from app.domain.evidence import Evidence
from app.store.codec import encode
from app.store.protocol import Stored
from tests.cache.fakes import Clock, CountingMeters, FakeStore, make_tiers
from tests.kit.records import AS_OF_MS, agent_record, evidence_of, price_record, row, stored

_TTL_S, _STALE_S = 60.0, 600.0
_RUBBISH = stored(b"\xc1rubbish", b"\xc1rubbish")


def _tiers(store: FakeStore, clock: Clock) -> Tiers:
    return make_tiers(store, CountingMeters(), clock, ttl_s=_TTL_S, stale_s=_STALE_S)


async def _read(tiers: Tiers) -> Evidence:
    found = await tiers.fetch("A", 30.0)
    assert found.evidence is not None
    return found.evidence


def test_a_batch_held_up_by_another_symbol_does_not_go_back_behind_what_was_shown_meanwhile() -> None:
    """Its first symbol was read long ago; another caller has seen a newer record of it since."""
    store, clock = FakeStore("A", "B"), Clock()
    tiers = _tiers(store, clock)

    async def work() -> list[Lookup]:
        store.gate.clear()
        held_up = asyncio.create_task(tiers.fetch_many(["B"], 30.0))
        await asyncio.sleep(0.01)
        gate, store.gate = store.gate, asyncio.Event()
        store.gate.set()
        batch = asyncio.create_task(tiers.fetch_many(["A", "B"], 30.0))
        await asyncio.sleep(0.01)
        store.put(row("A", AS_OF_MS + 1, "run-2"))
        tiers.invalidate(["A"])
        assert (await _read(tiers)).run == "run-2"
        gate.set()
        await held_up
        return await batch

    first, second = asyncio.run(work())
    assert (first.evidence and first.evidence.run, second.evidence and second.evidence.run) == ("run-2", "run-1")


def test_a_load_behind_what_l1_holds_is_answered_with_what_l1_holds() -> None:
    """The feed fenced it off, and before it ended the newer record was there."""
    store, clock = FakeStore("A"), Clock()
    tiers = _tiers(store, clock)

    async def work() -> tuple[str | None, str | None]:
        store.gate.clear()
        before = asyncio.create_task(_read(tiers))
        await asyncio.sleep(0.01)
        gate, store.gate = store.gate, asyncio.Event()
        store.gate.set()
        store.put(row("A", AS_OF_MS + 1, "run-2"))
        tiers.invalidate(["A"])
        after = (await _read(tiers)).run
        gate.set()
        return (await before).run, after

    assert asyncio.run(work()) == ("run-2", "run-2")


@pytest.mark.parametrize(
    ("stored", "troubles"),
    [
        (_RUBBISH, ("corrupt", "corrupt")),
        (stored(b"\x90", encode(agent_record("A", AS_OF_MS + 1, "run-2"))), ("corrupt", None)),
        (stored(encode(price_record("A", AS_OF_MS + 1, "run-2")), b""), (None, "corrupt")),
    ],
)
def test_a_record_that_cannot_be_used_leaves_the_one_that_was(stored: Stored, troubles: tuple[str | None, str | None]) -> None:
    """The earlier record decides on, and its trouble says that it is not the newest; what is well is replaced."""
    store, clock = FakeStore("A"), Clock()
    tiers = _tiers(store, clock)

    async def work() -> tuple[Evidence, Evidence]:
        await _read(tiers)
        store.records["A"] = stored
        tiers.invalidate(["A"])
        spoilt = await _read(tiers)
        entry = tiers.hit("A", clock())
        assert entry is not None
        assert entry.evidence is spoilt
        store.put(row("A", AS_OF_MS + 2, "run-3"))
        tiers.invalidate(["A"])
        return spoilt, await _read(tiers)

    spoilt, mended = asyncio.run(work())
    assert spoilt.price is not None
    assert spoilt.agents is not None
    assert (spoilt.troubles[0], spoilt.troubles[1]) == troubles
    assert (spoilt.price.run, spoilt.agents.run) == tuple("run-1" if trouble else "run-2" for trouble in troubles)
    assert (mended.run, mended.troubles[0], mended.troubles[1]) == ("run-3", None, None)


def test_a_record_that_stays_unusable_is_made_up_for_only_as_long_as_stale_ones_are_served() -> None:
    """Reading it again and again does not make the one in its place last longer."""
    store, clock = FakeStore("A"), Clock()
    tiers = _tiers(store, clock)

    async def work() -> list[bool]:
        await _read(tiers)
        store.records["A"] = _RUBBISH
        seen = []
        for _ in range(14):
            clock.now += 50.0
            tiers.invalidate(["A"])
            seen.append((await _read(tiers)).price is not None)
        return seen

    # 60 s of life and 600 s of afterlife are over between the thirteenth look (650 s) and the fourteenth (700 s).
    assert asyncio.run(work()) == [True] * 13 + [False]


def test_a_first_record_that_cannot_be_used_is_none() -> None:
    """There is nothing to put in its place."""
    store, clock = FakeStore(), Clock()
    store.records["A"] = _RUBBISH
    evidence = asyncio.run(_read(_tiers(store, clock)))
    assert evidence == evidence_of(None, None, "corrupt", "corrupt")
