"""How callers are held to a rate, on a bucket of the test's own and a clock that moves when it is told to."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Problem
from app.http.limits import Limiter
from tests.http.buckets import ExactBuckets
from tests.kit.clock import Clock

_CALLER = "key:one"


class _World:
    """Limiters on common buckets."""

    def __init__(self, *, burst: int = 100, per_s: float = 10.0, workers: int = 1) -> None:
        self.clock = Clock(0.0)
        self.refused = 0
        self.buckets = ExactBuckets(self.clock, burst=burst, per_s=per_s)
        self.limiters = [Limiter(self.buckets, self, per_s=per_s, burst=burst, clock=self.clock) for _ in range(workers)]

    def limit_refused(self) -> None:
        self.refused += 1

    async def ask(self, tokens: int = 1, worker: int = 0, caller: str = _CALLER) -> dict[bytes, bytes] | Problem:
        limiter = self.limiters[worker]
        try:
            headers = (limiter.spend(caller) if tokens == 1 else None) or await limiter.draw(caller, tokens)
        except Problem as problem:
            return problem
        return dict(headers)

    async def passed(self, requests: int, worker: int = 0) -> int:
        return sum([not isinstance(await self.ask(worker=worker), Problem) for _ in range(requests)])


def test_a_burst_passes_and_then_the_rate() -> None:
    async def run() -> None:
        world = _World()
        assert await world.passed(150) == 100
        world.clock.now += 2.0
        assert await world.passed(150) == 20
        assert world.refused == 180

    asyncio.run(run())


def test_a_refusal_says_when_to_come_back_and_that_is_true() -> None:
    async def run() -> None:
        world = _World(burst=5, per_s=0.4)
        await world.passed(5)
        refused = await world.ask()
        assert isinstance(refused, Problem)
        assert (refused.status, refused.slug) == (429, "rate-limited")
        headers = {name.lower(): value for name, value in refused.headers}
        assert headers == {"retry-after": "3", "ratelimit-policy": '"default";q=5;w=13', "ratelimit": '"default";r=0;t=3'}
        world.clock.now += 3.0
        assert not isinstance(await world.ask(), Problem)

    asyncio.run(run())


def test_who_is_refused_and_asks_again_is_no_burden_to_the_bucket() -> None:
    async def run() -> None:
        world = _World(burst=5, per_s=1.0)
        await world.passed(6)
        before = len(world.buckets.draws)
        assert await world.passed(1000) == 0
        assert len(world.buckets.draws) == before

    asyncio.run(run())


def test_a_fast_caller_costs_the_bucket_little_and_a_slow_one_no_token_too_many() -> None:
    """Blocks grow while they are spent within half a second, up to a tenth of the bucket, and are one token otherwise."""

    async def run() -> None:
        fast = _World(burst=1000, per_s=1000.0)
        assert await fast.passed(1000) == 1000
        assert len(fast.buckets.draws) < 30
        assert max(fast.buckets.draws) == 100
        slow = _World(burst=1000, per_s=1000.0)
        for _ in range(50):
            slow.clock.now += 0.6
            assert await slow.passed(1) == 1
        assert slow.buckets.draws == [1] * 50

    asyncio.run(run())


def test_the_headers_count_down() -> None:
    """What is left is what the bucket has and what this worker has taken out."""

    async def run() -> None:
        world = _World(burst=100, per_s=1e-3)
        left = []
        for _ in range(100):
            headers = await world.ask()
            assert isinstance(headers, dict)
            assert headers[b"ratelimit-policy"] == b'"default";q=100;w=100000'
            left.append(int(headers[b"ratelimit"].split(b";")[1][2:]))
        assert left == list(range(99, -1, -1))

    asyncio.run(run())


def test_callers_do_not_pay_for_each_other() -> None:
    async def run() -> None:
        world = _World(burst=5, per_s=1.0)
        assert await world.passed(9) == 5
        assert not isinstance(await world.ask(caller="key:two"), Problem)

    asyncio.run(run())


def test_many_tokens_are_paid_at_once_and_a_refusal_says_when_there_will_be_so_many() -> None:
    """As a batch pays: who comes back then, having asked for nothing meanwhile, is let in."""

    async def run() -> None:
        world = _World(burst=10, per_s=0.5)
        await world.passed(10)
        refused = await world.ask(tokens=8)
        assert isinstance(refused, Problem)
        wait_s = int(dict(refused.headers)["Retry-After"])
        assert wait_s == 16
        world.clock.now += wait_s
        assert isinstance(await world.ask(tokens=8), dict)

    asyncio.run(run())


def test_a_refusal_is_remembered_for_a_second_and_never_longer_than_an_empty_bucket_takes() -> None:
    """Whatever stands in the bucket: a clock that jumped, or somebody's rubbish."""

    async def run() -> None:
        world = _World(burst=10, per_s=1.0)
        world.buckets.held[_CALLER] = -3600.0, 0.0
        refused = await world.ask()
        assert isinstance(refused, Problem)
        assert int(dict(refused.headers)["Retry-After"]) == 10
        world.buckets.held.clear()
        assert isinstance(await world.ask(), Problem)
        world.clock.now += 1.0
        assert isinstance(await world.ask(), dict)

    asyncio.run(run())


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30), st.floats(0.0, 0.8)), min_size=1, max_size=40),
)
def test_several_workers_together_let_a_tenth_of_the_bucket_more_through_for_each_further_one(
    burst: int, rounds: list[tuple[int, int, float]]
) -> None:
    """Whatever is asked of whom and when: at most that, a bucket, what has run into it since, and a token each of rounding."""

    async def run() -> None:
        world = _World(burst=burst, per_s=7.0, workers=3)
        passed = 0
        for worker, requests, pause_s in rounds:
            world.clock.now += pause_s
            passed += await world.passed(requests, worker)
            assert passed <= burst + 2 * max(1, burst // 10) + 3 + 7.0 * world.clock.now
        for limiter in world.limiters:
            await limiter.close()

    asyncio.run(run())


@given(
    st.integers(1, 200),
    st.floats(0.1, 100.0),
    st.lists(st.tuples(st.integers(1, 40), st.floats(0.0, 3.0)), min_size=1, max_size=60),
)
def test_one_worker_holds_a_caller_to_the_bucket_and_to_nothing_less(
    burst: int, per_s: float, rounds: list[tuple[int, float]]
) -> None:
    """Against a bucket that is asked for each token by itself: who has one is not refused, but for a token of rounding."""

    async def run() -> None:
        world = _World(burst=burst, per_s=per_s)
        held = float(burst)
        for requests, pause_s in rounds:
            world.clock.now += pause_s
            held = min(burst, held + pause_s * per_s)
            for _ in range(requests):
                if isinstance(await world.ask(), Problem):
                    assert held < 2.0
                else:
                    assert held > -1.0
                    held -= 1.0
        await world.limiters[0].close()

    asyncio.run(run())


def test_those_who_come_together_all_get_their_turn() -> None:
    async def run() -> None:
        world = _World(burst=50, per_s=1e-6)
        answers = await asyncio.gather(*(world.limiters[0].draw(_CALLER) for _ in range(80)), return_exceptions=True)
        assert sum(not isinstance(each, BaseException) for each in answers) == 50
        assert all(isinstance(each, list | Problem) for each in answers)

    asyncio.run(run())


@pytest.mark.parametrize("burst", [1, 9, 10, 1000])
def test_nobody_is_refused_while_there_are_tokens(burst: int) -> None:
    """A block that is larger than what is left is made smaller."""

    async def run() -> None:
        world = _World(burst=burst, per_s=1e-6)
        assert await world.passed(burst + 10) == burst

    asyncio.run(run())
