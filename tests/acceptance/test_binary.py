"""The one file on a machine that has nothing else: built as `just binary` builds it, run in an empty container."""

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from app.version import VERSION
from bench.peers.binary import BINARY, PACKAGE, Measuring
from bench.peers.experiments import Pace
from bench.peers.world import World
from tests.acceptance.box import EMPTY, NEIGHBOUR, TEMPORARY, Box, prices, views
from tests.acceptance.stack import run
from tests.kit.servers import ROOT, until

_TODAY = datetime.now(UTC).date()
_DAYS = [str(_TODAY - timedelta(days=before)) for before in range(90, 0, -1)]
_LOCKS = ("-kafka", "-postgres", "-coinbase", "-traces", "-bench", "-build")


@pytest.fixture(scope="module")
def bill(dist: Path) -> dict[str, Any]:
    """The list of its parts."""
    return dict(json.loads((dist / "decide.cdx.json").read_text(encoding="utf-8")))


@pytest.fixture
def box(dist: Path, request: pytest.FixtureRequest) -> Iterator[Box]:
    """An empty machine."""
    box = Box(re.sub(r"\W", "-", request.node.name), dist)
    try:
        yield box
    finally:
        box.remove()


@pytest.fixture
def warmed(box: Box) -> Box:
    """One on which somebody has loaded his own files, but for their last two days."""
    box.write("prices.csv", prices(_DAYS[:-2]))
    box.write("agents.json", views(_DAYS[-3]))
    done = box("decide", "warm", "--prices", "prices.csv", "--agents", "agents.json")
    assert done.returncode == 0, done.stderr
    return box


