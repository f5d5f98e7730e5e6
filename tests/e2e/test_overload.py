"""More than the server can do, from real callers: what is served goes on being served, and the rest is told so at once."""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from bench.results import PhaseResult, Results
from tests.e2e.publishing import publish_universe, workers
from tests.kit.servers import ROOT, DecideServer, decide_server

pytestmark = pytest.mark.alone

Requirement = Callable[[dict[str, PhaseResult]], bool]
Requirements = dict[str, Requirement]

_SYMBOLS = [f"S{number:04}" for number in range(1000)]
_BATCH = 2000
"""With max_age_s, so that each decision is made anew: about 30 ms of work, much more than the refusal of a batch."""
_JUDGED = 0.02
"""Share of the answers that are taken apart: one of a megabyte takes 10 ms, of a core that the server wants."""

_HARD, _CALM = ("twice", "five times"), ("after it", "after that")
_GOODPUT = 0.8
"""Of the peak. It is 0.85 to 1: the rest is what refusals and the harness cost, and as much again what the machine varies by."""
_REFUSED_MS, _SINGLE_MS, _CALM_MS, _LOOKS = 10, 50, 250, 5


def _phase(name: str, loop: str, mix: str, **values: float | str) -> str:
    lines = [f'name = "{name}"', f'loop = "{loop}"', f"mix = {{ {mix} }}", *(f"{key} = {value}" for key, value in values.items())]
    return "\n".join(["[[phases]]", *lines, ""])


def _scenario(mix: str, connections: int, many: int) -> str:
    """Peak, two and five times it, and after each an ordinary load."""
    calm = "{ server_errors = 0, faults = 0, invalid = 0 }"
    hard = "{ faults = 0, invalid = 0 }"
    open_calm: dict[str, float | str] = {"connections": 8, "share_of_peak": 0.3, "duration_s": 2, "checks": calm}
    open_hard: dict[str, float | str] = {"connections": many, "duration_s": 4, "patience_s": 1, "checks": hard}
    # What the harness takes apart it cannot send meanwhile.
    open_hard["judged_share"] = open_calm["judged_share"] = _JUDGED
    return 'description = "overload"\n' + "\n".join(
        [
            _phase("warm-up", "closed", "", connections=8, duration_s=1, measured="false"),
            _phase("peak", "closed", mix, connections=connections, duration_s=4, judged_share=_JUDGED, checks=calm),
            _phase("twice", "open", mix, share_of_peak=2, **open_hard),
            _phase("after it", "open", mix, **open_calm),
            _phase("five times", "open", mix, share_of_peak=5, **open_hard),
            _phase("after that", "open", mix, **open_calm),
        ]
    )


def _looks(server: DecideServer, folder: Path, scenario: str, requirements: Requirements) -> Iterator[dict[str, PhaseResult]]:
    """The phases of one run after the other, until each of the requirements was met in one of them.

    They are of time, of which other processes take their share, now in this phase, now in that: what a run shows once, the server
    can do.

    Raises:
        AssertionError: some were not met in five runs.
    """
    unmet = requirements
    for _ in range(_LOOKS):
        phases = _run_once(server, folder, scenario)
        yield phases
        unmet = {name: is_met for name, is_met in unmet.items() if not is_met(phases)}
        if not unmet:
            return
    raise AssertionError(f"not once in {_LOOKS} runs: {', '.join(unmet)}")


