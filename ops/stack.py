"""The Compose stack: ``python3 ops/stack.py up|down|logs|ps|warm|bench`` (what `just up` and its kin call).

It needs Docker with Compose 2.24 or newer and nothing but Python's standard library. What it adds to `docker compose`: it checks
the production secret and says what is wrong with it, knows which files the running stack was started with, picks the clock that
fits the data, shows the log of what did not start, and brings the benchmark's results out of its container.
"""

import argparse
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

OPS = Path(__file__).resolve().parent
ROOT = OPS.parent
SECRET = OPS / "secrets" / "redis_password"
MODES = ("prod", "dev")
RESULTS = ROOT / "bench" / "results"
_PASSWORD = re.compile(r"[A-Za-z0-9_.~+/=-]{16,}")
_ALLOWED = "at least 16 characters of letters, digits and _.~+/=-"
_WAIT_S = 300


class Refused(Exception):
    """What keeps the stack from starting, for people."""


def check_secret() -> None:
    """See that production's password is there and usable.

    In a fresh clone, where the folder of secrets is not there yet, one is made. From then on it is the user's: one that is gone
    or spoiled is not replaced in silence, because the Redis that runs may still want it.

    Raises:
        Refused: it is missing or cannot be a password.
    """
    where = SECRET.relative_to(ROOT)
    if not SECRET.parent.exists():
        SECRET.parent.mkdir(mode=0o700)
        # Readable by the containers' users, who are not ours; on this machine the folder keeps others out.
        SECRET.write_text(secrets.token_urlsafe(32) + "\n", encoding="ascii")
        SECRET.chmod(0o644)
        print(f"made a random Redis password: {where}")
        return
    make = f"python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > {where}"
    if not SECRET.is_file():
        raise Refused(f"secret redis_password is missing: there is no file {where}; make one with\n  {make}")
    try:
        password = SECRET.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"secret redis_password cannot be read from {where}: {error}") from error
    if not _PASSWORD.fullmatch(password):
        what = "empty" if not password else "no usable password"
        raise Refused(f"secret redis_password in {where} is {what}; allowed: {_ALLOWED}; make one with\n  {make}")
    if not SECRET.stat().st_mode & 0o004:
        raise Refused(f"secret redis_password: {where} must be readable by the containers' users: chmod 644 {where}")


def check_mounts() -> None:
    """See that the containers' users, who are not ours, can read what is mounted into them.

    Raises:
        Refused: they cannot, as after a clone under umask 077.
    """
    hidden = [
        path
        for folder in ("redis", "prometheus", "grafana")
        for path in ((OPS / folder), *(OPS / folder).rglob("*"))
        if path.exists() and not path.stat().st_mode & 0o004
    ]
    if hidden:
        folders = " ".join(sorted({f"ops/{path.relative_to(OPS).parts[0]}" for path in hidden}))
        raise Refused(f"{hidden[0].relative_to(ROOT)} must be readable by the containers' users: chmod -R a+rX {folders}")


def files_of(mode: str) -> list[str]:
    """The Compose files of a mode."""
    return [str(OPS / "compose.yaml"), str(OPS / f"compose.{mode}.yaml")]


