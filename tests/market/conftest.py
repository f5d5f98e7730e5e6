"""Fixtures for tests on real market stores."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.kit.postgres import PostgresServer
from tests.market.places import Place, PostgresPlace


@pytest.fixture(scope="session")
def make_postgres(postgres_server: PostgresServer) -> Callable[[], PostgresPlace]:
    """Empties the store on PostgreSQL, which is migrated once: to make a database takes longer than most tests."""
    made = PostgresPlace(postgres_server.create())
    with closing(made.writer()) as writer:
        writer.offsets("")

    def emptied() -> PostgresPlace:
        made.close()
        made.empty()
        return PostgresPlace(made.url)

    return emptied


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def make_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Makes empty stores, of each kind: a test with many examples takes one for each, and none that it took before."""
    if request.param == "postgres":
        made: Callable[[], Place] = request.getfixturevalue("make_postgres")
        return made
    return lambda: Place(tmp_path_factory.mktemp("market") / "market.sqlite3")


@pytest.fixture
def place(make_place: Callable[[], Place]) -> Iterator[Place]:
    """An empty store."""
    with closing(make_place()) as made:
        yield made


@pytest.fixture
def lasting(postgres_server: PostgresServer) -> Iterator[tuple[PostgresServer, PostgresPlace]]:
    """A server of the test's own, to be killed, that keeps what it acknowledged."""
    server = PostgresServer(postgres_server.programs, synchronous_commit="on")
    place = PostgresPlace(server.create())
    yield server, place
    place.close()
    server.stop()
