"""Killed between any two steps, the consumer loses nothing and counts nothing twice: the next one goes on as if nothing was."""

import os
import random
import secrets
from collections.abc import Callable
from typing import Any

from tests.stream.days import days_before, publish, put, records, row_of
from tests.stream.killing import STEPS
from tests.stream.rig import SYMBOL, Rig, cancel, heartbeat, price, trade

_SEED = int(os.environ.get("FAULT_SEED", secrets.randbelow(2**32)))
_KILLS = 15
_MESSAGES: tuple[Any, ...] = (
    *(trade(1), b"no json", trade(2)),
    *(trade(5), cancel(5, 6), trade(3)),
    *(heartbeat(8, 7), trade(7), trade(7)),
    *(price(1, "7"), price(3, "9.5"), price(2, "8.25")),
)
"""Four batches, with all that is written."""


def _result(rig: Rig) -> Any:  # noqa: ANN401 - whatever there is
    statements = (
        "SELECT partition, message_offset FROM dead_letters",
        "SELECT topic, partition, next FROM offsets",
        "SELECT venue, symbol, at_us, last_id, last_us, missing FROM heard",
    )
    return rig.all([SYMBOL]), rig.averages(), [sorted(rig.market.rows(each)) for each in statements]


def test_killed_at_any_step_it_loses_nothing_and_counts_nothing_twice(
    make_rig: Callable[..., Rig], killed: Callable[[Rig, int], tuple[int, str]]
) -> None:
    """Once, and once more while it reads what it had written."""
    rig = make_rig()
    rig.append(*_MESSAGES)
    rig.consume(batch_max=3)
    expected = _result(rig)
    seen, number, code = set[str](), 0, -9
    while code:
        number += 1
        rig = make_rig()
        rig.append(*_MESSAGES)
        code, moment = killed(rig, number)
        assert code in (0, -9)
        if code:
            seen.add(moment)
            killed(rig, 1 + number % 5)
        rig.consume(batch_max=3)
        assert _result(rig) == expected, (number, moment)
    assert seen == {f"{when} {step}" for step in STEPS for when in ("before", "after")}


def _many(chance: random.Random) -> list[Any]:
    """Of a day and a bit, in order and late, some twice, some taken back, some useless."""
    said: list[Any] = [heartbeat(-43_260)]
    for number in range(1, 110):
        second = -43_200 + number * 970 + chance.choice([0, 0, 0, -2_000])
        symbol = chance.choice([SYMBOL, SYMBOL, "ETH-USD"])
        said.append(trade(number, second, symbol=symbol, sequential=False))
        if chance.random() < 0.3:
            said.append(chance.choice([said[-1], cancel(number, second), b"no json", heartbeat(second + 1)]))
    return said


def test_killed_again_and_again_at_random_it_ends_with_what_one_has_that_was_never_killed(
    make_rig: Callable[..., Rig], killed: Callable[[Rig, int], tuple[int, str]]
) -> None:
    """The price record, too, which is computed anew at the day's end."""
    print(f"FAULT_SEED={_SEED}")
    chance, days = random.Random(_SEED), days_before(60)
    messages = _many(chance)

    def begun() -> Rig:
        rig = make_rig(3)
        put(rig, days)
        publish(rig, row_of(days))
        rig.append(*messages)
        return rig

    def result(rig: Rig) -> Any:  # noqa: ANN401 - as `_result`
        price, history = records(rig)
        assert price.as_of_ms > days[-1].end_us // 1000
        return *_result(rig), rig.tick("ETH-USD"), price.values, (history.times_ms, history.closes, history.bars)

    rig = begun()
    rig.consume(batch_max=3)
    expected = result(rig)
    rig = begun()
    for _ in range(_KILLS):
        code, _ = killed(rig, chance.randint(1, 12))
        assert code in (0, -9)
    rig.consume(batch_max=3)
    for found, wanted in zip(result(rig), expected, strict=True):
        assert found == wanted
