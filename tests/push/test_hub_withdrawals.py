"""Those who follow a symbol when records of it are taken back."""

import asyncio

import pytest

from app.push.hub import TURNS_WAITED
from tests.kit.hub import HubHouse, SlowStore, queued, run, told
from tests.kit.records import AS_OF_MS, row
from tests.kit.settle import until
from tests.kit.store import UNIVERSE


@pytest.mark.parametrize("lost", [False, True])
def test_followers_are_told_of_older_data_once_the_newer_was_taken_back(lost: bool) -> None:  # noqa: FBT001 - a test's parameter
    """By a withdrawal, or because the store was emptied and warmed without it: what was decided before counts no more."""

    async def work(house: HubHouse) -> None:
        await house.settled()
        subscriber = await house.follow("AAPL")
        queued(subscriber)
        house.publish(9, "AAPL")
        await house.settled()
        assert told(subscriber) == [("AAPL", "2", "run-9")]
        house.store.put(row("AAPL", AS_OF_MS - 5, "run-again"))
        house.change(*([] if lost else ["AAPL"]), lost=lost, withdrawn=not lost)
        await house.settled()
        assert told(subscriber) == [("AAPL", "3", "run-again")]
        house.publish(1, "AAPL")
        await house.settled()
        assert told(subscriber) == [("AAPL", "4", "run-1")]

    run(work)


async def _turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_was_looked_up_before_a_withdrawal_is_told_to_nobody() -> None:
    store = SlowStore(*UNIVERSE)

    async def work(house: HubHouse) -> None:
        await house.settled()
        follower = await house.follow("AAPL")
        queued(follower)
        store.turns = 40
        house.publish(9, "AAPL")
        comer = asyncio.create_task(house.follow("AAPL"))
        await _turn(20)
        store.put(row("AAPL", AS_OF_MS - 5, "run-again"))
        house.change("AAPL", withdrawn=True)
        store.turns = 0
        await house.settled()
        assert told(follower) == [("AAPL", "3", "run-again")]
        assert [run_name for _, _, run_name in told(await comer)] == ["run-again"]

    run(work, store)


def test_one_who_comes_amid_many_changes_is_told_nothing_of_what_was_taken_back_meanwhile() -> None:
    """L1 had it when it was looked up, for the last time of several, and a read of another symbol was still under way."""

    async def work(house: HubHouse) -> None:
        house.publish(9, "AAPL")
        await house.settled()
        await house.decider.tiers.fetch_many(["AAPL"], 1.0)
        store = house.store
        store.is_holding = True
        comer = asyncio.create_task(house.follow("AAPL", "IBM"))
        for number in range(TURNS_WAITED):
            await until(lambda: len(store.held) > number)  # noqa: B023 - awaited at once
            house.publish(10 + number, "IBM")
            store.release(number)
        await until(lambda: len(store.held) > TURNS_WAITED)
        store.put(row("AAPL", AS_OF_MS - 5, "run-again"))
        house.change("AAPL", withdrawn=True)
        assert store.reads[-1 - TURNS_WAITED :] == [["IBM"]] * (1 + TURNS_WAITED)
        store.release()
        await house.settled()
        assert [each[::2] for each in told(await comer) if each[0] == "AAPL"] == [("AAPL", "run-again")]

    run(work)
