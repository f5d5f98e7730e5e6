"""The stack with PostgreSQL (``just up market``): bars of the sample, and what is answered while the database is away."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.acceptance.stack import URL, Stack, decide, finished, key_headers, panel_queries, results, run, write_scenario
from tests.kit.servers import until

_STEADY = """name = "steady"
loop = "open"
rate_per_s = 200
connections = 16
duration_s = 15
mix = { cold = 0.02, batch = 0.02 }
checks = { faults = 0, invalid = 0 }"""


@pytest.fixture(scope="module")
def market(stack: Stack) -> Iterator[Stack]:
    """PostgreSQL beside what runs; the stack is as it was afterwards."""
    stack.command("up", "prod", "market")
    yield stack
    stack.down()
    stack.up()


def _candles(symbol: str = "AAPL", **parameters: str) -> httpx.Response:
    wanted = {"symbol": symbol, "interval": "1d", "limit": "3"} | parameters
    return httpx.get(URL + "/candles", params=wanted, headers=key_headers(), timeout=10)


def _has_data(market: Stack, query: str) -> bool:
    _candles()
    return bool(market.ask_prometheus(query))


def test_the_bars_of_the_sample_are_in_postgresql(market: Stack) -> None:
    answer = _candles(start="2008-01-01")
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]) == 3
    query = "SELECT count(*) FROM candles WHERE symbol = 'AAPL' AND start_us >= 1199145600000000"
    stored = run("docker", "exec", market.container("postgres"), "psql", "-U", "decide", "-tAc", query)
    assert answer.json()["pagination"]["total"] == int(stored) > 500
    queries = [each for some in panel_queries().values() for each in some if "decide_market_" in each]
    assert len(queries) >= 4
    for query in queries:
        if "errors" not in query:
            until(partial(_has_data, market, query), 60, f"data of {query}")
    assert [market.inspect(service)["State"]["ExitCode"] for service in ("migrate", "warm")] == [0, 0]


def test_postgresql_is_as_closed_as_the_rest_of_the_stack(market: Stack) -> None:
    found = market.inspect("postgres")
    host = found["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    assert found["Config"]["User"] == "999:999"
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert not any(found["NetworkSettings"]["Ports"].values())
    password = run("docker", "exec", market.container("postgres"), "cat", "/run/secrets/database_password").strip()
    seen = "".join(str(market.inspect(service)) for service in ("postgres", "migrate", "warm", "app"))
    seen += "".join(run("docker", "logs", market.container(service)) for service in ("postgres", "migrate", "warm", "app"))
    assert len(password) >= 16
    assert password not in seen + httpx.get(URL + "/status", headers=key_headers(), timeout=10).text


def test_decisions_go_on_while_postgresql_is_killed_and_bars_come_back_with_it(market: Stack, tmp_path: Path) -> None:
    """No 5xx but where the database is needed; there 503 with when to come again, within the deadline."""
    before = _candles().json()["data"]
    load = market.bench("--scenario", str(write_scenario(tmp_path, "database-killed", [_STEADY])))
    postgres = market.container("postgres")
    run("docker", "kill", postgres)
    asked_at = time.monotonic()
    refused = _candles()
    assert time.monotonic() - asked_at < 5
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["Retry-After"]) >= 1
    assert decide({"symbol": "AAPL"})["fallback"]["level"] == "none"
    health = httpx.get(URL + "/health", headers=key_headers(), timeout=10)
    assert health.status_code == 200
    assert health.json()["database"]["state"] != "ok"
    time.sleep(5)
    run("docker", "start", postgres)
    until(lambda: _candles().status_code == 200, 30, "bars are answered again")
    assert _candles().json()["data"] == before
    code, output = finished(load)
    assert code == 0, output
    assert results("database-killed").phases[0].statuses.keys() <= {"200", "404"}


def test_a_second_migration_and_a_second_load_change_nothing(market: Stack) -> None:
    rows = "SELECT symbol, interval, start_us, open, revision FROM candles"
    query = f"SELECT md5(string_agg(c::text, ',' ORDER BY c::text)) FROM ({rows}) c"  # noqa: S608 - ours
    digest = ("docker", "exec", market.container("postgres"), "psql", "-U", "decide", "-tAc", query)
    before = run(*digest)
    market.command("warm")
    assert run(*digest) == before
