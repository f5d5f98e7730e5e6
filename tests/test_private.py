"""The store's file belongs to its owner alone."""

import asyncio
import logging
import os
import stat
import tempfile
from pathlib import Path

import pytest

from app.private import give_up_reserve, keep_reserve, make_private
from app.store.sqlite import EmbeddedStore
from tests.kit.records import row, run_info

pytestmark = pytest.mark.skipif(os.name == "nt", reason="WINDOWS: it has no such permissions")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _publish(path: Path, *, is_closed: bool = True) -> EmbeddedStore:
    async def work() -> EmbeddedStore:
        store = EmbeddedStore(path)
        await store.publish_run([row("A")], run_info())
        await store.get_many(["A"])
        if is_closed:
            await store.close()
        return store

    return asyncio.run(work())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_store_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
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


def test_what_is_left_open_is_said_once_and_not_at_every_connection(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server connects twice, and again for each run that it publishes itself."""
    folder = tmp_path / "shared"
    folder.mkdir(0o755)
    (folder / "notes.txt").touch()
    with caplog.at_level(logging.WARNING, "decide.store"):
        _publish(folder / "store.sqlite3")
        _publish(folder / "store.sqlite3")
    assert caplog.text.count("left as it is") == 1


def test_a_folder_of_everybodys_is_left_while_it_is_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As /tmp in a new container: closing it would stop all others who need it."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    with caplog.at_level(logging.WARNING, "decide.store"):
        make_private(folder / "store.sqlite3")
    assert _mode(folder) == 0o1777
    assert "left as it is" in caplog.text


def test_a_folder_that_may_not_be_listed_keeps_nobody_from_the_store() -> None:
    """What lies in it cannot be known, so it is left."""
    if os.geteuid() != 0:
        pytest.skip("ROOT: only it can make another user's folder; run the tests as root for this one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o733)
        os.seteuid(65534)
        try:
            make_private(folder / "store.sqlite3")
        finally:
            os.seteuid(0)
        assert _mode(folder) == 0o733
        assert _mode(folder / "store.sqlite3") == 0o600


def test_what_belongs_to_somebody_else_is_said(caplog: pytest.LogCaptureFixture) -> None:
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


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_was_put_in_the_place_of_the_reserve_is_not_written_to(kind: str, tmp_path: Path) -> None:
    """Others may be able to write in the folder: no file of ours is overwritten, and nobody waits for a pipe's reader."""
    precious, reserve = tmp_path / "precious", tmp_path / "store.sqlite3-reserve"
    precious.write_text("precious")
    if kind == "link":
        reserve.symlink_to(precious)
    else:
        os.mkfifo(reserve)
    keep_reserve(tmp_path / "store.sqlite3")
    assert precious.read_text() == "precious"
    assert give_up_reserve(tmp_path / "store.sqlite3")
    assert precious.read_text() == "precious"
    assert not reserve.exists()


def test_the_reserve_is_given_up_in_steps_and_completed(tmp_path: Path) -> None:
    path, reserve = tmp_path / "store.sqlite3", tmp_path / "store.sqlite3-reserve"
    keep_reserve(path)
    whole = reserve.stat().st_size
    steps = 0
    while give_up_reserve(path):
        steps += 1
        assert not reserve.exists() or reserve.stat().st_size == whole - steps * whole // 4
    assert steps == 4
    keep_reserve(path)
    give_up_reserve(path)
    keep_reserve(path)
    assert reserve.stat().st_size == whole


def test_a_store_behind_a_link_is_closed_with_what_lies_beside_it(tmp_path: Path) -> None:
    """SQLite keeps its log beside the file that the link leads to."""
    folder = tmp_path / "far"
    folder.mkdir(0o700)
    link = tmp_path / "store.sqlite3"
    link.symlink_to(folder / "real")
    make_private(link)
    for name in ("real", "real-wal", "real-shm"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    make_private(link)
    assert {_mode(each) for each in folder.iterdir()} == {0o600}
