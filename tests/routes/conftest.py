"""Fixtures of the routes' tests."""

from collections.abc import Iterator

import pytest

from tests.kit.serving import Served


@pytest.fixture
def served() -> Iterator[Served]:
    """The application, warmed, on a store of three symbols and a replay clock that stands at their last close."""
    with Served() as running:
        yield running
