"""One real server for the tests that only ask it things, and one beside a browser for those of the console."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.e2e.publishing import is_alive, publish_universe, workers
from tests.kit.servers import DecideServer, decide_server

if TYPE_CHECKING:
    # What drives a browser is imported where there is one.
    from playwright.sync_api import Browser

    from tests.e2e.browsing import Console
    from tests.e2e.candles import Place


class Shown(Protocol):
    """Of what the console is shown."""

    @property
    def server(self) -> DecideServer:
        """Whose it is."""
        ...


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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Place]":
    """What the console shows, one for all tests of a module: a server with bars, unless the module has another."""
    from tests.e2e.candles import candle_server  # noqa: PLC0415 - as above

    with candle_server(tmp_path_factory.mktemp("console-candles")) as running:
        yield running


@pytest.fixture(scope="module")
def browser(place: Shown) -> "Iterator[Browser]":
    """One for all tests of a module; the server is there before it, because what starts it needs an event loop."""
    from tests.e2e.browsing import chromium  # noqa: PLC0415 - as above

    del place
    with chromium() as running:
        yield running


@pytest.fixture
def console(browser: "Browser", place: Shown) -> "Iterator[Console]":
    """The page, open and connected."""
    from tests.e2e.browsing import open_console  # noqa: PLC0415 - as above

    with open_console(browser, place.server.url) as opened:
        yield opened
