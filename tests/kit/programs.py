"""Programs of others whose word on our files is asked for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*arguments: str | Path) -> None:
    """Prometheus's own word on its files."""
    _contented("promtool", "PROMTOOL", "configuration and rules of Prometheus", arguments)


def systemd_analyze(*arguments: str | Path) -> str:
    """What systemd says of its units."""
    return _contented("systemd-analyze", "SYSTEMD", "the units", arguments)


def _contented(name: str, short: str, what: str, arguments: tuple[str | Path, ...]) -> str:
    """What the program says; it must find nothing to say against ``what``."""
    program = shutil.which(name)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(f"no {name} on the PATH: in CI this test is never skipped")
        pytest.skip(f"NO {short}: there is no {name} on the PATH; {what} were not checked")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
