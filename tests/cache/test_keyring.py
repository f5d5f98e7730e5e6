"""The keys a worker knows: who is let in, and for how long after the store has fallen silent."""

import asyncio
import sys
from types import FrameType
from typing import Any

import pytest

from app.cache.keyring import KeyRing
from tests.kit.clock import Clock
from tests.kit.keys import SECRET, FakeKeys, key_id
from tests.kit.records import run_info
from tests.kit.store import down

_LEASE_S, _GRACE_S = 5.0, 60.0


class _World:
    """A ring, its store and its clocks."""

    def __init__(self) -> None:
        self.keys = FakeKeys()
        self.clock, self.now_ms = Clock(), 1_000_000
        self.read_counts: list[tuple[int, int]] = []
        self.pauses: list[float] = []
        self.ring = KeyRing(
            self.keys,
            SECRET.encode(),
            self,
            clock=self.clock,
            now_ms=lambda: self.now_ms,
            lease_s=_LEASE_S,
            grace_s=_GRACE_S,
            sleep=self._sleep,
        )

    def keys_read(self, known: int, unsealed: int) -> None:
        self.read_counts.append((known, unsealed))

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == 3:
            raise asyncio.CancelledError

    def read(self) -> bool:
        return asyncio.run(self.ring.read())

    def find(self, key: str) -> object:
        found = self.ring.find(key.encode())
        return found if isinstance(found, str) else found.key_id


@pytest.fixture
def world() -> _World:
    """With two keys, read."""
    made = _World()
    made.keys.make("decide")
    made.read()
    return made


def test_a_key_is_found_once_it_was_read(world: _World) -> None:
    """Several are good at once, so that one can take another's place."""
    first, second = world.keys.make("decide"), world.keys.make("read")
    assert world.find(first) == "unknown"
    assert world.read()
    assert (world.find(first), world.find(second)) == (key_id(first), key_id(second))
    assert world.read_counts[-1] == (3, 0)


def test_a_revoked_key_is_unknown_from_the_next_reading_on(world: _World) -> None:
    key = world.keys.make("decide")
    world.read()
    del world.keys.records[key_id(key)]
    world.read()
    assert world.find(key) == "unknown"


def test_an_emptied_store_takes_nobodys_key_away(world: _World) -> None:
    """Flushed, or another store: as with a silent one they stay good for the time of grace, and one that is revoked is not."""
    key = world.keys.make("decide")
    world.read()
    world.keys.records.clear()
    world.keys.info = None
    assert not world.read()
    assert world.find(key) == key_id(key)
    world.keys.info = run_info()
    assert world.read()
    assert world.find(key) == "unknown"


def test_a_store_that_hangs_is_not_waited_for(world: _World) -> None:
    """A reading that does not come holds up the next one no longer than a pause."""
    key = world.keys.make("decide")
    world.read()
    world.keys.hangs = True
    assert not world.read()
    assert world.find(key) == key_id(key)


def test_an_expired_key_is_told_so(world: _World) -> None:
    """From its last millisecond on, by the wall clock."""
    key = world.keys.make("decide", expires_at_ms=world.now_ms + 10)
    world.read()
    assert world.find(key) == key_id(key)
    world.now_ms += 10
    assert world.find(key) == "expired"


def test_records_of_another_secret_are_counted_and_not_used(world: _World) -> None:
    """Somebody else's servers may share the store, or somebody has written to it who should not."""
    key = world.keys.make("decide", secret="another-secret-of-tests-32-characters")
    world.read()
    assert world.find(key) == "unknown"
    assert world.read_counts[-1] == (1, 1)


def test_keys_outlive_a_silent_store_for_lease_and_grace(world: _World) -> None:
    """Then nothing is known of anybody, which is another answer than a wrong key's."""
    key = world.keys.make("decide")
    world.read()
    world.keys.fault = down()
    world.clock.now += _LEASE_S + _GRACE_S - 0.1
    assert not world.read()
    assert (world.find(key), world.find("decide_wrong")) == (key_id(key), "unknown")
    world.clock.now += 0.1
    assert (world.find(key), world.find("decide_wrong")) == ("unproven", "unproven")
    world.keys.fault = None
    world.read()
    assert world.find(key) == key_id(key)


def test_what_lasts_is_told_again_and_again_and_can_see_whether_its_key_is_good(world: _World) -> None:
    """Revoked, expired and unproven keys are good no more, without being presented anew."""
    kept, revoked = world.keys.make("decide"), world.keys.make("decide")
    expiring = world.keys.make("decide", expires_at_ms=world.now_ms + 10)
    world.read()
    seen: list[list[bool]] = []
    world.ring.listeners.append(lambda: seen.append([world.ring.is_good(key_id(key)) for key in (kept, revoked, expiring)]))
    del world.keys.records[key_id(revoked)]
    world.now_ms += 10
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(world.ring.run())
    assert seen == [[True, False, False]] * 3
    allowed = [(each, world.ring.allows(key_id(each), scope)) for each in (kept, revoked) for scope in ("decide", "read")]
    assert allowed == [(kept, True), (kept, False), (revoked, False), (revoked, False)]
    world.clock.now += _LEASE_S + _GRACE_S
    assert not world.ring.is_good(key_id(kept))


def test_before_the_first_reading_nothing_is_known() -> None:
    """A worker whose store is away from the start lets nobody in."""
    world = _World()
    assert world.find(world.keys.make("decide")) == "unproven"


def test_the_keys_are_read_several_times_in_a_lease(world: _World) -> None:
    """And no fault ends that, foreseen or not."""
    reported: list[Any] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        world.keys.fault = RuntimeError("nobody foresaw this")
        with pytest.raises(asyncio.CancelledError):
            await world.ring.run()

    asyncio.run(run())
    assert world.pauses == [1.0, 1.0, 1.0]
    assert [str(error) for error in reported] == ["nobody foresaw this"] * 3


def _lines_of(world: _World, key: str) -> list[tuple[str, int]]:
    """The lines of the application that looking at ``key`` runs through."""
    lines = []

    def trace(frame: FrameType, event: str, _: object) -> object:
        if "/app/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines.append((frame.f_code.co_name, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        found = world.ring.find(key.encode())
    finally:
        sys.settrace(before)
    assert found == "unknown"
    return lines


def test_every_wrong_key_takes_the_same_way_whatever_of_it_is_right(world: _World) -> None:
    """No early end tells how much matched: line by line, from nothing right to all but the last character."""
    key = world.keys.make("decide")
    world.read()
    last = "A" if key[-1] != "A" else "B"
    almost = key[:-1] + last
    wrong = ["", "x", "x" * len(key), key[:7], key[:19], key[:20] + "x" * 43, almost, key + "x", "decide_" + "0" * 12 + key[19:]]
    ways = [_lines_of(world, each) for each in wrong]
    assert len(ways[0]) > 3
    assert all(way == ways[0] for way in ways)
