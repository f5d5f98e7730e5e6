"""The Compose stack: ``python3 ops/stack.py up|down|logs|ps|warm|keys|withdraw|bench`` (what `just up` and its kin call).

It needs Docker with Compose 2.24 or newer and nothing but Python's standard library. What it adds to `docker compose`: it checks
the production secrets and says what is wrong with them, keeps an API key that the servers know, knows which files the running
stack was started with, picks the clock that fits the data, shows the log of what did not start, and brings the benchmark's
results out of its container.
"""

import argparse
import functools
import http
import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

OPS = Path(__file__).resolve().parent
ROOT = OPS.parent
PROJECT = "decide"
SECRETS = OPS / "secrets"
SECRET_NAMES = ("redis_password", "database_password", "api_key_secret")
API_KEY = "api_key"
MODES = ("prod", "dev")
RESULTS = ROOT / "bench" / "results"
_PASSWORD = re.compile(r"[A-Za-z0-9_.~+/=-]+")
_LEAST = {"redis_password": 16, "database_password": 16, "api_key_secret": 32}
_WAIT_S = 300
_KEY_S = 10.0


class Refused(Exception):
    """What keeps the stack from starting, for people."""


def has_volume(name: str) -> bool:
    """Whether the stack ever kept data in this volume."""
    shown = subprocess.run(
        ["docker", "volume", "ls", "--quiet", "--filter", f"name=^{PROJECT}_{name}$"], check=True, capture_output=True, text=True
    )
    return bool(shown.stdout.strip())


def check_secrets(has_volume: Callable[[str], bool] = has_volume) -> None:
    """See that production's secrets are there and usable.

    In a fresh clone, where the folder of secrets is not there yet, they are made. From then on they are the user's: one that is
    gone or spoiled is not replaced in silence: the Redis that runs may still want the one, and API keys are known by the other.

    Raises:
        Refused: one is missing or cannot be what it is for.
    """
    if not SECRETS.exists():
        SECRETS.mkdir(mode=0o700)
        for name in SECRET_NAMES:
            _make_secret(name, SECRETS / name)
        return
    _close_folder()
    if not (SECRETS / "api_key_secret").exists() and not (SECRETS / API_KEY).exists():
        # A folder of an earlier version, which had no keys: nobody can want the old one back.
        _make_secret("api_key_secret", SECRETS / "api_key_secret")
    if not (SECRETS / "database_password").exists() and not has_volume("postgres-data"):
        # As above: no database has one yet.
        _make_secret("database_password", SECRETS / "database_password")
    for name in SECRET_NAMES:
        _check_secret(name, SECRETS / name)


def _close_folder() -> None:
    # The files must be readable for the containers' users, so it is the folder that keeps this machine's others out.
    if os.name == "nt" or not SECRETS.stat().st_mode & 0o077:
        return
    try:
        SECRETS.chmod(0o700)
    except PermissionError as error:
        raise Refused(
            f"{SECRETS.relative_to(ROOT)} is open to other users of this machine and not yours; allowed: mode 700"
        ) from error
    print(f"{SECRETS.relative_to(ROOT)} was open to other users of this machine: it is yours alone now (mode 700)")


def _make_secret(name: str, path: Path) -> None:
    # Readable by the containers' users, who are not ours; on this machine the folder keeps others out.
    path.write_text(secrets.token_urlsafe(32) + "\n", encoding="ascii")
    path.chmod(0o644)
    print(f"made a random {name}: {path.relative_to(ROOT)}")


def _check_secret(name: str, path: Path) -> None:
    where = path.relative_to(ROOT)
    make = f"python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > {where}"
    if not path.is_file():
        raise Refused(f"secret {name} is missing: there is no file {where}; make one with\n  {make}")
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"secret {name} cannot be read from {where}: {error}") from error
    if not _PASSWORD.fullmatch(text) or len(text) < _LEAST[name]:
        what = "empty" if not text else "no usable password"
        allowed = f"at least {_LEAST[name]} characters of letters, digits and _.~+/=-"
        raise Refused(f"secret {name} in {where} is {what}; allowed: {allowed}; make one with\n  {make}")
    if not path.stat().st_mode & 0o004:
        raise Refused(f"secret {name}: {where} must be readable by the containers' users: chmod 644 {where}")


