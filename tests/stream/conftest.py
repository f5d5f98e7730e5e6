"""Fixtures for tests on real logs."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.stream.places import Place


@pytest.fixture(scope="session", params=["sqlite"])
def make_log_place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Makes empty logs, of each kind: a test with many examples takes one for each."""
    return lambda: Place(tmp_path_factory.mktemp("log") / "folder" / "log.sqlite3")


@pytest.fixture
def place(make_log_place: Callable[[], Place]) -> Iterator[Place]:
    """An empty log."""
    with closing(make_log_place()) as made:
        yield made
