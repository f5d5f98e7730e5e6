"""What ``ops/stack.py`` checks before it calls Docker. The rest of it runs in tests/acceptance."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.servers import ROOT
from tests.ops.scripts import load_stack


def test_a_fresh_clone_gets_random_secrets(tmp_path: Path) -> None:
    stack = load_stack(tmp_path)
    stack.check_secrets()
    paths = [stack.SECRETS / name for name in ("redis_password", "database_password", "api_key_secret")]
    first = [path.read_text() for path in paths]
    assert len(set(first)) == 3
    assert all(len(text.strip()) >= 32 for text in first)
    assert stack.SECRETS.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o004 for path in paths)
    stack.check_secrets()
    assert [path.read_text() for path in paths] == first


@pytest.mark.parametrize("name", ["redis_password", "database_password", "api_key_secret"])
@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (None, 0o644, "is missing"),
        (b"", 0o644, "is empty"),
        (b"short", 0o644, "no usable password"),
        (b"with spaces in between it, and longer than 32", 0o644, "no usable password"),
        (b"two-lines-of-password\nsecond\n", 0o644, "no usable password"),
        (b"\xff" * 40, 0o644, "cannot be read"),
        (b"a-good-long-password-of-more-than-32", 0o600, "must be readable by the containers' users"),
    ],
)
def test_a_spoiled_secret_is_refused_and_not_replaced(
    tmp_path: Path, name: str, content: bytes | None, mode: int, says: str
) -> None:
    stack = load_stack(tmp_path)
    stack.check_secrets()
    path = stack.SECRETS / name
    (stack.SECRETS / "api_key").write_text("decide_key", encoding="ascii")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(stack.Refused, match=says) as caught:
        stack.check_secrets(lambda _: True)
    assert f"secret {name}" in str(caught.value)
    assert f"ops/secrets/{name}" in str(caught.value)
    if content:
        assert content.decode("latin-1") not in str(caught.value)
    assert path.is_file() == (content is not None)


def test_a_folder_of_secrets_that_others_may_enter_is_closed_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its files stay readable for the containers' users, so the folder is what keeps others out."""
    stack = load_stack(tmp_path)
    stack.check_secrets()
    stack.SECRETS.chmod(0o755)
    capsys.readouterr()
    stack.check_secrets()
    assert stack.SECRETS.stat().st_mode & 0o777 == 0o700
    assert "ops/secrets was open to other users" in capsys.readouterr().out
    stack.check_secrets()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["api_key_secret", "database_password"])
def test_a_folder_of_an_earlier_version_gets_the_secret_that_it_lacks(tmp_path: Path, name: str) -> None:
    stack = load_stack(tmp_path)
    stack.check_secrets()
    password = (stack.SECRETS / "redis_password").read_text()
    (stack.SECRETS / name).unlink()
    stack.check_secrets(lambda _: False)
    assert (stack.SECRETS / "redis_password").read_text() == password
    assert len((stack.SECRETS / name).read_text()) > 32


def test_configuration_that_containers_cannot_read_is_refused(tmp_path: Path) -> None:
    """As after a clone under umask 077."""
    stack = load_stack(tmp_path)
    (tmp_path / "ops" / "redis").mkdir()
    conf = tmp_path / "ops" / "redis" / "redis.conf"
    conf.touch()
    (tmp_path / "ops" / "redis").chmod(0o755)
    conf.chmod(0o644)
    stack.check_mounts()
    conf.chmod(0o600)
    with pytest.raises(stack.Refused, match=r"ops/redis/redis\.conf must be readable.*chmod -R a\+rX ops/redis"):
        stack.check_mounts()


