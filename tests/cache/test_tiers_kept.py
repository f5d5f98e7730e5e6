"""What L1 keeps: never what is behind, nor what cannot be used while it has what can."""

import asyncio

import pytest

from app.cache.loads import Lookup
from app.domain.evidence import Evidence
from app.store.codec import encode
from app.store.protocol import Row
from tests.kit.house import House, run_in
from tests.kit.records import AS_OF_MS, agent_record, evidence_of, make_row, price_record, row

_RUBBISH = make_row("A", AS_OF_MS, b"\xc1rubbish", AS_OF_MS, b"\xc1rubbish")


def test_a_batch_held_up_by_another_symbol_does_not_go_back_behind_what_was_shown_meanwhile() -> None:
    """Its first symbol was read long ago; another caller has seen a newer record of it since."""
    house = House("A", "B")

    async def work() -> list[Lookup]:
        held_up = await house.begin("B")
        batch = asyncio.create_task(house.tiers.fetch_many(["A", "B"], 30.0))
        await asyncio.sleep(0.01)
        house.store.put(row("A", AS_OF_MS + 1, "run-2"))
        house.tiers.invalidate(["A"])
        assert (await house.read()).run == "run-2"
        house.store.release()
        await held_up
        return await batch

    first, second = asyncio.run(work())
    assert (run_in(first), run_in(second)) == ("run-2", "run-1")


def test_a_load_behind_what_l1_holds_is_answered_with_what_l1_holds() -> None:
    """The feed fenced it off, and before it ended the newer record was there."""
    house = House("A")

    async def work() -> tuple[str | None, str | None]:
        before = await house.begin()
        house.store.put(row("A", AS_OF_MS + 1, "run-2"))
        house.tiers.invalidate(["A"])
        after = (await house.read()).run
        house.store.release()
        return run_in((await before)[0]), after

    assert asyncio.run(work()) == ("run-2", "run-2")


@pytest.mark.parametrize(
    ("stored", "troubles"),
    [
        (_RUBBISH, ("corrupt", "corrupt")),
        (make_row("A", AS_OF_MS, b"\x90", AS_OF_MS, encode(agent_record("A", AS_OF_MS + 1, "run-2"))), ("corrupt", None)),
        (make_row("A", AS_OF_MS, encode(price_record("A", AS_OF_MS + 1, "run-2")), AS_OF_MS, b""), (None, "corrupt")),
    ],
)
def test_a_record_that_cannot_be_used_leaves_the_one_that_was(stored: Row, troubles: tuple[str | None, str | None]) -> None:
    """The earlier record decides on, and its trouble says that it is not the newest; what is well is replaced."""
    house = House("A")

    async def work() -> tuple[Evidence, Evidence]:
        await house.read()
        house.store.put(stored)
        house.tiers.invalidate(["A"])
        spoilt = await house.read()
        entry = house.hit()
        assert entry is not None
        assert entry.evidence is spoilt
        house.store.put(row("A", AS_OF_MS + 2, "run-3"))
        house.tiers.invalidate(["A"])
        return spoilt, await house.read()

    spoilt, mended = asyncio.run(work())
    assert spoilt.price is not None
    assert spoilt.agents is not None
    assert (spoilt.troubles[0], spoilt.troubles[1]) == troubles
    assert (spoilt.price.run, spoilt.agents.run) == tuple("run-1" if trouble else "run-2" for trouble in troubles)
    assert (mended.run, mended.troubles[0], mended.troubles[1]) == ("run-3", None, None)


def test_a_record_that_stays_unusable_is_made_up_for_only_as_long_as_stale_ones_are_served() -> None:
    """Reading it again and again does not make the one in its place last longer."""
    house = House("A")

    async def work() -> list[bool]:
        await house.read()
        house.store.put(_RUBBISH)
        seen = []
        for _ in range(14):
            house.clock.now += 50.0
            house.tiers.invalidate(["A"])
            seen.append((await house.read()).price is not None)
        return seen

    # 60 s of life and 600 s of afterlife are over between the thirteenth look (650 s) and the fourteenth (700 s).
    assert asyncio.run(work()) == [True] * 13 + [False]


def test_a_first_record_that_cannot_be_used_is_none() -> None:
    house = House()
    house.store.put(_RUBBISH)
    assert asyncio.run(house.read()) == evidence_of(None, None, "corrupt", "corrupt")
