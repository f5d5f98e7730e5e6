"""Clients that are slow, or only there: they cost themselves their time, and the others next to nothing."""

from pathlib import Path

import pytest

from bench.runner import allow_connections
from bench.scenario import ScenarioError
from tests.e2e.measuring import measured
from tests.e2e.publishing import publish_universe
from tests.kit.servers import decide_server

_CONNECTIONS = 5500


@pytest.fixture
def files() -> None:
    """As many open files as the test and its server need, if they may have them."""
    try:
        allow_connections(_CONNECTIONS)
    except ScenarioError as error:
        pytest.skip(f"NO FILES: {error}")


@pytest.mark.alone
@pytest.mark.usefixtures("files")
def test_slow_and_idle_clients_cost_others_little(tmp_path: Path) -> None:
    """The 99th percentile of healthy clients, beside that of the same server without the others: twice as much, with a margin."""
    publish_universe(tmp_path / "store.sqlite3", [f"S{number:03}" for number in range(100)])
    settings = {"CLOCK": "replay", "LOG_LEVEL": "error", "body_timeout_s": "3", "STORE_PATH": str(tmp_path / "store.sqlite3")}
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        phases = measured(server, tmp_path, "slow-clients", margin=2)
        assert all(set(phase.statuses) == {"200"} for phase in phases.values())
        assert server.status_of("/readyz") == 200
