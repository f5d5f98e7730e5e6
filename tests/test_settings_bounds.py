"""Settings that are right by themselves and contradict each other: refused at the start, with what is allowed."""

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cache.feed import Feed
from app.constants import CONSTANTS
from app.errors import SettingsError
from app.options import BELOW_INPUT_LIMIT, Settings
from app.settings import load_settings
from app.store.protocol import Changes
from tests.cache.fakes import Clock, CountingMeters, FakeStore, make_tiers

_NO_FILE = Path("/nowhere/.env")


def _load(**settings: float) -> Settings:
    return load_settings({name.upper(): str(value) for name, value in settings.items()}, _NO_FILE)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"price_max_age_s": 10_000_000}, ("PRICE_MAX_AGE_S", "INPUT_LIMIT_S")),
        ({"agents_max_age_s": 10_000_000}, ("AGENTS_MAX_AGE_S", "INPUT_LIMIT_S")),
        ({"input_limit_s": 600_000}, ("INPUT_LIMIT_S", "AGENTS_MAX_AGE_S")),
    ],
)
def test_a_contradiction_is_refused_with_both_names_and_a_way_out(settings: dict[str, float], names: Sequence[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        _load(**settings)
    (line,) = refused.value.lines
    assert line.startswith(f"{names[0]} is ")
    assert f" and {names[1]} is " in line
    assert f"allowed together: {names[0]} of at " in line
    assert f", or {names[1]} of at " in line


@pytest.mark.parametrize("name", BELOW_INPUT_LIMIT)
def test_as_much_as_is_allowed_is_allowed(name: str) -> None:
    most = Settings().input_limit_s
    assert getattr(_load(**{name: most}), name) == most
    assert getattr(_load(), name) <= most


def test_what_is_wrong_by_itself_is_told_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"INPUT_LIMIT_S": "x", "AGENTS_MAX_AGE_S": "10000000"}, _NO_FILE)
    assert [line.partition(" ")[0] for line in refused.value.lines] == ["INPUT_LIMIT_S"]


class QuietStore(FakeStore):
    """A store whose feed says nothing, at the end of each wait; ``seen`` tells what was fresh just before that."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("A")
        self._clock = clock
        self.seen: list[bool] = []
        self.is_fresh: Callable[[], bool] = bool

    async def changes(self, after: str, wait_s: float) -> Changes:
        """Nothing."""
        self._clock.now += wait_s
        self.seen.append(self.is_fresh())
        return Changes(after, (), lost=False)


@given(l1_lease_s=st.floats(0.5, 3600))
def test_with_settings_that_are_taken_a_quiet_feed_keeps_l1_fresh(l1_lease_s: float) -> None:
    """Whatever is accepted: no read of the feed is so long that the lease ends in it."""
    lease_s, wait_s = _load(l1_lease_s=l1_lease_s).l1_lease_s, CONSTANTS.feed_wait_ms / 1000.0
    clock = Clock()
    store, meters = QuietStore(clock), CountingMeters()
    tiers = make_tiers(store, meters, clock, ttl_s=1e9)
    store.is_fresh = lambda: tiers.hit("A", clock.now) is not None

    async def work() -> None:
        rng, sleep = random.Random(1), asyncio.sleep
        feed = Feed(store, tiers, meters, wait_s=wait_s, lease_s=lease_s, rng=rng, clock=clock, now_ms=lambda: 0, sleep=sleep)
        await feed.step()
        await tiers.fetch("A", 1.0)
        for _ in range(5):
            assert await feed.step()

    asyncio.run(work())
    assert store.seen == [True] * 5


def test_constants_fit_all_settings_that_are_taken() -> None:
    """The largest batch can be loaded whole, and named; nobody who follows as much as they may is dropped by a publication."""
    largest = _load(batch_max=10_000, stream_max_symbols=10_000)
    assert largest.batch_max <= CONSTANTS.l2_max_pending
    assert largest.stream_max_symbols <= CONSTANTS.stream_queue
    for more in ("batch_max", "stream_max_symbols"):
        with pytest.raises(SettingsError):
            _load(**{more: 10_001})