def test_the_checksum_is_that_of_the_file(dist: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", "decide.sha256"], cwd=dist, capture_output=True, text=True, check=True)
    assert done.stdout == "decide: OK\n"
    root = json.loads((dist / "decide.cdx.json").read_text(encoding="utf-8"))["metadata"]["component"]
    assert (dist / "decide.sha256").read_text(encoding="ascii").split()[0] == root["hashes"][0]["content"]


def test_the_list_of_parts_is_what_cyclonedx_asks_for(dist: Path, bill: dict[str, Any]) -> None:
    """Its schema holds, strictly; it is of this version, says what glibc is needed, and has what makes up most of the file."""
    text = (dist / "decide.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("decide", VERSION)
    facts = {each["name"]: each["value"] for each in root["properties"]}
    assert re.fullmatch(r"2\.\d+", facts["decide:needs_glibc"])
    assert int(facts["decide:unpacked_at_start_bytes"]) < 64 << 20
    names = {each["name"] for each in bill["components"]}
    assert {"granian", "polars", "polars-runtime-32", "matplotlib", "opentelemetry-sdk", "pyinstaller"} <= names
    assert {"libssl3t64", "swagger-ui-dist", "lightweight-charts"} <= names
    assert any("python" in name for name in names)
    assert not names & {"pytest", "hypothesis", "pip", "setuptools", "cyclonedx-python-lib", "hatchling", "flask"}


def test_every_library_inside_is_one_of_the_lock_files(bill: dict[str, Any]) -> None:
    """By version and by the hash of what was installed."""
    locked: dict[str, set[str]] = {}
    for name in _LOCKS:
        text = (ROOT / f"requirements{name}.lock").read_text(encoding="utf-8")
        for pin, hashes in re.findall(r"(?m)^([a-z0-9-]+==\S+)[^\n]*\\\n((?:\s+--hash=sha256:[^\n]+\n)+)", text):
            locked.setdefault(pin, set()).update(re.findall(r"sha256:([0-9a-f]{64})", hashes))
    libraries = [each for each in bill["components"] if each["purl"].startswith("pkg:pypi/")]
    assert len(libraries) > 40
    for each in libraries:
        assert each["hashes"][0]["content"] in locked[f"{each['name']}=={each['version']}"], each["name"]
        assert each["licenses"], each["name"]


def test_licences_are_beside_it(dist: Path, bill: dict[str, Any]) -> None:
    text = (dist / "decide.licenses.txt").read_text(encoding="utf-8")
    assert text.count((ROOT / "LICENSE").read_text(encoding="utf-8").strip()) == 1
    missing = [each["name"] for each in bill["components"] if f"{each['name']} {each['version']}\n====" not in text]
    assert missing == []


def test_it_starts_and_costs_as_is_said(dist: Path, bill: dict[str, Any], tmp_path: Path) -> None:
    """Ready within 2 s, memory within a tenth of the package's, and CPU time an answer near it: `just measure-binary`, in short.

    Answers a second swing too much in so short a time; they are for `just measure-binary` on a machine that does nothing else.
    """
    needed = next(each["value"] for each in bill["metadata"]["component"]["properties"] if each["name"] == "decide:needs_glibc")
    _, ours = platform.libc_ver()
    if [int(part) for part in ours.split(".")] < [int(part) for part in needed.split(".")]:
        pytest.skip(f"OLD GLIBC: this machine has {ours}, the binary needs {needed}")
    commands = {PACKAGE: [sys.executable, "-m", "app"], BINARY: [str(dist / "decide")]}
    pace = Pace(rounds=7, seconds=0.2, sizes=(20,), warm_symbols=1, warm_bars=1, loop_symbols=1)
    world = World(tmp_path)
    try:
        found = Measuring(world, commands, pace, print).compare()
    finally:
        world.close()
    cpu = {each.name: each.row(BINARY).cpu_ratio for each in found.tables}
    assert all(ratio is not None and ratio.median <= 1.5 for ratio in cpu.values()), cpu
    assert [goal for goal in found.goals() if not goal.met and "answers/s" not in goal.what] == []


def test_the_demo_runs_where_there_is_nothing(box: Box) -> None:
    """No Python, no network; it ends with 0 and leaves nothing in /tmp."""
    assert box("sh", "-c", "command -v python3 || command -v python").returncode != 0
    done = box("decide", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOPE: HTTP 404" in done.stdout
    assert box.shell("ls -A /tmp") == ""


def test_own_files_two_workers_and_a_newer_run(warmed: Box) -> None:
    """Whoever asks is answered from his own files; after a newer run both workers answer from that one and neither goes back.

    What is unpacked for a server holds no Polars; SIGTERM ends it with 0, and neither a process nor a folder is left.
    """
    # Whether bars have come since is a matter of the weekday.
    warmed.serve(WORKERS="2", PRICE_MAX_AGE_S="604800")
    (before,) = warmed.ask("ACME")
    assert before["fallback"]["level"] == "none"
    assert before["as_of"].startswith(_DAYS[-3])
    unpacked = warmed.unpacked()
    assert any("granian" in path for path in unpacked)
    assert not [path for path in unpacked if re.search(r"polars|numpy|matplotlib|sample", path)]
    follower = warmed.beside(ROOT / "tests" / "acceptance" / "following.py")
    assert follower.stdin is not None
    assert follower.stdout is not None
    assert follower.stdout.readline() == "24\n"
    warmed.write("prices.csv", prices(_DAYS))
    assert warmed("decide", "warm", "--prices", "prices.csv", "--agents", "agents.json").returncode == 0
    until(
        lambda: all(warmed.ask("ACME")[0]["cache"]["run"] != before["cache"]["run"] for _ in range(5)),
        20,
        "the new run is served",
    )
    (after,) = warmed.ask("ACME")
    told, _ = follower.communicate("", timeout=60)
    workers, runs = zip(*json.loads(told), strict=True)
    assert len(set(workers)) == 2
    assert list(runs) == [[before["cache"]["run"], after["cache"]["run"]]] * 24
    code, took_s = warmed.stop()
    assert code == 0, warmed.shell("cat log")
    assert took_s < 2 + 10
    assert warmed.processes() == []
    assert warmed.unpacked() == []


def test_nobody_on_a_read_only_machine(dist: Path) -> None:
    """As a user without a name, with all mounted read-only but two folders in memory; where there is no room, it says so."""
    nobody = ("--read-only", "--user", "10001:10001", "--cap-drop", "ALL", "--tmpfs", "/data:mode=1777", "--tmpfs")
    small = Box("small", dist, *nobody, f"{TEMPORARY}:exec,size=64m")
    large = Box("large", dist, *nobody, f"{TEMPORARY}:exec,size=300m")
    try:
        for box in (small, large):
            box.write("prices.csv", prices(_DAYS))
        refused = small("decide", "warm", "--prices", "prices.csv")
        assert refused.returncode == 1
        assert "polars cannot be unpacked into" in refused.stderr
        assert "No space left on device; set TMPDIR" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert small.unpacked() == []
        # A server needs no more.
        small.start()
        assert small.stop()[0] == 0
        done = large("decide", "warm", "--prices", "prices.csv")
        assert done.returncode == 0, done.stderr
        large.serve()
        assert large.ask("ACME")[0]["fallback"]["level"] == "price_only"
        assert large.stop()[0] == 0
        assert large.unpacked() == []
    finally:
        small.remove()
        large.remove()


def test_as_the_first_process_of_a_container(dist: Path) -> None:
    """`docker stop` sends it SIGTERM, as orchestrators do: it ends with 0 and leaves nothing in /tmp."""
    name = "decide-binary-first"
    run("docker", "rm", "--force", name, check=False)
    mount = ("--volume", f"{dist / 'decide'}:/decide:ro")
    run("docker", "run", "--detach", "--name", name, "--network", "none", *mount, "--workdir", "/srv", EMPTY, "/decide", "serve")
    try:
        until(lambda: "Started worker" in run("docker", "logs", name), 20, "it has started")
        run("docker", "stop", "--time", "30", name)
        assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
        assert "_MEI" not in run("docker", "diff", name)
    finally:
        run("docker", "rm", "--force", name)


def test_killed_at_once_it_leaves_no_server_behind(warmed: Box) -> None:
    """SIGKILL reaches the outer process alone; the one that serves ends by itself, and removes the folder."""
    warmed.serve()
    code, _ = warmed.stop("KILL")
    assert code == 137
    until(lambda: warmed.processes() == [] and warmed.unpacked() == [], 15, "nothing is left")
    begun = 'test -n "$(cat /proc/$!/task/$!/children)"'
    for moment_s in ("0", "0.05"):
        warmed.shell(f"decide serve > log 2>&1 & until {begun}; do :; done; sleep {moment_s}; kill -KILL $!")
        until(lambda: warmed.processes() == [] and warmed.unpacked() == [], 15, "nothing is left of what has just begun")
    # What is unpacked before Python runs nobody takes away: the first moment is when the demo has a server.
    starts_server = "rm -rf .decide/demo; decide demo > demo.log 2>&1 & until [ -s .decide/demo/server.log ]; do sleep 0.02; done"
    # Nor what is left where the outer process is killed while it takes its folder away: the demo ends after 0.7 s or so.
    for moment_s in ("0", "0.15", "0.3"):
        warmed.shell(f"{starts_server}; sleep {moment_s}; kill -KILL $! || true")
        until(lambda: warmed.processes() == [] and warmed.unpacked() == [], 15, "nothing is left of a demo either")


def test_what_else_it_can_do(warmed: Box) -> None:
    """Keys, traces, the pages, a log for people, and the benchmark with its picture."""
    made = warmed("decide", "keys", "new", "--name", "bot", settings={"API_KEY_SECRET": "s" * 32})
    assert made.stdout.startswith("decide_"), made.stderr
    assert VERSION in warmed.shell("decide version")
    completion = warmed("decide", "completion", "bash")
    assert ("complete" in completion.stdout, completion.stderr) == (True, "")
    warmed.serve(TRACES="on", LOG_FORMAT="console")
    assert "Started worker" in warmed.shell("cat log")
    fetch = "import sys, urllib.request as u; [print(len(u.urlopen('http://127.0.0.1:8000' + p).read())) for p in sys.argv[1:]]"
    network = ("--network", f"container:{warmed.name}")
    paths = (
        "/",
        "/docs",
        "/docs/swagger-ui-bundle.js",
        "/console/lightweight-charts.standalone.production.mjs",
        "/openapi.json",
        "/metrics",
    )
    sizes = run("docker", "run", "--rm", *network, NEIGHBOUR, "python", "-c", fetch, *paths).split()
    assert len(sizes) == len(paths)
    assert int(sizes[2]) > 1_000_000
    warmed.write(
        "short.toml", 'description = "short"\n[[phases]]\nname = "short"\nloop = "closed"\nconnections = 2\nduration_s = 1\n'
    )
    done = warmed("decide", "bench", "--url", "http://127.0.0.1:8000", "--scenario", "short.toml", "--out", "results")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr
    assert "</svg>" in warmed.shell("cat results/short.svg")


def test_on_a_unix_socket(warmed: Box) -> None:
    """Who is on the same machine asks it there; the socket goes with the server."""
    warmed.serve("unix:/data/decide.sock", HOST="unix:/data/decide.sock", WORKERS="2")
    assert warmed.stop()[0] == 0
    assert warmed("test", "-e", "decide.sock").returncode == 1


def _lives(box: Box, part: str) -> list[str]:
    """The processes that a part of `decide live` had so far."""
    return re.findall(rf'"part": "{part}", "pid": (\d+)', box.shell("cat log"))


def _lives_again(box: Box, part: str) -> bool:
    return len(_lives(box, part)) == 2


def test_prices_move_where_there_is_nothing(box: Box) -> None:
    """`decide live` starts parts of itself: a killed one comes back, and with the outermost process all of them go."""
    box.start("live", INGESTION_INTERVAL_SECONDS="0.2")

    def price() -> float | None:
        (answer,) = box.ask("AAPL") if box("decide", "ask", "AAPL").returncode == 0 else [{"inputs": {}}]
        tick = answer["inputs"].get("tick")
        return None if tick is None else tick["price"]

    def moves() -> None:
        until(lambda: price() is not None, 60, "a decision rests on a last trade")
        before = price()
        until(lambda: price() not in (None, before), 60, "it follows the price")

    moves()
    for part in ("serve", "ingest", "stream"):
        (pid,) = _lives(box, part)
        box.shell(f"kill -KILL {pid}")
        until(partial(_lives_again, box, part), 60, f"{part} is there again")
        moves()
    assert box.stop()[0] == 0
    assert (box.processes(), box.unpacked()) == ([], [])
    box.start("live")
    moves()
    assert box.stop("KILL")[0] == 137
    until(lambda: box.processes() == [] and box.unpacked() == [], 30, "nothing is left")
