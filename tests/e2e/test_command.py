"""`decide` as somebody uses it who has an empty folder and his own files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.publishing import stop_and_read_log
from tests.servers import ROOT, clean_environment, decide_server

_PRICES = """symbol,date,open,high,low,close,volume
""" + "".join(
    f"ACME,2026-0{1 + day // 28}-{1 + day % 28:02},{10 + day},{11 + day},{9 + day},{10.5 + day},1000\n" for day in range(80)
)
_AGENTS = """symbol,as_of,agent,signal,confidence,reasoning
ACME,2026-03-24,analyst,buy,0.8,it goes up
"""


def _decide(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app", *arguments]
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_an_empty_folder_a_server_then_data(tmp_path: Path) -> None:
    """It says in one line where its data will be and what comes next; that command, with files of one's own, makes it ready."""
    with decide_server(tmp_path, CLOCK="replay") as server:
        assert server.status_of("/livez") == 200
        assert server.status_of("/readyz") == 503
        (line,) = [json.loads(each) for each in server.log_path.read_text().splitlines() if "decide warm" in each]
        store = tmp_path / ".decide" / "store.sqlite3"
        assert line["event"] == f"data in {store}: none yet; next: decide warm --prices FILES --agents FILES"
        assert store.is_file()
        tmp_path.joinpath("prices.csv").write_text(_PRICES, encoding="utf-8")
        tmp_path.joinpath("agents.csv").write_text(_AGENTS, encoding="utf-8")
        warmed = _decide(tmp_path, "warm", "--prices", "prices.csv", "--agents", "agents.csv")
        assert warmed.returncode == 0, warmed.stderr
        server.wait_ready()
        asked = _decide(tmp_path, "ask", "acme", "--url", server.url, "--json")
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["fallback"]["level"] == "none"


def test_options_reach_the_workers(tmp_path: Path) -> None:
    """Settings of the command line are those of every process of the server, and stand in its status."""
    with decide_server(tmp_path, arguments=("--batch-max", "2", "--workers", "2"), BATCH_MAX="7", LOG_FORMAT="json") as server:
        settings = httpx.get(f"{server.url}/status", timeout=10).json()["settings"]
        assert (settings["batch_max"], settings["workers"]) == (2, 2)
    _, log = stop_and_read_log(server)
    started = [line for line in map(json.loads, log.splitlines()) if line["event"] == "started"]
    assert [each["settings"]["batch_max"] for each in started] == [2, 2]


def test_the_sample_is_warmed_from_any_folder(tmp_path: Path) -> None:
    """It belongs to Decide, not to the working folder."""
    warmed = _decide(tmp_path, "warm", "--store-path", "mine.sqlite3")
    assert warmed.returncode == 0, warmed.stderr
    assert tmp_path.joinpath("mine.sqlite3").is_file()
    assert not tmp_path.joinpath(".decide").exists()


def test_the_package_carries_everything(tmp_path: Path) -> None:
    """Installed from its wheel, without this checkout: the command, the sample, the pages, the scenarios."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("NO UV: the package was not built")
    build = [uv, "build", "--quiet", "--wheel", "--build-constraints", "requirements-build.lock", "--require-hashes"]
    subprocess.run([*build, "--out-dir", str(tmp_path)], cwd=ROOT, timeout=100, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, "venv"], cwd=tmp_path, timeout=100, check=True)
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", "venv", str(wheel)]
    subprocess.run(install, cwd=tmp_path, timeout=100, check=True)
    (packages,) = tmp_path.glob("venv/lib/*/site-packages")
    # The libraries of this environment, but not the checkout that its own site-packages point to.
    libraries = next(each for each in sys.path if each.endswith("site-packages"))
    packages.joinpath("libraries.pth").write_text(libraries + "\n", encoding="utf-8")
    decide, environment = str(tmp_path / "venv" / "bin" / "decide"), clean_environment({"COLUMNS": "200"})
    for arguments, said in (
        (["demo"], "Next, try:"),
        (["bench", "--list"], "acceptance: "),
        (["warm", "--dry-run"], '"symbols": 5'),
    ):
        ran = subprocess.run(
            [decide, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert said in ran.stdout + ran.stderr
    found = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "python"), "-c", "import app, warm.sample; print(app.__file__, warm.sample.SAMPLE)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert str(ROOT) not in found
    assert packages.joinpath("app", "console", "index.html").is_file()