def check_mounts() -> None:
    """See that the containers' users, who are not ours, can read what is mounted into them.

    Raises:
        Refused: they cannot, as after a clone under umask 077.
    """
    hidden = [
        path
        for folder in ("redis", "postgres", "prometheus", "grafana")
        for path in ((OPS / folder), *(OPS / folder).rglob("*"))
        if path.exists() and not path.stat().st_mode & 0o004
    ]
    if hidden:
        folders = " ".join(sorted({f"ops/{path.relative_to(OPS).parts[0]}" for path in hidden}))
        raise Refused(f"{hidden[0].relative_to(ROOT)} must be readable by the containers' users: chmod -R a+rX {folders}")


def files_of(mode: str) -> list[str]:
    """The Compose files of a mode."""
    return [str(OPS / "compose.yaml"), str(OPS / f"compose.{mode}.yaml")]


def asked(files: Sequence[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """What ``docker compose`` with ``files`` says."""
    return subprocess.run(["docker", "compose", *options(files), *arguments], check=False, capture_output=True, text=True)


def options(files: Sequence[str]) -> list[str]:
    """Compose's options for ``files``."""
    return [f"--file={each}" for each in files]


@functools.cache
def running(label: str) -> list[str]:
    """What the running stack's containers have as Compose's ``label``, when it was first asked."""
    compose_label = "com.docker.compose"
    shown = subprocess.run(
        [
            *("docker", "ps", "--filter", f"label={compose_label}.project={PROJECT}"),
            *("--format", f'{{{{.Label "{compose_label}.{label}"}}}}'),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return shown.stdout.splitlines()


def running_files() -> list[str]:
    """The Compose files that the running stack was started with; empty if none runs."""
    shown = running("project.config_files")
    return shown[0].split(",") if shown else []


def compose(files: Sequence[str], *arguments: str) -> int:
    """``docker compose`` with ``files``; its exit code."""
    given = [*pins(), *options(files)]
    environment = {**os.environ, **clock(), **market(), "DECIDE_COMMIT": commit()}
    return subprocess.run(["docker", "compose", *given, *arguments], env=environment, check=False).returncode


def pins() -> list[str]:
    """Options that have the images by digest, where they are (`ops/pins.py`). The user's own variables come later and count:
    Compose then reads them no longer by itself.
    """
    if not (OPS / "images.env").exists():
        return []
    return [part for name in ("images.env", ".env") if (OPS / name).exists() for part in ("--env-file", str(OPS / name))]


def value_of(name: str) -> str:
    """What the user says this variable of the Compose files is, in the environment or in ops/.env; empty: nothing."""
    try:
        written = (OPS / ".env").read_text(encoding="utf-8")
    except FileNotFoundError:
        written = ""
    found = re.search(rf"(?m)^\s*{name}=(\S+)", written)
    return os.environ.get(name) or (found[1] if found else "")


def market(services: Callable[[], Sequence[str]] = lambda: running("service")) -> dict[str, str]:
    """What has PostgreSQL in the stack, where it is wanted or runs: its profile beside the user's own, and that all use it."""
    profiles = [each for each in value_of("COMPOSE_PROFILES").split(",") if each not in ("", "market")]
    is_wanted = value_of("DECIDE_MARKET") or "market" in value_of("COMPOSE_PROFILES").split(",")
    if not is_wanted and "postgres" not in services():
        return {}
    return {"DECIDE_MARKET": "on", "COMPOSE_PROFILES": ",".join([*profiles, "market"])}


def clock() -> dict[str, str]:
    """The clock if nobody chose one: replay for the sample, which ends in 2013, and wall for data of the user's own."""
    if value_of("CLOCK"):
        return {}
    return {"CLOCK": "wall" if value_of("DECIDE_DATA") else "replay"}


def warm_arguments(given: Sequence[str]) -> list[str]:
    """``given``, behind the folders that the service loads: Compose runs what is given in place of its own arguments."""
    if not given or any(each.partition("=")[0] in ("--prices", "--explain") for each in given):
        return list(given)
    folder = "/srv/mine" if value_of("DECIDE_DATA") else "/srv"
    return ["--prices", f"{folder}/prices", "--agents", f"{folder}/agents", *given]


def commit() -> str:
    """What the benchmark's results say they are of."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def up(modes: Sequence[str] = ()) -> int:
    """Build, start, and wait until everything is healthy; show the log of what is not."""
    for each in modes:
        if each not in (*MODES, "market"):
            raise Refused(f"there is no stack {each!r}; allowed: prod or dev, and market beside them")
    mode, *others = [each for each in modes if each != "market"] or MODES[:1]
    if others:
        raise Refused(f"{mode} and {others[0]} are not to be had together")
    if "market" in modes:
        os.environ["DECIDE_MARKET"] = "on"
    check_mounts()
    if mode == "prod":
        check_secrets()
    files = files_of(mode)
    before = running_files()
    if before and before != files:
        raise Refused(f"a stack of other files is running ({', '.join(Path(each).name for each in before)}): `just down` first")
    code = compose(files, "up", "--build", "--detach", "--wait", "--wait-timeout", str(_WAIT_S))
    if code:
        show_failures(files)
        return 1
    at = address(files)
    if mode == "prod":
        keep_api_key(files, at)
        print(f"an API key of scope admin is in {(SECRETS / API_KEY).relative_to(ROOT)}; more by `just stack-keys new --name …`")
    print(f"up ({mode}); the API is at http://{at}; `just ps`, `just logs`, `just bench`, `just down`")
    return 0


def inside(files: Sequence[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m app`` in the running server's container."""
    return asked(files, "exec", "--no-TTY", "app", "python", "-m", "app", *arguments)


def keep_api_key(files: Sequence[str], at: str) -> None:
    """See that the key in the folder of secrets is one that the servers know; make one if it is not, as after `just down -v`.

    Raises:
        Refused: none can be made, or the servers do not take it.
    """
    path = SECRETS / API_KEY
    known = inside(files, "keys", "list")
    parts = path.read_text(encoding="ascii").split("_") if path.is_file() else []
    if known.returncode == 0 and len(parts) > 1 and re.search(rf"(?m)^{re.escape(parts[1])} .*admin", known.stdout):
        return
    made = inside(files, "keys", "new", "--name", "stack", "--scopes", "admin")
    if made.returncode:
        raise Refused(f"no API key could be made: {made.stderr.strip()}")
    path.touch(mode=0o600)
    path.write_text(made.stdout, encoding="ascii")
    deadline = time.monotonic() + _KEY_S
    while not takes_key(at, made.stdout.strip()):
        if time.monotonic() > deadline:
            raise Refused(f"the server at {at} does not take the key that was made for it")
        time.sleep(0.1)


def takes_key(at: str, key: str) -> bool:
    """Whether the server lets the key in."""
    request = urllib.request.Request(f"http://{at}/version", headers={"X-API-Key": key})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
            return bool(answer.status == http.HTTPStatus.OK)
    except OSError:
        return False


def address(files: Sequence[str]) -> str:
    """Where the API is published."""
    return asked(files, "port", "app", "8000").stdout.strip()


def show_failures(files: Sequence[str]) -> None:
    """The last lines of every service that should be well and is not."""
    for line in asked(files, "ps", "--all", "--format", "json").stdout.splitlines():
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
        if code := up():
            return code
        files = files_of("prod")
    if code := compose(files, "--profile", "bench", "build", "--quiet", "bench"):
        return code
    name = f"decide-bench-{os.getpid()}"
    terminal = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]
    outputs = ["--url", "http://app:8000", "--out", "/results"]
    mounts, arguments = scenario_file(arguments)
    if files == files_of("prod"):
        keep_api_key(files, address(files))
        # By name alone: its value is taken from the environment, and stands in no list of processes.
        os.environ["DECIDE_API_KEY"] = (SECRETS / API_KEY).read_text(encoding="ascii").strip()
        mounts += ["--env", "DECIDE_API_KEY"]
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
    start.add_argument(
        "modes", nargs="*", metavar="MODE", help="prod (default) or dev; and market: with PostgreSQL, for market data"
    )
    for command in ("down", "logs", "ps", "warm", "keys", "withdraw", "bench"):
        commands.add_parser(command, add_help=False)
    arguments, rest = parser.parse_known_args()
    if arguments.command == "up" and rest:
        parser.error(f"unknown arguments {rest}")
    base = [str(OPS / "compose.yaml")]
    try:
        match arguments.command:
            case "up":
                return up(arguments.modes)
            case "down":
                return compose(base, "--profile", "*", "down", "--remove-orphans", *rest)
            case "logs":
                follow = ["--follow"] if sys.stdout.isatty() else []
                return compose(base, "--profile", "*", "logs", "--tail", "100", *follow, *rest)
            case "ps":
                return compose(base, "--profile", "*", "ps", "--all", *rest)
            case "keys" | "withdraw":
                done = inside(running_files() or files_of("prod"), arguments.command, *rest)
                print(done.stderr, end="", file=sys.stderr)
                print(done.stdout, end="")
                return done.returncode
            case "warm":
                return compose(running_files() or files_of("prod"), "run", "--rm", "warm", *warm_arguments(rest))
            case _:
                return bench(rest)
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
