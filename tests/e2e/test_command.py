"""`decide` as somebody uses it who has an empty folder and his own files."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import redis

from tests.e2e.publishing import stop_and_read_log
from tests.kit.servers import ROOT, RedisServer, clean_environment, decide_server, free_port, until, wait_for_port

_PRICES = """symbol,date,open,high,low,close,volume
""" + "".join(
    f"ACME,2026-0{1 + day // 28}-{1 + day % 28:02},{10 + day},{11 + day},{9 + day},{10.5 + day},1000\n" for day in range(80)
)
_HEARS = """
import signal, sys
from app.__main__ import main
# A shell in the background has its children ignore Ctrl-C; a terminal's do not.
signal.signal(signal.SIGINT, signal.default_int_handler)
def arguments():
    # Read by the command itself: from here on Ctrl-C is its own to deal with.
    print("begins", flush=True)
    yield from sys.argv[1:]
sys.exit(main(arguments()))
"""
_AGENTS = """symbol,as_of,agent,signal,confidence,reasoning
ACME,2026-03-24,analyst,buy,0.8,it goes up
"""


def _decide(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app", *arguments]
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_an_empty_folder_a_server_then_data(tmp_path: Path) -> None:
    """One line says where its data will be and what comes next; that, with one's own files, makes it ready from any folder. It
    is whole, however long the folder's name.
    """
    folder, elsewhere = tmp_path / ("a long name " * 20).strip(), tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    with decide_server(folder, CLOCK="replay") as server:
        assert server.status_of("/livez") == 200
        assert server.status_of("/readyz") == 503
        (line,) = [json.loads(each) for each in server.log_path.read_text().splitlines() if "decide warm" in each]
        store = folder / ".decide" / "store.sqlite3"
        told, _, command = line["event"].partition(": none yet; next: ")
        assert told == f"data in {store}"
        assert store.is_file()
        elsewhere.joinpath("prices.csv").write_text(_PRICES, encoding="utf-8")
        elsewhere.joinpath("agents.csv").write_text(_AGENTS, encoding="utf-8")
        files = command.replace("--prices FILES", "--prices prices.csv").replace("--agents FILES", "--agents agents.csv")
        program, *arguments = shlex.split(files)
        assert (program, arguments[0], arguments[2:]) == ("decide", "warm", ["--prices", "prices.csv", "--agents", "agents.csv"])
        warmed = _decide(elsewhere, *arguments)
        assert warmed.returncode == 0, warmed.stderr
        server.wait_ready()
        asked = _decide(tmp_path, "ask", "acme", "--url", server.url, "--json")
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["fallback"]["level"] == "none"


def test_nothing_of_the_working_folder_is_run(tmp_path: Path) -> None:
    for name in ("app", "starlette", "warm", "polars", "sitecustomize", "uvloop"):
        tmp_path.joinpath(f"{name}.py").write_text("raise SystemExit('hostile')", encoding="utf-8")
    command = [sys.executable, "-P", "-m", "app"]
    environment = clean_environment({"PYTHONPATH": str(ROOT), "PORT": str(free_port()), "DRAIN_S": "0"})
    demo = subprocess.run(
        [*command, "demo"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    server = subprocess.Popen([*command, "serve"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    try:
        # The port is there before the server is: whatever came then would wait for it.
        url = f"http://127.0.0.1:{environment['PORT']}/livez"
        wait_for_port(int(environment["PORT"]), server)
        assert httpx.get(url, timeout=30).status_code == 200
    finally:
        server.terminate()
        said, _ = server.communicate(timeout=30)
    assert (server.returncode, b"hostile" in said) == (0, False)


def test_the_demo_uses_none_of_the_callers_settings_and_stores_and_keeps_its_folder_to_itself(
    tmp_path: Path, redis_url: str
) -> None:
    secret = tmp_path / "url"
    secret.write_text(redis_url, encoding="utf-8")
    wrong = "WORKERS=2\nACCESS=keys\nAPI_KEY_SECRET=" + 32 * "x" + "\nRATE_LIMIT_PER_S=1\nRATE_LIMIT_BURST=1\nSTORE_PATH=mine\n"
    tmp_path.joinpath(".env").write_text(wrong, encoding="utf-8")
    environment = clean_environment({"PYTHONPATH": str(ROOT), "REDIS_URL_FILE": str(secret), "HOST": "unix:/nowhere/x"})
    command = [sys.executable, "-m", "app", "demo"]
    demo = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "open to other users" not in demo.stdout + demo.stderr
    # At its end prices move, and a decision with them.
    _, _, live = demo.stdout.partition("decide live")
    moved = re.findall(r"│ +[0-9.]+ s │ +([0-9.]+) │ (?:buy|sell|hold) +│ +([-+0-9.]+) │", live)
    assert len({price for price, _ in moved}) > 1
    assert len({score for _, score in moved}) > 1
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
    assert not tmp_path.joinpath("mine").exists()


def _serves(demo: int) -> bool:
    """Whether the demo has a server, which need not have begun anything yet."""
    children = Path(f"/proc/{demo}/task/{demo}/children").read_text(encoding="ascii").split()
    with contextlib.suppress(OSError):
        return any(b"serve" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: whether there is a server is read from /proc")
@pytest.mark.parametrize("moment", ["it has a server", "its server answers", "its prices move"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_demo_that_is_told_to_end_ends_its_server(name: str, moment: str, tmp_path: Path) -> None:
    """Nothing that it has started is left; also if it is told twice, as at a terminal."""
    number = signal.Signals[name]
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    log = tmp_path / ".decide" / "demo" / "server.log"
    demo = subprocess.Popen(
        [sys.executable, "-m", "app", "demo"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        if moment == "it has a server":
            while demo.poll() is None and not _serves(demo.pid):
                pass
        awaited = '"event": "ingesting"' if moment == "its prices move" else "Started worker"
        while moment != "it has a server" and demo.poll() is None:
            if log.is_file() and awaited in log.read_text(encoding="utf-8"):
                break
            time.sleep(0.005)
        for _ in range(2):
            demo.send_signal(number)
            time.sleep(0.01)
        # 0: a machine that paused here let it come to its own end. Below 0: the second one found it ending already.
        assert demo.wait(60) in (0, 128 + number, -number)
        # What Python starts beside a server ends of itself once that has ended.
        until(lambda: _is_gone(demo.pid), 30, "nothing is left")
        # Parts of `decide live` are in groups of their own.
        parts = re.findall(r'"part": "\w+", "pid": (\d+)', log.read_text(encoding="utf-8"))
        assert moment != "its prices move" or len(parts) == 3
        assert [each for each in parts if not _is_gone(int(each))] == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)
        demo.wait(30)


def _is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("arguments", [["keys", "list"], ["demo"], ["serve"]])
def test_ctrl_c_ends_a_command_without_a_traceback(arguments: list[str], tmp_path: Path, redis_server: RedisServer) -> None:
    """At any moment: while it imports, while it waits for a store that hangs."""
    environment = clean_environment({"PYTHONPATH": str(ROOT), "API_KEY_SECRET": 32 * "x", "REDIS_URL": redis_server.url})
    redis_server.pause()
    try:
        for delay_s in (0.0, 0.1, 0.3, 0.8):
            process = subprocess.Popen(
                [sys.executable, "-c", _HEARS, *arguments],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            time.sleep(delay_s)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=30)
            assert "Traceback" not in said
            assert process.returncode in (0, 130)
    finally:
        redis_server.go_on()


def test_an_output_that_nobody_takes_is_no_traceback() -> None:
    """As in `decide completion bash | head -1`."""
    shell = f"{sys.executable} -m app completion bash | true; echo ${{PIPESTATUS[0]}}"
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    ran = subprocess.run(["bash", "-c", shell], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert (ran.stdout.strip() in ("0", "1"), ran.stderr) == (True, "")


def test_a_working_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    shell = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m app demo"
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    ran = subprocess.run(
        ["sh", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (2, "decide: the working folder is not there any more; go to one that is\n")


def test_options_reach_the_workers(tmp_path: Path) -> None:
    given = {"BATCH_MAX": "7", "LOG_FORMAT": "JSON", "API_PORT": "9", "MAX_IN_FLIGHT": "5"}
    with decide_server(tmp_path, arguments=("--batch-max", "2", "--workers", "2", "--loop", "asyncio"), **given) as server:
        settings = httpx.get(f"{server.url}/status", timeout=10).json()["settings"]
        assert (settings["batch_max"], settings["workers"]) == (2, 2)
    _, log = stop_and_read_log(server)
    started = [line for line in map(json.loads, log.splitlines()) if line["event"] == "started"]
    assert [each["settings"]["batch_max"] for each in started] == [2, 2]
    assert {each["console"] for each in started} == {f"{server.url}/"}
    assert "batch_max" in started[0]["settings"]
    assert "l1_ttl_s" not in started[0]["settings"]
    assert "API_PORT in the environment is not a setting; it is PORT here" in log
    assert "MAX_IN_FLIGHT is no setting any more and is passed over; 10,000 decisions may be waited for" in log
    assert "LOOP is no setting any more and is passed over; uvloop is taken where it is installed" in log


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
        (["demo"], "decide warm && decide serve --clock replay"),
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
