"""Fixtures for tests on real logs."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.kit.kafka import KafkaServer
from tests.kit.servers import ROOT
from tests.market.conftest import make_place, make_postgres  # noqa: F401 - fixtures
from tests.market.places import Place as Market
from tests.market.places import PostgresPlace
from tests.stream.places import KafkaPlace, Place
from tests.stream.rig import Rig


@pytest.fixture(scope="session", params=["sqlite", "kafka"])
def make_log_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Makes empty logs, of each kind: a test with many examples takes one for each, and none that it took before."""
    if request.param == "kafka":
        server: KafkaServer = request.getfixturevalue("kafka_server")
        return lambda: KafkaPlace(server)
    return lambda: Place(tmp_path_factory.mktemp("log") / "folder" / "log.sqlite3")


@pytest.fixture
def place(make_log_place: Callable[[], Place]) -> Iterator[Place]:
    """An empty log."""
    with closing(make_log_place()) as made:
        yield made


@pytest.fixture(scope="session")
def make_rig(
    make_place: Callable[[], Market],  # noqa: F811 - that one
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Rig]]:
    """Makes consumers between an empty log and an empty market store of each kind; one at a time."""
    made: list[Rig] = []

    def close() -> None:
        for each in made:
            each.close()
            each.market.close()
        made.clear()

    def make(partitions: int = 1, window_size: int = 0) -> Rig:
        close()
        made.append(Rig(make_place(), tmp_path_factory.mktemp("rig"), partitions=partitions, window_size=window_size))
        return made[-1]

    yield make
    close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """One."""
    return make_rig()


@pytest.fixture
def killed() -> Iterator[Callable[[Rig, int], tuple[int, str]]]:
    """Has a consumer that kills itself at the moment of that number; how it ended, and at which moment that was."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.stream.killing"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as job:

        def run(rig: Rig, number: int) -> tuple[int, str]:
            place = rig.market.url if isinstance(rig.market, PostgresPlace) else str(rig.market.path)
            assert job.stdin is not None
            assert job.stdout is not None
            job.stdin.write(f"{place} {rig.folder} {number} {rig.window_size}\n")
            job.stdin.flush()
            code, _, moment = job.stdout.readline().strip().partition(" ")
            return int(code), moment

        yield run
