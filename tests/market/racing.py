"""Two processes that migrate one store at the same moment."""

import subprocess
import sys

from tests.kit.servers import ROOT


def applied_by_two(program: str, *arguments: str) -> int:
    """How many migrations two processes of ``program`` applied together: each says when it is ready, waits for a line, and then
    prints how many it applied.
    """
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        for _ in range(2)
    ]
    for job in jobs:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
    for job in jobs:
        assert job.stdin is not None
        job.stdin.write("\n")
        job.stdin.flush()
    outputs = [job.communicate(timeout=60)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    return sum(map(int, outputs))
