"""The bell: who writes to a file wakes who waits for it, in another process too."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from app.store.bell import Bell, Ear, ring

_LONG_S = 3600.0
_GUARD_S = 60.0
"""A test that hangs fails then."""

_with_inotify = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def _file(folder: Path) -> Path:
    path = folder / "file"
    path.write_bytes(b"")
    return path


def _watching(path: Path, libc: object = None) -> Bell:
    bell = Bell(path) if libc is None else Bell(path, libc)
    bell.open()
    bell.watch()
    return bell


async def _wait(bell: Bell) -> None:
    async with asyncio.timeout(_GUARD_S):
        await bell.wait(_LONG_S)


@_with_inotify
def test_a_ring_ends_a_wait(tmp_path: Path) -> None:
    path = _file(tmp_path)

    async def scenario() -> None:
        bell = _watching(path)
        waiting = asyncio.ensure_future(_wait(bell))
        await asyncio.sleep(0)
        assert not waiting.done()
        ring(path)
        await waiting
        bell.close()

    asyncio.run(scenario())


@_with_inotify
def test_a_ring_in_another_process_is_heard(tmp_path: Path) -> None:
    path = _file(tmp_path)

    async def scenario() -> None:
        bell = _watching(path)
        code = f"import pathlib; from app.store.bell import ring; ring(pathlib.Path({str(path)!r}))"
        ringing = asyncio.create_task(asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=True))
        await _wait(bell)
        await ringing
        bell.close()

    asyncio.run(scenario())


@_with_inotify
def test_a_ring_before_the_wait_is_heard_until_it_is_forgotten(tmp_path: Path) -> None:
    """What rings between a look and a wait is not lost."""
    path = _file(tmp_path)

    async def scenario() -> None:
        bell = _watching(path)
        for _ in range(3):
            ring(path)
        await _wait(bell)
        await _wait(bell)
        bell.forget()
        await bell.wait(0.001)
        ring(path)
        await _wait(bell)
        bell.close()

    asyncio.run(scenario())


@_with_inotify
@pytest.mark.parametrize("is_kept", [True, False], ids=["moved away", "replaced"])
def test_the_file_that_takes_the_place_is_watched_and_the_other_is_not(tmp_path: Path, *, is_kept: bool) -> None:
    """The path counts, whatever file it names."""
    path, away = _file(tmp_path), tmp_path / "away"

    async def scenario() -> None:
        bell = _watching(path)
        if is_kept:
            path.rename(away)
            bell.watch()  # There is none.
            _file(tmp_path)
        else:
            other = tmp_path / "other"
            other.write_bytes(b"")
            other.replace(path)
        bell.watch()
        # Moved, unlinked or no longer watched: all of that is told too.
        await bell.wait(0.05)
        bell.forget()
        if is_kept:
            ring(away)
            await bell.wait(0.05)
            assert not bell.has_rung
        ring(path)
        await _wait(bell)
        assert bell.has_rung
        bell.close()

    asyncio.run(scenario())


def test_ringing_for_a_file_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    ring(tmp_path / "none")
    assert not list(tmp_path.iterdir())


class _NoneLeft:
    """A machine whose user has all that there may be."""

    def __init__(self) -> None:
        self.asked = 0

    def inotify_init1(self, _: int) -> int:
        self.asked += 1
        return -1


@pytest.mark.parametrize("libc", [object(), _NoneLeft()], ids=["no inotify", "none left"])
def test_without_inotify_a_wait_lasts_as_long_as_it_may(tmp_path: Path, libc: object) -> None:
    path = _file(tmp_path)

    async def scenario() -> None:
        bell = _watching(path, libc)
        bell.open()
        ring(path)
        await bell.wait(0.001)
        assert not bell.has_rung
        bell.close()
        bell.close()

    asyncio.run(scenario())
    assert getattr(libc, "asked", 1) == 1


@_with_inotify
def test_a_bell_that_is_closed_gives_its_descriptor_back(tmp_path: Path) -> None:
    path, before = _file(tmp_path), sum(1 for _ in Path("/proc/self/fd").iterdir())

    async def scenario() -> None:
        for _ in range(20):
            _watching(path).close()

    asyncio.run(scenario())
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= before


@_with_inotify
def test_a_thread_that_waits_is_woken_by_another_process(tmp_path: Path) -> None:
    """And hears what rang before it waited, until that is forgotten."""
    path = _file(tmp_path)
    ear = Ear(path)
    assert ear.open()
    assert not ear.open()
    ear.watch()
    code = f"import pathlib; from app.store.bell import ring; ring(pathlib.Path({str(path)!r}))"
    with subprocess.Popen([sys.executable, "-c", code]) as ringing:
        ear.wait(_GUARD_S)
        ear.wait(_GUARD_S)
        assert ringing.wait(_GUARD_S) == 0
    for _ in range(2):
        ear.forget()
    ear.wait(0.001)
    ear.close()
    ear.close()


def test_a_thread_without_inotify_waits_as_long_as_it_may(tmp_path: Path) -> None:
    ear = Ear(_file(tmp_path), object())
    assert not ear.open()
    ear.watch()
    ear.forget()
    ear.wait(0.001)
    ear.close()
