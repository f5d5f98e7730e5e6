"""The domain clock."""

from app.observe.clocks import ReplayClock, wall_ms
from tests.cache.fakes import Clock
from tests.records import AS_OF_MS


def test_replay_starts_at_the_newest_data_and_runs_on() -> None:
    """History is served as if it were now."""
    clock = Clock()
    replay = ReplayClock(clock, lambda: 7)
    assert replay() == 7
    replay.start_at(AS_OF_MS)
    clock.now += 2.5
    assert replay() == AS_OF_MS + 2500


def test_replay_never_runs_backwards() -> None:
    """Older data does not move it; newer data moves it on."""
    clock = Clock()
    replay = ReplayClock(clock)
    replay.start_at(AS_OF_MS)
    clock.now += 10
    replay.start_at(AS_OF_MS)
    replay.start_at(AS_OF_MS - 5000)
    assert replay() == AS_OF_MS + 10_000
    replay.start_at(AS_OF_MS + 60_000)
    assert replay() == AS_OF_MS + 60_000


def test_the_wall_clock_is_the_real_time() -> None:
    """It is later than when this was written."""
    assert wall_ms() > 1_790_000_000_000
