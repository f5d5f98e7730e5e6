"""Prometheus's own word on its files."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*arguments: str | Path) -> None:
    """Run promtool, which must find nothing to say against it."""
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no promtool on the PATH: in CI this test is never skipped")
        pytest.skip("NO PROMTOOL: it is not on the PATH; configuration and rules of Prometheus were not checked")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
