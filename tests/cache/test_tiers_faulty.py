"""A store that errs, dawdles, hangs and lies by chance: callers always get an answer, and never a record nobody wrote."""

import asyncio
import os
import secrets

from app.cache.loads import Lookup
from app.errors import RecordError, StoreError
from tests.kit.faulty import Chances, FaultyStore
from tests.kit.house import House
from tests.kit.records import AS_OF_MS, row
from tests.kit.store import FakeStore

_SEED = int(os.environ.get("FAULT_SEED", secrets.randbelow(2**32)))
_SYMBOLS = [f"S{number}" for number in range(20)]
_BUDGET_S = 0.02


def test_whatever_the_store_does_every_caller_has_an_answer_that_is_true_or_says_why_not() -> None:
    """A thousand callers, a fifth of whose reads go wrong in some way; then all is well, and so are the answers."""
    print(f"seed {_SEED}")
    inner = FakeStore(*_SYMBOLS)
    written = {symbol: {AS_OF_MS} for symbol in _SYMBOLS}

    async def work() -> tuple[list[Lookup], list[Lookup]]:
        store = FaultyStore(inner, _SEED, Chances(error=0.1, delay=0.2, hang=0.05, corrupt=0.2, delay_s=0.03))
        house = House(over=store, ttl_s=1.0, stale_s=1e9, failures=3)
        tiers, clock = house.tiers, house.clock
        answers = []
        for round_ in range(50):
            if round_ % 5 == 0:
                # What hangs would otherwise be all that ever happens.
                store.release()
            symbol = _SYMBOLS[round_ % len(_SYMBOLS)]
            inner.put(row(symbol, AS_OF_MS + round_))
            written[symbol].add(AS_OF_MS + round_)
            tiers.invalidate([symbol])
            answers += await tiers.fetch_many(_SYMBOLS, _BUDGET_S)
            clock.now += 0.7
        store.chances = Chances()
        store.release()
        await tiers.close()
        clock.now += 100.0
        tiers.invalidate_all()
        await tiers.fetch(_SYMBOLS[0], 10.0)
        return answers, await tiers.fetch_many(_SYMBOLS, 10.0)

    during, after = asyncio.run(work())
    assert len(during) == 1000
    for symbol, found in zip(_SYMBOLS * 50, during, strict=True):
        assert found.evidence is not None, symbol
        for record, trouble in (
            (found.evidence.price, found.evidence.troubles[0]),
            (found.evidence.agents, found.evidence.troubles[1]),
        ):
            if record is None:
                assert trouble in ("l2_error", "l2_timeout", "l2_open", "corrupt", "schema_mismatch")
            else:
                assert record.symbol == symbol
                assert record.as_of_ms in written[symbol]
    assert len({found.trouble for found in during}) > 1, "nothing went wrong: the test says nothing"
    for symbol, found in zip(_SYMBOLS, after, strict=True):
        assert found.trouble is None
        assert found.evidence is not None
        assert found.evidence.price is not None
        assert found.evidence.price.as_of_ms == max(written[symbol])


def test_the_same_seed_fails_alike() -> None:
    """So that what was seen once can be seen again."""

    async def outcomes(seed: int) -> list[object]:
        store = FaultyStore(FakeStore("A"), seed, Chances(error=0.3, corrupt=0.5))
        found: list[object] = []
        for _ in range(50):
            try:
                found.append(await store.get_many(["A"]))
            except (StoreError, RecordError) as error:
                found.append(str(error))
        return found

    assert asyncio.run(outcomes(7)) == asyncio.run(outcomes(7))
    assert asyncio.run(outcomes(7)) != asyncio.run(outcomes(8))
