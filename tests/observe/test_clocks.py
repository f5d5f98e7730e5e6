"""The domain clock."""

from hypothesis import given
from hypothesis import strategies as st

from app.observe.clocks import ReplayClock, wall_ms
from tests.kit.clock import Clock
from tests.kit.records import AS_OF_MS


def test_replay_starts_at_the_newest_data_and_runs_on() -> None:
    clock = Clock()
    replay = ReplayClock(clock, lambda: 7)
    assert replay() == 7
    replay.start_at(AS_OF_MS)
    clock.now += 2.5
    assert replay() == AS_OF_MS + 2500


def test_replay_never_runs_backwards_while_the_data_reaches_as_far_as_it_did() -> None:
    """The same data do not move it, nor newer ones that it has passed; those that it has not passed move it on."""
    clock = Clock()
    replay = ReplayClock(clock)
    replay.start_at(AS_OF_MS)
    clock.now += 10
    replay.start_at(AS_OF_MS)
    replay.start_at(AS_OF_MS + 5000)
    assert replay() == AS_OF_MS + 10_000
    replay.start_at(AS_OF_MS + 60_000)
    assert replay() == AS_OF_MS + 60_000


def test_replay_goes_back_when_the_newest_data_is_taken_back() -> None:
    """A run that named a wrong time must not set the clock for good: the next one that knows better does."""
    clock = Clock()
    replay = ReplayClock(clock)
    replay.start_at(AS_OF_MS)
    clock.now += 10
    replay.start_at(AS_OF_MS + 365 * 86_400_000)
    clock.now += 10
    replay.start_at(AS_OF_MS)
    assert replay() == AS_OF_MS
    clock.now += 2.5
    replay.start_at(AS_OF_MS)
    assert replay() == AS_OF_MS + 2500


def test_replay_reaches_the_newest_record_that_was_read_whatever_the_run_says() -> None:
    """A run that names too low a time leaves no record ahead of the clock; one that is taken back takes the clock back."""
    clock = Clock()
    replay = ReplayClock(clock, lambda: AS_OF_MS + 1_000_000)
    replay.read(AS_OF_MS)
    replay.start_at(5)
    assert (replay(), replay.beyond_ms) == (5, None)
    replay.read(AS_OF_MS)
    replay.read(AS_OF_MS - 7)
    clock.now += 2.5
    assert (replay(), replay.beyond_ms) == (AS_OF_MS + 2500, AS_OF_MS)
    replay.read(AS_OF_MS + 1000)
    assert (replay(), replay.beyond_ms) == (AS_OF_MS + 2500, AS_OF_MS + 1000)
    replay.start_at(AS_OF_MS + 1000)
    assert (replay(), replay.beyond_ms) == (AS_OF_MS + 2500, None)
    replay.read(AS_OF_MS + 60_000)
    replay.start_at(AS_OF_MS + 1000)
    assert (replay(), replay.beyond_ms) == (AS_OF_MS + 1000, None)


def test_replay_believes_no_record_from_after_the_wall_clock() -> None:
    """One that was planted must not make all others too old."""
    replay = ReplayClock(Clock(), lambda: AS_OF_MS + 10)
    replay.start_at(AS_OF_MS)
    replay.read(AS_OF_MS + 11)
    assert (replay(), replay.beyond_ms) == (AS_OF_MS, AS_OF_MS + 11)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20)), min_size=1))
def test_replay_is_never_behind_the_data_nor_further_ahead_than_time_went_by(told: list[tuple[int, int]]) -> None:
    """Whatever runs say one after the other: at each moment it lies between the last one's newest data and what a clock that had
    been started at the newest of all since the last withdrawal would show.
    """
    clock = Clock()
    replay = ReplayClock(clock, lambda: 0)
    started_s, highest, before = clock.now, 0, 0
    for newest_ms, wait_s in told:
        if newest_ms < before:
            started_s, highest = clock.now, newest_ms
        before, highest = newest_ms, max(highest, newest_ms)
        replay.start_at(newest_ms)
        clock.now += wait_s
        assert newest_ms <= replay() <= highest + (clock.now - started_s) * 1000


def test_the_wall_clock_is_the_real_time() -> None:
    assert wall_ms() > 1_790_000_000_000
