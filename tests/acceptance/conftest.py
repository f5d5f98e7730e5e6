"""The real Compose stack, started once for all of these tests and removed afterwards; and the one file, built once."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.stack import Stack, run
from tests.kit.servers import ROOT

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests build images and take the API's port: only `just acceptance` runs them."""
    wanted = os.environ.get("DECIDE_STACK")
    skip = pytest.mark.skip(reason="NO STACK: these tests need Docker; `just acceptance` runs them")
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.alone if wanted else skip)


@pytest.fixture(scope="session")
def dist() -> Path:
    """What `just binary` writes."""
    run(sys.executable, "ops/binary/build.py", timeout_s=550)
    return ROOT / "dist"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """``just up prod`` from nothing; everything is removed at the end."""
    stack = Stack()
    stack.down()
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
