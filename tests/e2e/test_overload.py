"""More than the server can do, from real callers: what is served goes on being served, and the rest is told so at once.

What is asked of time stands in the scenarios. It is asked once here, with a margin for what else the machine does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.results import PhaseResult
from tests.e2e.measuring import measured
from tests.e2e.publishing import publish_universe, workers
from tests.kit.servers import DecideServer, decide_server

pytestmark = pytest.mark.alone

_SYMBOLS = [f"S{number:04}" for number in range(1000)]
_BATCH = 1000
_HARD = ("2 x the peak", "5 x the peak")


@contextmanager
def _server(folder: Path, **settings: str) -> Iterator[DecideServer]:
    publish_universe(folder / "store.sqlite3", _SYMBOLS)
    settings |= {"STORE_PATH": str(folder / "store.sqlite3"), "CLOCK": "replay", "LOG_LEVEL": "info"}
    with decide_server(folder, **settings) as server:
        server.wait_ready()
        yield server


def _overloaded(server: DecideServer, folder: Path, scenario: str) -> dict[str, PhaseResult]:
    phases = measured(server, folder, scenario, margin=2)
    memory_mb = [phases[name].server_memory_mb or 0.0 for name in (*_HARD, "after that")]
    assert max(memory_mb) - memory_mb[0] < 10, memory_mb
    assert len(workers(server)) == 1
    assert server.status_of("/readyz") == 200
    return phases


def test_batches_beyond_what_the_server_can_do_are_refused_at_once_and_hits_are_served(tmp_path: Path) -> None:
    """At five times the peak it serves as many as before, refuses the others in milliseconds, and no hit is refused."""
    with _server(tmp_path, BATCH_MAX=str(_BATCH), max_body_bytes="1000000", max_in_flight=str(8 * _BATCH)) as server:
        phases = _overloaded(server, tmp_path, "overload")
        for name in _HARD:
            assert phases[name].statuses["503"] > 10, name


def test_hits_beyond_what_the_server_can_do_are_all_served(tmp_path: Path) -> None:
    """Connections bound how many wait."""
    # What the warm-up leaves cold would be a miss, and one at a time is let through to L2.
    with _server(tmp_path, max_in_flight="1") as server:
        phases = _overloaded(server, tmp_path, "overload-hits")
        for name in ("peak", "after it", "after that", *_HARD):
            assert set(phases[name].statuses) == {"200"}, name
