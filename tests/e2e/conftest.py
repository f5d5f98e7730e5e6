"""One real server for the tests that only ask it things."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.publishing import is_alive, publish_universe, workers
from tests.kit.servers import DecideServer, decide_server


@pytest.fixture(scope="session")
def lone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DecideServer]:
    """A server on SQLite, warmed, on the replay clock; use `server`."""
    folder: Path = tmp_path_factory.mktemp("server")
    publish_universe(folder / "store.sqlite3")
    settings = {"STORE_PATH": str(folder / "store.sqlite3"), "CLOCK": "replay", "LOG_FORMAT": "json", "body_timeout_s": "2"}
    settings["KEEP_ALIVE_S"] = "10"
    with decide_server(folder, **settings) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def server(lone_server: DecideServer) -> Iterator[DecideServer]:
    """The server; after the test it must still be the same process, and serve."""
    yield lone_server
    pids = workers(lone_server)
    assert len(pids) == 1, "a worker was started anew"
    assert is_alive(pids[0])
    assert lone_server.status_of("/readyz") == 200
    assert '"level":"error"' not in lone_server.log_path.read_text(encoding="utf-8")
