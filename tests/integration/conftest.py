"""Fixtures for tests on real stores."""

from pathlib import Path

import pytest

from tests.integration.places import Place


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty store of each kind."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    return Place(url, tmp_path / "store.sqlite3")