def _run_once(server: DecideServer, folder: Path, scenario: str) -> dict[str, PhaseResult]:
    path = folder / "overload.toml"
    path.write_text(scenario, encoding="utf-8")
    command = [sys.executable, "-m", "bench", "--scenario", str(path), "--url", server.url, "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    phases = msgspec.json.decode((folder / "overload.json").read_bytes(), type=Results).phases
    for phase in phases:
        print(
            f"{phase.name}: {phase.answers_per_s} answers/s {phase.statuses}, {phase.decisions_per_s} decisions/s, goodput"
            f" {phase.goodput}, refusals p50 {phase.refusal_ms['p50']} p99 {phase.refusal_ms['p99']} ms, singles p50"
            f" {phase.single_ms['p50']} p99 {phase.single_ms['p99']} ms, {phase.server_memory_mb} MB"
        )
    assert done.returncode == 0, done.stdout
    return {phase.name: phase for phase in phases}


def _goodput(name: str) -> Requirement:
    return lambda phases: (phases[name].goodput or 0.0) >= _GOODPUT


def _calm(name: str) -> Requirement:
    def is_met(phases: dict[str, PhaseResult]) -> bool:
        # What was left to do when the load before it ended did not outlast a second.
        return all((each.p95_ms or math.inf) < _CALM_MS for each in phases[name].time_line[1:])

    return is_met


def _refused_at_once(name: str) -> Requirement:
    return lambda phases: (phases[name].refusal_ms["p95"] or math.inf) < _REFUSED_MS


def _singles_served(name: str) -> Requirement:
    return lambda phases: (phases[name].single_ms["p95"] or math.inf) < _SINGLE_MS


_ANY: Requirements = {f"goodput of {name}": _goodput(name) for name in _HARD} | {f"calm {name}": _calm(name) for name in _CALM}
"""What is required of both kinds of overload."""
_OF_BATCHES = (
    _ANY
    | {f"refusals of {name}": _refused_at_once(name) for name in _HARD}
    | {f"singles of {name}": _singles_served(name) for name in _HARD}
)


def _is_well(phases: dict[str, PhaseResult], server: DecideServer) -> None:
    """What holds of every run, whatever else the machine does."""
    memory_mb = [phases[name].server_memory_mb or 0.0 for name in (*_HARD, "after that")]
    assert max(memory_mb) - memory_mb[0] < 10, memory_mb
    assert len(workers(server)) == 1
    assert server.status_of("/readyz") == 200


@pytest.mark.timeout(300)
def test_batches_beyond_what_the_server_can_do_are_refused_at_once_and_hits_are_served(tmp_path: Path) -> None:
    """At five times the peak it serves as many as before, refuses the others in milliseconds, and no hit is refused."""
    publish_universe(tmp_path / "store.sqlite3", _SYMBOLS)
    settings = {
        "CLOCK": "replay",
        "LOG_LEVEL": "info",
        "BATCH_MAX": str(_BATCH),
        "max_body_bytes": "1000000",
        "max_in_flight": str(8 * _BATCH),
    }
    with decide_server(tmp_path, STORE_PATH=str(tmp_path / "store.sqlite3"), **settings) as server:
        server.wait_ready()
        scenario = _scenario(f"batch = 0.8, batch_size = {_BATCH}, max_age_s = 1e9", 8, 64)
        for phases in _looks(server, tmp_path, scenario, _OF_BATCHES):
            _is_well(phases, server)
            for name in _HARD:
                assert phases[name].statuses["503"] > 20, name


@pytest.mark.timeout(300)
def test_hits_beyond_what_the_server_can_do_are_all_served(tmp_path: Path) -> None:
    """A hit costs hardly more than its refusal would: none is refused, and connections bound how many wait."""
    publish_universe(tmp_path / "store.sqlite3", _SYMBOLS)
    settings = {"CLOCK": "replay", "LOG_LEVEL": "info", "max_in_flight": "1"}
    with decide_server(tmp_path, STORE_PATH=str(tmp_path / "store.sqlite3"), **settings) as server:
        server.wait_ready()
        # What the warm-up leaves cold would be a miss, and one at a time is let through to L2.
        for phases in _looks(server, tmp_path, _scenario("symbols = 100", 32, 256), _ANY):
            _is_well(phases, server)
            for name in ("peak", "twice", "after it", "five times", "after that"):
                assert set(phases[name].statuses) == {"200"}, name
