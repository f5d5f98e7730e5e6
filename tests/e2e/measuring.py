"""A scenario of the bench, run as users run it, against a server of a test."""

import subprocess
import sys
from pathlib import Path

import msgspec

from bench.results import PhaseResult, Results
from tests.kit.servers import ROOT, DecideServer


def measured(server: DecideServer, folder: Path, scenario: str, *, margin: float) -> dict[str, PhaseResult]:
    """The phases by name, a quarter as long as they are written; their bounds of time are ``margin`` times as wide.

    Raises:
        AssertionError: a check failed; its line is in the message.
    """
    options = ["--scenario", scenario, "--url", server.url, "--out", str(folder), "--quick", "--margin", str(margin)]
    command = [sys.executable, "-m", "bench", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    phases = msgspec.json.decode((folder / f"{scenario}.json").read_bytes(), type=Results).phases if done.returncode < 2 else []
    for phase in phases:
        print(
            f"{phase.name}: {phase.answers_per_s} answers/s {phase.statuses}, {phase.decisions_per_s} decisions/s, goodput"
            f" {phase.goodput}, refusals p99 {phase.refusal_ms['p99']} ms, singles p99 {phase.single_ms['p99']} ms, all p95"
            f" {phase.latency_ms['p95']} p99 {phase.latency_ms['p99']} ms, {phase.server_memory_mb} MB"
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return {phase.name: phase for phase in phases}
