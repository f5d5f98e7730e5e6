"""``python -m bench.overhead``: what keys, limits and traces cost a decision from memory, in CPU time of the server.

Starts one server for each way of being set, on one store with the sample, and loads them in turns, round after round, so that
whatever else the machine does meets all alike. The same requests go to all, each with a key. Ratios are of one round, against the
server with everything off. Linux only. Exit codes: 0, 1 keys and limits together cost more than 15 %, 2 it could not be measured.
"""

import argparse
import importlib.util
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.credentials import VARIABLE
from bench.peers.processes import ROOT, Process, free_address, run_python, start_redis
from bench.peers.sampling import Sample, Spread, singles, take
from bench.scenario import ScenarioError

_LIMIT = 1.15
_HELD = "keys and limits"
_LIMITS = {"RATE_LIMIT_PER_S": "1000000", "RATE_LIMIT_BURST": "100000"}
_SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
_FAILED, _USAGE = 1, 2


def variants(redis_url: str) -> dict[str, dict[str, str]]:
    """Settings of each server, by what it is called."""
    keys = {"ACCESS": "keys"}
    found = {"all off": {}, "keys": keys, "limits": _LIMITS, _HELD: keys | _LIMITS}
    if redis_url:
        found[f"{_HELD}, on Redis"] = keys | _LIMITS | {"REDIS_URL": redis_url}
    if importlib.util.find_spec("opentelemetry.sdk") is not None:
        # Nobody listens there: what is measured is the making of spans, not a collector.
        found["traces"] = {"TRACES": "on", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    return found


def start(folder: Path, stack: ExitStack) -> dict[str, tuple[Process, str]]:
    """Stores with the sample and a key, and a server of each variant, with the key that it knows.

    Raises:
        ScenarioError: one of them did not come up.
    """
    common = {"CLOCK": "replay", "API_KEY_SECRET": secrets.token_hex(32), "LOG_LEVEL": "error", "WORKERS": "1", "ACCESS": "off"}
    common |= {"HOST": "127.0.0.1", "DRAIN_S": "0", "REDIS_URL": "", "STORE_PATH": str(folder / "store.sqlite3")}
    redis_url = ""
    if redis := start_redis(folder):
        stack.callback(redis.stop)
        redis_url = f"redis://{redis.address.host}"
    keys = {}
    for url in dict.fromkeys(("", redis_url)):
        data, store = ROOT / "data", common | {"REDIS_URL": url}
        run_python(folder, store, "-m", "warm", "--prices", str(data / "prices"), "--agents", str(data / "agents"))
        keys[url] = run_python(folder, store, "-m", "app", "keys", "new", "--name", "bench").strip()
    servers = {}
    for name, settings in variants(redis_url).items():
        address = free_address()
        server = Process([sys.executable, "-m", "app"], folder, address, {**common, "PORT": str(address.port), **settings})
        stack.callback(server.stop)
        server.wait_ready("/readyz")
        servers[name] = server, keys[settings.get("REDIS_URL", "")]
    return servers


def measure(servers: Mapping[str, tuple[Process, str]], rounds: int, seconds: float) -> dict[str, list[Sample]]:
    """Samples of each server, in turns; one round before, which is not kept, warms them."""
    samples: dict[str, list[Sample]] = {name: [] for name in servers}
    for turn in range(rounds + 1):
        for name, (server, key) in servers.items():
            os.environ[VARIABLE] = key
            sample = take(server, singles(server.address, _SYMBOLS), connections=16, seconds=seconds if turn else 1.0)
            if turn:
                samples[name].append(sample)
    return samples


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds, of which the median is taken (default 9)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each sample (default 3)")
    arguments = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=120)
    try:
        with tempfile.TemporaryDirectory(prefix="decide-overhead-") as folder, ExitStack() as stack:
            samples = measure(start(Path(folder), stack), arguments.rounds, arguments.seconds)
    except ScenarioError as error:
        print(f"overhead: {error}", file=sys.stderr)
        return _USAGE
    base = samples["all off"]
    table = Table(title="CPU time of the server for one decision from memory")
    for column in ("server", "CPU (µs)", "against all off", "least", "most"):
        table.add_column(column, justify="left" if column == "server" else "right")
    ratios = {}
    for name, taken in samples.items():
        ratios[name] = Spread.of([one.cpu_us / other.cpu_us for one, other in zip(taken, base, strict=True)])
        cpu = Spread.of([each.cpu_us for each in taken])
        spread = ratios[name]
        table.add_row(name, f"{cpu.median:.1f}", f"{spread.median:.3f}", f"{spread.low:.3f}", f"{spread.high:.3f}")
    console.print(table)
    if ratios[_HELD].median > _LIMIT:
        print(f"overhead: {_HELD} cost {ratios[_HELD].median:.3f} times what a decision costs without; allowed: {_LIMIT}")
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
