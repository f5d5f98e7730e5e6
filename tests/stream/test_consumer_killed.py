"""Killed between any two steps, the consumer loses nothing and counts nothing twice: the next one goes on as if nothing was."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kit.servers import ROOT
from tests.market.places import PostgresPlace
from tests.stream.killing import STEPS
from tests.stream.rig import SYMBOL, Rig, cancel, heartbeat, trade

_MESSAGES: tuple[Any, ...] = (
    *(trade(1), b"no json", trade(2)),
    *(trade(5), cancel(5, 6), trade(3)),
    *(heartbeat(8, 7), trade(7), trade(7)),
)
"""Three batches, with all that is written."""


@pytest.fixture
def killed() -> Iterator[Callable[[Rig, int], tuple[int, str]]]:
    """Has a consumer that kills itself at the moment of that number; how it ended, and at which moment that was."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.stream.killing"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as job:

        def run(rig: Rig, number: int) -> tuple[int, str]:
            place = rig.market.url if isinstance(rig.market, PostgresPlace) else str(rig.market.path)
            assert job.stdin is not None
            assert job.stdout is not None
            job.stdin.write(f"{place} {rig.folder} {number}\n")
            job.stdin.flush()
            code, _, moment = job.stdout.readline().strip().partition(" ")
            return int(code), moment

        yield run


def _result(rig: Rig) -> Any:  # noqa: ANN401 - whatever there is
    marks = rig.market.rows("SELECT partition, message_offset FROM dead_letters")
    offsets = rig.market.rows("SELECT topic, partition, next FROM offsets")
    return rig.all([SYMBOL]), marks, offsets, rig.market.rows("SELECT venue, symbol, at_us, last_id, last_us, missing FROM heard")


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
