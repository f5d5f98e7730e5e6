"""Fair queues: who proceeds in which turn of the event loop."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.errors import Problem
from app.http.queues import FairQueue, Queues


class _Line:
    """A queue, who got through it in which turn of the loop, and who was refused."""

    def __init__(self, max_waiting: int = 100) -> None:
        self.queue = FairQueue(max_waiting)
        self.passed: list[str] = []
        self.refused: list[str] = []
        self.turns: list[int] = []
        self._turn = 0

    async def _one(self, caller: str) -> None:
        try:
            await self.queue.turn(caller)
        except Problem as problem:
            self.refused.append(f"{caller} {problem.status} {problem.headers[0][0]}")
        else:
            self.passed.append(caller)
            self.turns.append(self._turn)

    def ask(self, *callers: str) -> "list[asyncio.Task[None]]":
        """All of them, in the loop's next turn."""
        return [asyncio.create_task(self._one(caller)) for caller in callers]

    async def pass_turns(self, turns: int) -> None:
        """Let the loop turn."""
        for _ in range(turns):
            self._turn += 1
            await asyncio.sleep(0)


def _run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


def test_of_many_who_come_at_once_one_proceeds_a_turn() -> None:
    async def work() -> None:
        line = _Line()
        callers = [f"{number}" for number in range(30)]
        line.ask(*callers)
        await line.pass_turns(40)
        assert line.passed == callers
        assert len(set(line.turns)) == len(callers)

    _run(work)


def test_who_comes_alone_waits_for_nothing() -> None:
    """Nothing is awaited: what is under no attack is as quick as ever."""

    async def work() -> None:
        queue = FairQueue(1)
        for _ in range(3):
            turn = queue.turn("a")
            with pytest.raises(StopIteration):
                turn.send(None)
            await asyncio.sleep(0)

    _run(work)


def test_callers_take_turns_with_each_other() -> None:
    async def work() -> None:
        line = _Line()
        line.ask(*["flood"] * 20, "probe", "other", "probe")
        await line.pass_turns(30)
        assert line.passed[:7] == ["flood", "flood", "probe", "other", "flood", "probe", "flood"]
        assert len(line.passed) == 23

    _run(work)


def test_beyond_its_bound_a_caller_is_refused_at_once() -> None:
    async def work() -> None:
        line = _Line(max_waiting=3)
        line.ask(*["a"] * 10)
        await line.pass_turns(1)
        assert line.refused == ["a 503 Retry-After"] * 6
        await line.pass_turns(10)
        assert line.passed == ["a"] * 4

    _run(work)


def test_a_flood_that_fills_the_queue_makes_room_for_who_has_nothing_in_it() -> None:
    """Where each has one, nobody is put out."""

    async def work() -> None:
        line = _Line(max_waiting=3)
        line.ask(*["flood"] * 4, "probe")
        await line.pass_turns(10)
        assert line.refused == ["flood 503 Retry-After"]
        assert sorted(line.passed) == ["flood", "flood", "flood", "probe"]
        line = _Line(max_waiting=3)
        line.ask("a", "a", "b", "c", "d")
        await line.pass_turns(10)
        assert (line.refused, line.passed) == (["d 503 Retry-After"], ["a", "a", "b", "c"])

    _run(work)


def test_who_left_takes_nobodys_turn() -> None:
    async def work() -> None:
        line = _Line(max_waiting=3)
        tasks = line.ask(*"abcd")
        await line.pass_turns(1)
        for gone in tasks[1:3]:
            gone.cancel()
        await line.pass_turns(3)
        assert line.passed == ["a", "d"]
        line.ask(*"efgh")
        await line.pass_turns(6)
        assert (line.passed, line.refused) == (list("adefgh"), [])

    _run(work)


def test_each_kind_has_a_queue_of_its_own() -> None:
    """A flood of pages from a proxy's address holds up no probe that comes through it too."""

    async def work() -> None:
        queues = Queues(100)
        passed = []

        async def one(kind: str) -> None:
            await queues.turn(kind, "proxy")  # type: ignore[arg-type]
            passed.append(kind)

        tasks = [asyncio.create_task(one(kind)) for kind in ["other"] * 10 + ["metrics"] * 10 + ["probe"]]
        await asyncio.gather(*tasks)
        assert "probe" in passed[:3]

    _run(work)
