"""The units of systemd: its own word on them, and that they fit each other, the server and what the documents say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.arguments import parse
from app.commands.table import load
from app.options import Settings
from app.settings import SECRETS
from tests.kit.programs import systemd_analyze
from tests.kit.servers import ROOT, clean_environment
from warm.stream.live import MOMENT_S

_FOLDER = ROOT / "ops" / "systemd"
_SERVERS = ("decide.service", "decide-live.service")
_SERVICES = (
    *_SERVERS,
    "decide-warm.service",
    "decide-market-backup.service",
    "decide-ingest.service",
    "decide-stream.service",
)
_EXPOSURE_MAX = 20
"""In tenths: of 100, of which systemd's own services have 20 to 96."""


def _unit(name: str) -> dict[str, list[str]]:
    """A unit's directives, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in (_FOLDER / name).read_text(encoding="utf-8").splitlines():
        directive, equals, value = line.partition("=")
        if equals and re.fullmatch("[A-Za-z]+", directive):
            found.setdefault(directive, []).append(value)
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units in a folder, with a program that this machine has."""
    for path in _FOLDER.glob("*.[st]*"):
        text = path.read_text(encoding="utf-8").replace("/usr/local/bin/decide", sys.executable)
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    return tmp_path


def test_systemd_has_nothing_to_say_against_the_units(installed: Path) -> None:
    units = sorted(installed.iterdir())
    assert [each.name for each in units] == [
        "decide-ingest.service", "decide-live.service", "decide-market-backup.service", "decide-market-backup.timer",
        "decide-stream.service", "decide-warm.service", "decide-warm.timer", "decide.service",
    ]  # fmt: skip
    assert systemd_analyze("verify", "--man=no", *units) == ""


@pytest.mark.parametrize("name", _SERVICES)
def test_a_unit_leaves_little_to_who_breaks_in(installed: Path, name: str) -> None:
    """By systemd's own measure."""
    said = systemd_analyze("security", "--offline=true", f"--threshold={_EXPOSURE_MAX}", installed / name)
    assert "Overall exposure level" in said


@pytest.mark.parametrize("name", _SERVICES[1:])
def test_all_services_mean_the_same_stores_and_the_same_user(name: str) -> None:
    server, job = _unit("decide.service"), _unit(name)
    for directive in (
        "User",
        "DynamicUser",
        "StateDirectory",
        "StateDirectoryMode",
        "WorkingDirectory",
        "EnvironmentFile",
        "UMask",
    ):
        assert server[directive] == job[directive], directive


@pytest.mark.parametrize(("name", "more_s"), [("decide.service", 2), ("decide-live.service", 2 + MOMENT_S)])
def test_there_is_time_to_drain_before_systemd_kills(name: str, more_s: float) -> None:
    """SIGTERM to the main process alone, and more seconds than the server takes at most by itself."""
    server, defaults = _unit(name), Settings()
    assert (server["KillMode"], server["Type"], server["NotifyAccess"]) == (["mixed"], ["notify"], ["all"])
    assert int(server["TimeoutStopSec"][0]) > defaults.drain_s + defaults.shutdown_grace_s + more_s


def test_what_lives_in_one_unit_does_not_run_beside_its_parts() -> None:
    """And waits for their end, as they do for its."""
    live, parts = _unit("decide-live.service"), "decide.service decide-ingest.service decide-stream.service"
    assert (live["Conflicts"], live["After"]) == ([parts], [f"network.target {parts}"])


@pytest.mark.parametrize("name", _SERVICES)
def test_what_a_unit_starts_is_a_command_of_decide(name: str) -> None:
    """With arguments that it takes."""
    (line,) = _unit(name)["ExecStart"]
    program, command, *arguments = re.sub(r"\$\{[A-Z_]+\}", "1", line).split()
    assert program == "/usr/local/bin/decide"
    parse(load(command).make_parser(), arguments)


@pytest.mark.parametrize("name", [*_SERVERS, "decide-ingest.service", "decide-stream.service"])
def test_an_address_has_a_minute_to_come_up_and_is_not_waited_for_for_ever(name: str) -> None:
    """Between the starts alone; those are given up within the interval as long as each takes less than four seconds."""
    server = _unit(name)
    starts, interval_s, pause_s = (int(server[each][0]) for each in ("StartLimitBurst", "StartLimitIntervalSec", "RestartSec"))
    assert 60 <= starts * pause_s < 90
    assert starts * (pause_s + 4) <= interval_s


def test_every_setting_of_the_units_exists() -> None:
    known = {name.upper() for name in Settings.__struct_fields__} | {f"{name.upper()}_FILE" for name in SECRETS}
    texts = {path.name: path.read_text(encoding="utf-8") for path in _FOLDER.iterdir()}
    for name, text in texts.items():
        named = set(re.findall(r"(?m)^#?(?:Environment=)?([A-Z][A-Z0-9_]+)=", text))
        assert {each for each in named if not each.startswith("DECIDE_")} <= known, name
    of_jobs = set(re.findall(r"\$\{(DECIDE_[A-Z]+)\}", "".join(texts.values())))
    assert of_jobs == set(re.findall(r"(?m)^#(DECIDE_[A-Z]+)=", texts["decide.env"]))


def test_the_readme_of_ops_installs_what_there_is() -> None:
    readme = (ROOT / "ops" / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"ops/systemd/([a-z.-]+)", readme))
    assert named == {path.name for path in _FOLDER.iterdir()}


def test_the_backup_of_the_timer_is_made_checked_and_rotated(tmp_path: Path) -> None:
    """By the line of the unit, as systemd would run it in the working folder."""
    unit = _unit("decide-market-backup.service")
    (line,) = unit["ExecStart"]
    name, _, value = unit["Environment"][0].partition("=")
    arguments = line.replace(f"${{{name}}}", value).split()[1:]
    environment = clean_environment({"PYTHONPATH": str(ROOT)})

    def run(*command: str) -> str:
        decide = [sys.executable, "-m", "app", *command]
        ran = subprocess.run(decide, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    run("migrate")
    folder = tmp_path / "backups"
    folder.mkdir(0o700)
    for day in range(1, 10):
        folder.joinpath(f"market-2024010{day}T000000Z.sqlite3").touch()
    assert "checked; removed 3 older" in run(*arguments)
    assert len([*folder.iterdir()]) == int(value)
    newest = max(folder.iterdir())
    assert run("market", "restore", str(newest)).startswith("restored ")