def running_files() -> list[str]:
    """The Compose files that the running stack was started with; empty if none runs."""
    label = "com.docker.compose.project.config_files"
    shown = subprocess.run(
        ["docker", "ps", "--filter", "label=com.docker.compose.project=decide", "--format", f'{{{{.Label "{label}"}}}}'],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return shown[0].split(",") if shown else []


def compose(files: Sequence[str], *arguments: str) -> int:
    """``docker compose`` with ``files``; its exit code."""
    given = [part for each in files for part in ("--file", each)]
    environment = {**os.environ, **clock(), "DECIDE_COMMIT": commit()}
    return subprocess.run(["docker", "compose", *given, *arguments], env=environment, check=False).returncode


def clock() -> dict[str, str]:
    """The clock if nobody chose one: replay for the sample, which ends in 2013, and wall for data of the user's own."""
    try:
        written = (OPS / ".env").read_text(encoding="utf-8")
    except FileNotFoundError:
        written = ""
    chosen = {name for name in ("CLOCK", "DECIDE_DATA") if os.environ.get(name) or re.search(rf"(?m)^\s*{name}=\S", written)}
    if "CLOCK" in chosen:
        return {}
    return {"CLOCK": "wall" if "DECIDE_DATA" in chosen else "replay"}


def commit() -> str:
    """What the benchmark's results say they are of."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def up(mode: str, services: Sequence[str] = ()) -> int:
    """Build, start, and wait until everything is healthy; show the log of what is not."""
    check_mounts()
    if mode == "prod":
        check_secret()
    files = files_of(mode)
    before = running_files()
    if before and before != files:
        raise Refused(f"a stack of other files is running ({', '.join(Path(each).name for each in before)}): `just down` first")
    code = compose(files, "up", "--build", "--detach", "--wait", "--wait-timeout", str(_WAIT_S), *services)
    if code:
        show_failures(files)
        return 1
    print(f"up ({mode}); the API is at http://{address(files)}; `just ps`, `just logs`, `just bench`, `just down`")
    return 0


def address(files: Sequence[str]) -> str:
    """Where the API is published."""
    given = [part for each in files for part in ("--file", each)]
    shown = subprocess.run(["docker", "compose", *given, "port", "app", "8000"], check=False, capture_output=True, text=True)
    return shown.stdout.strip()


def show_failures(files: Sequence[str]) -> None:
    """The last lines of every service that should be well and is not."""
    given = [part for each in files for part in ("--file", each)]
    shown = subprocess.run(
        ["docker", "compose", *given, "ps", "--all", "--format", "json"], check=False, capture_output=True, text=True
    ).stdout
    for line in shown.splitlines():
        state = json.loads(line)
        well = state["State"] == "running" and state["Health"] in ("", "healthy")
        if well or (state["State"] == "exited" and state["ExitCode"] == 0):
            continue
        print(f"\n{state['Service']} is {state['State']} {state['Health']} (exit code {state['ExitCode']}):", file=sys.stderr)
        compose(files, "logs", "--no-log-prefix", "--tail", "8", state["Service"])


def scenario_file(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What mounts a scenario file of the user's own into the container, and the arguments with its name there.

    Raises:
        Refused: there is no such file.
    """
    mounts, inside = [], list(arguments)
    for at, argument in enumerate(inside):
        option, _, value = argument.rpartition("=")
        if not (value.endswith(".toml") and (option == "--scenario" or inside[at - 1] == "--scenario")):
            continue
        path = Path(value).resolve()
        if not path.is_file():
            raise Refused(f"no scenario file {value}")
        mounts += ["--volume", f"{path}:/scenarios/{path.name}:ro"]
        inside[at] = f"{option}{'=' if option else ''}/scenarios/{path.name}"
    return mounts, inside


def bench(arguments: Sequence[str]) -> int:
    """Run the harness inside the stack's network, starting the stack if there is none; bring its results to bench/results."""
    files = running_files()
    if not files:
        print("no stack is running; starting it (just up prod)")
        if code := up("prod"):
            return code
        files = files_of("prod")
    if code := compose(files, "--profile", "bench", "build", "--quiet", "bench"):
        return code
    name = f"decide-bench-{os.getpid()}"
    terminal = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]
    outputs = ["--url", "http://app:8000", "--out", "/results"]
    mounts, arguments = scenario_file(arguments)
    try:
        code = compose(files, "run", "--no-deps", "--name", name, *terminal, *mounts, "bench", *outputs, *arguments)
        RESULTS.mkdir(exist_ok=True)
        copied = subprocess.run(["docker", "cp", "--quiet", f"{name}:/results/.", str(RESULTS)], check=False).returncode
        if copied == 0:
            print(f"results: {RESULTS.relative_to(ROOT)}/")
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=False, capture_output=True)
    return code or copied


def main() -> int:
    """Exit codes: 0 done, 1 it did not start or the benchmark failed, 2 refused before anything was started."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="build and start it, and wait until it is healthy")
    start.add_argument("mode", nargs="?", choices=MODES, default=MODES[0])
    for command in ("down", "logs", "ps", "warm", "bench"):
        commands.add_parser(command, add_help=False)
    arguments, rest = parser.parse_known_args()
    if arguments.command == "up" and rest:
        parser.error(f"unknown arguments {rest}")
    base = [str(OPS / "compose.yaml")]
    try:
        match arguments.command:
            case "up":
                return up(arguments.mode)
            case "down":
                return compose(base, "--profile", "*", "down", "--remove-orphans", *rest)
            case "logs":
                follow = ["--follow"] if sys.stdout.isatty() else []
                return compose(base, "--profile", "*", "logs", "--tail", "100", *follow, *rest)
            case "ps":
                return compose(base, "--profile", "*", "ps", "--all", *rest)
            case "warm":
                return compose(running_files() or files_of("prod"), "run", "--rm", "warm", *rest)
            case _:
                return bench(rest)
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
