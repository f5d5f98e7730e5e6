"""What commands do while a store is busy."""

import asyncio
import logging

import pytest

from app.errors import StoreBusy, StoreError
from app.store.patience import patiently
from tests.kit.clock import Clock


class _Times:
    """A clock that sleeping moves on, and a store that is busy for some tries."""

    def __init__(self, busy: int, error: StoreError | None = None) -> None:
        self.clock = Clock(0.0)
        self.tries = 0
        self._busy = busy
        self._error = error or StoreBusy("Redis: BUSY")

    async def sleep(self, seconds: float) -> None:
        self.clock.now += seconds

    async def work(self) -> str:
        self.tries += 1
        if self.tries <= self._busy:
            raise self._error
        return "done"

    def run(self) -> str:
        return asyncio.run(patiently(self.work, self.clock, self.sleep))


def test_a_busy_store_is_tried_again_and_that_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    times = _Times(busy=3)
    with caplog.at_level(logging.WARNING):
        assert (times.run(), times.tries) == ("done", 4)
    assert [record.getMessage() for record in caplog.records] == ["l2_error: Redis: BUSY; trying again for up to 60 s"]


def test_the_wait_for_a_busy_store_is_bounded() -> None:
    times = _Times(busy=10_000)
    with pytest.raises(StoreBusy):
        times.run()
    assert 60.0 <= times.clock.now < 61.0


def test_any_other_failure_is_not_tried_again() -> None:
    """It may have been begun."""
    times = _Times(busy=1, error=StoreError("l2_error", "gone"))
    with pytest.raises(StoreError, match="gone"):
        times.run()
    assert times.tries == 1
