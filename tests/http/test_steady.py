"""What a limit is worth while the shared buckets do not answer."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from app.errors import Problem, StoreError
from app.http.limits import Limiter
from app.http.steady import SteadyBuckets
from tests.http.buckets import ExactBuckets
from tests.kit.clock import Clock
from tests.kit.settle import settle


class _World:
    """A limiter on shared buckets and on its worker's own, and a clock that a test moves."""

    def __init__(self, *, burst: int = 5, per_s: float = 1.0) -> None:
        self.clock = Clock(0.0)
        self.failed = self.refused = 0
        self.shared, self.own = (ExactBuckets(self.clock, burst=burst, per_s=per_s) for _ in range(2))
        self.looks = asyncio.Event()
        self.told: list[StoreError | None] = []
        self.buckets = SteadyBuckets(self.shared, self.own, self, self._sleep, self.told.append)
        self.limiter = Limiter(self.buckets, self, per_s=per_s, burst=burst, clock=self.clock)

    async def _sleep(self, _: float) -> None:
        await self.looks.wait()
        self.looks.clear()

    def limit_failed(self) -> None:
        self.failed += 1

    def limit_refused(self) -> None:
        self.refused += 1

    async def look(self) -> None:
        """A second passes for the look in the background."""
        self.looks.set()
        await settle()

    async def passed(self, requests: int, caller: str = "a") -> int:
        """So many of the requests are let in."""
        count = 0
        for _ in range(requests):
            try:
                if self.limiter.spend(caller) is None:
                    await self.limiter.draw(caller)
            except Problem:
                continue
            count += 1
        return count


def test_while_the_shared_bucket_does_not_answer_each_caller_has_the_rate_and_no_more() -> None:
    """800 addresses at 1 a second and a burst of 5, for eight seconds: 13 each, and not 255."""

    async def run() -> None:
        world = _World()
        world.shared.fault = True
        counts = dict.fromkeys((f"address:{number}" for number in range(800)), 0)
        for _ in range(9):
            for caller in counts:
                counts[caller] += await world.passed(7, caller)
            world.clock.now += 1.0
        assert set(counts.values()) == {13}
        assert (world.failed, len(world.shared.callers)) == (1, 1)
        await world.limiter.close()

    asyncio.run(run())


def test_an_outage_gives_nobody_a_full_bucket_again() -> None:
    """What a caller has had from this worker counts, whichever bucket it came from; and after the outage too."""

    async def run() -> None:
        world = _World()
        assert await world.passed(9) == 5
        world.shared.fault = True
        world.clock.now += 2.0
        assert await world.passed(9) == 2
        world.shared.fault = False
        await world.look()
        assert world.shared.callers[-1] == "nobody"
        world.clock.now += 1.0
        assert await world.passed(9, "b") == 5
        await world.limiter.close()

    asyncio.run(run())


def test_it_is_looked_for_in_the_background_and_each_failure_is_counted() -> None:
    async def run() -> None:
        world = _World()
        world.shared.fault = True
        await world.passed(3)
        await world.look()
        await world.passed(3)
        assert (world.failed, world.shared.callers) == (2, ["a", "nobody"])
        world.shared.fault = False
        await world.look()
        world.clock.now += 10.0
        assert await world.passed(1) == 1
        assert world.shared.callers == ["a", "nobody", "nobody", "a"]
        assert [each and each.reason for each in world.told] == ["limit_error", "limit_error", None]
        await world.limiter.close()

    asyncio.run(run())


def test_an_outage_ends_with_the_limiter() -> None:
    async def run() -> None:
        world = _World()
        world.shared.fault = True
        await world.passed(1)
        await world.limiter.close()
        assert (world.shared.closed, world.own.closed) == (True, True)

    asyncio.run(run())


def test_the_end_of_an_outage_lets_nobody_have_what_nobodys_own_bucket_is_charged_for() -> None:
    """Asked in the moment before a token is there: the shared bucket, full by now, would give as many as it has."""

    async def run() -> None:
        world = _World(burst=6, per_s=2.0)
        world.shared.fault = True
        assert [(await world.buckets.draw("a", 1)).given for _ in range(7)] == [True] * 6 + [False]
        world.shared.fault = False
        await world.look()
        world.clock.now += 0.497
        assert not any([(await world.buckets.draw("a", 1)).given for _ in range(6)])
        world.clock.now += 1.25
        assert [(await world.buckets.draw("a", 1)).given for _ in range(3)] == [True, True, False]
        await world.limiter.close()

    asyncio.run(run())


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(1, 20), st.floats(0.0, 3.0), st.booleans()), min_size=1, max_size=30))
def test_however_often_it_fails_a_caller_gets_a_bucket_and_what_runs_into_it(
    burst: int, rounds: list[tuple[int, float, bool]]
) -> None:
    """With one worker: exactly, but for a token of rounding."""

    async def run() -> None:
        world = _World(burst=burst, per_s=2.0)
        passed = 0
        for requests, pause_s, fault in rounds:
            world.clock.now += pause_s
            world.shared.fault = fault
            await world.look()
            passed += await world.passed(requests)
            assert passed <= burst + 2.0 * world.clock.now + 1
        await world.limiter.close()

    asyncio.run(run())
