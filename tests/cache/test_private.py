"""The store's file belongs to its owner alone."""

import asyncio
import logging
import os
import stat
import tempfile
from pathlib import Path

import pytest

from app.cache.embedded import EmbeddedStore
from app.cache.private import make_private
from tests.records import row, run_info

pytestmark = pytest.mark.skipif(os.name == "nt", reason="WINDOWS: it has no such permissions")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _publish(path: Path, *, is_closed: bool = True) -> EmbeddedStore:
    async def work() -> EmbeddedStore:
        store = EmbeddedStore(path)
        await store.publish([row("A")], run_info())
        await store.get_many(["A"])
        if is_closed:
            await store.close()
        return store

    return asyncio.run(work())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_store_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    """File, log and shared memory, and the folder that was made for it, whatever the umask is."""
    path = tmp_path / "made" / "store.sqlite3"
    before = os.umask(umask)
    try:
        store = _publish(path, is_closed=False)
    finally:
        os.umask(before)
    names = sorted(each.name for each in path.parent.iterdir())
    assert names == ["store.sqlite3", "store.sqlite3-shm", "store.sqlite3-wal"]
    assert {_mode(path.with_name(name)) for name in names} == {0o600}
    assert _mode(path.parent) == 0o700
    asyncio.run(store.close())


def test_a_store_of_an_earlier_version_is_mended_and_that_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With what lies beside it, and its folder, where nothing else does."""
    folder = tmp_path / "old"
    folder.mkdir(0o755)
    path = folder / "store.sqlite3"
    for name in ("store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    with caplog.at_level(logging.WARNING, "decide.store"):
        make_private(path)
        said = len(caplog.records)
        make_private(path)
    assert said == len(caplog.records) == 4
    assert {_mode(each) for each in folder.iterdir()} == {0o600}
    assert _mode(folder) == 0o700


def test_a_folder_that_decide_makes_is_closed_whatever_lies_in_it(tmp_path: Path) -> None:
    """The demo keeps its files in the same one."""
    folder = tmp_path / ".decide"
    (folder / "demo").mkdir(0o755, parents=True)
    folder.chmod(0o755)
    make_private(folder / "store.sqlite3")
    assert _mode(folder) == 0o700


def test_a_folder_with_other_things_in_it_is_left_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody needs it as it is; the file is closed all the same."""
    folder = tmp_path / "shared"
    folder.mkdir(0o755)
    (folder / "notes.txt").touch()
    with caplog.at_level(logging.WARNING, "decide.store"):
        make_private(folder / "store.sqlite3")
    assert _mode(folder) == 0o755
    assert _mode(folder / "store.sqlite3") == 0o600
    assert "left as it is" in caplog.text


def test_what_belongs_to_somebody_else_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """It cannot be mended, and keeps nobody from going on."""
    if os.geteuid() != 0:
        pytest.skip("ROOT: only it can make another user's file; run the tests as root for this one")
    # Not below pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "store.sqlite3"
        path.touch()
        path.chmod(0o666)
        os.seteuid(65534)
        try:
            with caplog.at_level(logging.WARNING, "decide.store"):
                make_private(path)
        finally:
            os.seteuid(0)
        assert caplog.text.count("belongs to one of them") == 2
        assert _mode(path) == 0o666
