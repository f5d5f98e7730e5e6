"""Fixtures for tests on real market stores."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.market.places import Place


@pytest.fixture(scope="session", params=["sqlite"])
def make_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Makes empty stores, of each kind: a test with many examples takes one for each."""
    assert request.param == "sqlite"
    return lambda: Place(tmp_path_factory.mktemp("market") / "market.sqlite3")


@pytest.fixture
def place(make_place: Callable[[], Place]) -> Iterator[Place]:
    """An empty store."""
    with closing(make_place()) as made:
        yield made
