"""How many connections a worker takes, by the files it may have open."""

import pytest

from app.commands.files import LEAST_CONNECTIONS, connections_within, files_kept


@pytest.mark.parametrize("redis_connections", [0, 16, 1000])
def test_what_a_worker_needs_itself_is_kept_from_callers(redis_connections: int) -> None:
    """Connections to Redis among it; and never more than the setting."""
    kept = files_kept(redis_connections)
    assert kept > redis_connections
    for files in (None, 1_000_000, kept + 16_384):
        assert connections_within(16_384, files, kept) == 16_384
    assert connections_within(16_384, kept + 16_383, kept) == 16_383
    assert connections_within(16_384, kept + LEAST_CONNECTIONS, kept) == LEAST_CONNECTIONS


def test_a_limit_that_leaves_too_few_is_none_to_serve_with() -> None:
    kept = files_kept(16)
    assert connections_within(16_384, kept + LEAST_CONNECTIONS - 1, kept) is None
    assert connections_within(16_384, 3, kept) is None
