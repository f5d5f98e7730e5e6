"""Settings that are right by themselves and contradict each other: refused at the start, with what is allowed."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.constants import CONSTANTS
from app.errors import SettingsError
from app.fitting import BELOW_INPUT_LIMIT
from app.options import Settings
from app.settings import load_settings
from app.store.protocol import Changes
from tests.kit.house import House
from tests.kit.store import FakeStore

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

    house: House
    seen: list[bool]

    async def changes(self, after: str, wait_s: float) -> Changes:
        """Nothing."""
        self.house.clock.now += wait_s
        self.seen.append(self.house.hit() is not None)
        return Changes(after, (), lost=False)


@given(l1_lease_s=st.floats(0.5, 3600))
def test_with_settings_that_are_taken_a_quiet_feed_keeps_l1_fresh(l1_lease_s: float) -> None:
    """Whatever is accepted: no read of the feed is so long that the lease ends in it."""
    lease_s, wait_s = _load(l1_lease_s=l1_lease_s).l1_lease_s, CONSTANTS.feed_wait_ms / 1000.0
    store = QuietStore("A")
    store.house, store.seen = House(store=store, wait_s=wait_s, lease_s=lease_s, ttl_s=1e9), []

    async def work() -> None:
        await store.house.feed.step()
        await store.house.fetch()
        for _ in range(5):
            assert await store.house.feed.step()

    store.house.run(work)
    assert store.seen == [True] * 5


def test_constants_fit_all_settings_that_are_taken() -> None:
    """The largest batch can be loaded whole, and named; nobody who follows as much as they may is dropped by a publication."""
    largest = _load(batch_max=10_000, stream_max_symbols=10_000)
    assert largest.batch_max <= CONSTANTS.l2_max_pending
    assert largest.stream_max_symbols <= CONSTANTS.stream_queue
    for more in ("batch_max", "stream_max_symbols"):
        with pytest.raises(SettingsError):
            _load(**{more: 10_001})
