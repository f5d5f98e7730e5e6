"""The script that runs every check, with programs that do nothing in place of the real ones."""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kit.servers import ROOT, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS: it is a script of bash")
_PROGRAMS = ("redis-server", "promtool", "nginx", "systemd-analyze", "chromium", "python3")


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    path.chmod(0o755)


def _start(folder: Path, *, just: str = "", container: str = "", pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    """``.ci/run builds_beside_container``; the leader of its own group, as under a terminal."""
    for each in (folder / "bin", folder / ".ci"):
        each.mkdir()
    for name in _PROGRAMS:
        _program(folder / "bin" / name, "")
    _program(folder / "bin" / "just", just)
    _program(folder / ".ci" / "empty-container", container)
    _program(folder / ".ci" / "run", "")
    (folder / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    return subprocess.Popen(
        [folder / ".ci" / "run", "builds_beside_container"],
        env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=pass_fds,
    )


@pytest.mark.parametrize(
    ("just", "container", "code"),
    [
        ("", "", 0),
        ('case "$1" in binary) exit 3;; esac', "", 1),
        ('case "$*" in *peers*) exit 3;; esac', "", 1),
        ('case "$*" in *market*) exit 3;; esac', "", 1),
        ("", "exit 3", 1),
    ],
    ids=["none", "binary", "peers", "market", "container"],
)
def test_a_build_that_fails_beside_the_container_fails_the_run(tmp_path: Path, just: str, container: str, code: int) -> None:
    run = _start(tmp_path, just=f'echo "$@"; {just}', container=container)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == code
    assert "binary --check\n" in said
    assert ("== done" in said) is (code == 0)


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    ended, held = os.pipe()
    run = _start(tmp_path, just=f"touch {tmp_path}/$1; exec sleep 600", container="exec sleep 600", pass_fds=(held,))
    os.close(held)
    try:
        until(lambda: (tmp_path / "bench").exists() and (tmp_path / "binary").exists(), 30, "both builds run")
        os.killpg(run.pid, signal.SIGINT)
        run.communicate(timeout=30)
        # Whatever is left has the other end open.
        assert select.select([ended], [], [], 10)[0]
    finally:
        os.close(ended)
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode != 0