@pytest.mark.parametrize(
    ("environment", "file", "expected"),
    [
        ({}, "", {"CLOCK": "replay"}),
        ({"DECIDE_DATA": "/mine"}, "", {"CLOCK": "wall"}),
        ({}, "DECIDE_DATA=/mine\n", {"CLOCK": "wall"}),
        ({}, "# DECIDE_DATA=/mine\nDECIDE_DATA=\n", {"CLOCK": "replay"}),
        ({"CLOCK": "wall"}, "", {}),
        ({"DECIDE_DATA": "/mine"}, "CLOCK=replay\n", {}),
    ],
)
def test_the_clock_fits_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], file: str, expected: dict[str, str]
) -> None:
    stack = load_stack(tmp_path)
    for name in ("CLOCK", "DECIDE_DATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "ops" / ".env").write_text(file, encoding="utf-8")
    assert stack.clock() == expected


@pytest.mark.parametrize(
    ("environment", "file", "services", "expected"),
    [
        ({}, "", ["app", "redis"], {}),
        ({}, "", ["app", "postgres"], {"DECIDE_MARKET": "on", "COMPOSE_PROFILES": "market"}),
        ({"DECIDE_MARKET": "on"}, "", [], {"DECIDE_MARKET": "on", "COMPOSE_PROFILES": "market"}),
        ({}, "DECIDE_MARKET=on\nCOMPOSE_PROFILES=grafana\n", [], {"DECIDE_MARKET": "on", "COMPOSE_PROFILES": "grafana,market"}),
        ({"COMPOSE_PROFILES": "grafana"}, "", [], {}),
        ({"COMPOSE_PROFILES": "market,grafana"}, "", [], {"DECIDE_MARKET": "on", "COMPOSE_PROFILES": "grafana,market"}),
    ],
)
def test_a_stack_with_market_data_has_its_profile_beside_the_users_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    file: str,
    services: list[str],
    expected: dict[str, str],
) -> None:
    stack = load_stack(tmp_path)
    for name in ("DECIDE_MARKET", "COMPOSE_PROFILES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "ops" / ".env").write_text(file, encoding="utf-8")
    assert stack.market(lambda: services) == expected


@pytest.mark.parametrize(
    ("given", "file", "expected"),
    [
        ([], "DECIDE_DATA=/mine\n", []),
        (["--prune"], "", ["--prices", "/srv/prices", "--agents", "/srv/agents", "--prune"]),
        (["--prune"], "DECIDE_DATA=/mine\n", ["--prices", "/srv/mine/prices", "--agents", "/srv/mine/agents", "--prune"]),
        (["--prices=/srv/mine/new"], "", ["--prices=/srv/mine/new"]),
        (["--explain", "/srv/mine/prices/a.csv"], "", ["--explain", "/srv/mine/prices/a.csv"]),
    ],
)
def test_a_load_with_options_still_reads_what_the_stack_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], file: str, expected: list[str]
) -> None:
    """Compose would run the options alone, and the image has no sample to fall back to."""
    stack = load_stack(tmp_path)
    monkeypatch.delenv("DECIDE_DATA", raising=False)
    (tmp_path / "ops" / ".env").write_text(file, encoding="utf-8")
    assert stack.warm_arguments(given) == expected


def test_data_is_taken_back_by_the_command_in_the_running_server(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$1" = ps ] && echo "one.yaml,two.yaml" && exit\necho "$@"\nexit 1\n', encoding="ascii")
    docker.chmod(0o755)
    ran = subprocess.run(
        [sys.executable, str(ROOT / "ops" / "stack.py"), "withdraw", "AAPL", "--run", "r1"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    inside = "exec --no-TTY app python -m app withdraw AAPL --run r1"
    assert (ran.returncode, ran.stdout) == (1, f"compose --file=one.yaml --file=two.yaml {inside}\n")


def test_docker_is_asked_once_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often Compose is called."""
    asked = tmp_path / "asked"
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$1" >> {asked}\necho postgres\n', encoding="ascii")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("DECIDE_MARKET", "COMPOSE_PROFILES"):
        monkeypatch.delenv(name, raising=False)
    stack = load_stack(tmp_path)
    for _ in range(3):
        assert stack.market() == {"DECIDE_MARKET": "on", "COMPOSE_PROFILES": "market"}
        assert stack.compose(["one.yaml"], "ps") == 0
    assert asked.read_text(encoding="ascii").split() == ["ps", *["compose"] * 3]


def test_a_scenario_file_of_ones_own_goes_into_the_container(tmp_path: Path) -> None:
    stack = load_stack(tmp_path)
    mine = tmp_path / "mine.toml"
    mine.touch()
    mounted = ["--volume", f"{mine}:/scenarios/mine.toml:ro"]
    assert stack.scenario_file(["--scenario", str(mine), "--quick"]) == (
        mounted,
        ["--scenario", "/scenarios/mine.toml", "--quick"],
    )
    assert stack.scenario_file([f"--scenario={mine}"]) == (mounted, ["--scenario=/scenarios/mine.toml"])
    assert stack.scenario_file(["--scenario", "open"]) == ([], ["--scenario", "open"])
    assert stack.scenario_file([]) == ([], [])
    with pytest.raises(stack.Refused, match="no scenario file"):
        stack.scenario_file(["--scenario", str(tmp_path / "other.toml")])


@pytest.mark.parametrize(
    ("modes", "says"), [(["production"], "no stack 'production'; allowed: prod or dev"), (["prod", "dev"], "together")]
)
def test_a_mode_that_there_is_not_is_refused(tmp_path: Path, modes: list[str], says: str) -> None:
    stack = load_stack(tmp_path)
    with pytest.raises(stack.Refused) as caught:
        stack.up(modes)
    assert says in str(caught.value)
