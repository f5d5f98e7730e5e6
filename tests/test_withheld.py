"""What libraries would import if it is there, and Decide has no use for."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from app.withheld import withheld
from tests.kit.servers import ROOT, clean_environment

_LOADED = """
import sys
import app.commands.greeting, app.commands.serve, app.main, app.market.opening
app.main.create_app()
unused = {"opentelemetry", "rich", "polars", "numpy", "matplotlib", "watchfiles", "redis", "throttled", "psycopg"}
print(*sorted({name.partition(".")[0] for name in sys.modules} & unused))
"""


@pytest.mark.parametrize(
    ("settings", "loaded"), [({}, []), ({"RATE_LIMIT_PER_S": "10"}, ["redis", "throttled"])], ids=["no limits", "limits"]
)
def test_a_server_on_sqlite_without_traces_loads_nothing_that_it_has_no_use_for(
    tmp_path: Path, settings: dict[str, str], loaded: list[str]
) -> None:
    """All of it is installed here, and structlog, Granian and throttled would take what they find."""
    environment = clean_environment(settings | {"STORE_PATH": str(tmp_path / "store.sqlite3"), "PYTHONPATH": str(ROOT)})
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == loaded


_MARKET = """
import os, sys, threading
import app.commands.serve, app.main
app.main.create_app()
print(*sorted(name for name in sys.modules if name.startswith("app.market.") and "sqlite" in name))
print(*sorted(os.listdir()), *(each.name for each in threading.enumerate()))
"""


def test_a_server_that_nobody_asks_for_market_data_has_no_store_of_it_and_no_thread(tmp_path: Path) -> None:
    environment = clean_environment({"STORE_PATH": str(tmp_path / "x" / "store.sqlite3"), "PYTHONPATH": str(ROOT)})
    folder = tmp_path / "empty"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _MARKET], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    modules, rest = done.stdout.splitlines()
    assert modules == ""
    assert {each for each in rest.split() if "market" in each or each == ".decide"} == set()


def test_what_is_withheld_is_as_if_it_were_not_installed_and_comes_back() -> None:
    with withheld("ensurepip"), pytest.raises(ModuleNotFoundError):
        importlib.import_module("ensurepip._uninstall")
    assert importlib.import_module("ensurepip._uninstall") is not None


def test_what_was_imported_before_stays() -> None:
    with withheld("json"):
        assert importlib.import_module("json") is sys.modules["json"]
    assert sys.modules["json"] is not None
