"""Which tests have their lines counted."""

import subprocess
import sys
from pathlib import Path

from tests.kit.servers import ROOT, clean_environment


def test_lines_of_a_room_that_is_named_are_counted(tmp_path: Path) -> None:
    """Also of one whose tests count none in the whole run."""
    arguments = ["tests/bench/test_stats.py", "--cov=bench.stats", "--cov-report=term", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env=clean_environment({"COVERAGE_FILE": str(tmp_path / "coverage")}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (total,) = [line for line in done.stdout.splitlines() if line.startswith("TOTAL")]
    assert int(total.split()[-1].rstrip("%")) > 80, done.stdout
