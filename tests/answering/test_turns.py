"""Long computations take turns, and others have theirs."""

import asyncio

from app.answering.turns import SWITCH_INTERVAL_S, Turns


def test_of_all_that_is_under_way_one_slice_runs_in_a_turn_of_the_loop() -> None:
    """However many there are, and each gets its slices in turn."""
    order: list[str] = []
    turn = [0]
    slices_in: dict[int, int] = {}

    async def work(turns: Turns, name: str) -> None:
        for _ in range(5):
            async with turns.slice():
                order.append(name)
                slices_in[turn[0]] = slices_in.get(turn[0], 0) + 1

    async def count_turns() -> None:
        while True:
            turn[0] += 1
            await asyncio.sleep(0)

    async def all_of_it() -> None:
        turns = Turns()
        counting = asyncio.create_task(count_turns())
        await asyncio.gather(*(work(turns, name) for name in "abc"))
        counting.cancel()

    asyncio.run(all_of_it())
    assert "".join(order) == "abc" * 5
    assert set(slices_in.values()) == {1}


def test_the_switch_interval_is_short_only_while_there_is_work() -> None:
    """It is set back also if the work fails."""
    set_to: list[float] = []
    turns = Turns(lambda: 0.005, set_to.append)
    with turns.under_way():
        with turns.under_way():
            pass
        assert set_to == [SWITCH_INTERVAL_S]
    assert set_to == [SWITCH_INTERVAL_S, 0.005]
    try:
        with turns.under_way():
            raise ValueError
    except ValueError:
        pass
    assert set_to == [SWITCH_INTERVAL_S, 0.005] * 2
