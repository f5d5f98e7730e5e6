"""Market data over HTTP, on a real server: digits, and what callers are told where the store is ill."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from app.domain.prices import exact
from app.market.protocol import Batch, Export, GivenBar
from app.market.sqlite import EmbeddedWriter
from tests.e2e.publishing import publish_universe
from tests.kit.servers import ROOT, DecideServer, clean_environment, decide_server, free_port
from tests.market.giving import trade
from tests.market.places import MINUTE_US, NOON_US

_DIGITS = ("0.00000001", "123456789.123456789", "1e-8", "0.123456789012345678")
_LATEST_S = 20.0
"""Far more than the deadline: the machine may be busy, and without one an answer would never come."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DecideServer]:
    """A server of two workers, whose market store has trades and given bars of those digits."""
    publish_universe(tmp_path / "store.sqlite3")
    with closing(EmbeddedWriter(tmp_path / "market" / "market.sqlite3")) as writer:
        prices = [exact(text) for text in _DIGITS]
        bars = [GivenBar(NOON_US + at * MINUTE_US, each, each, each, each, each) for at, each in enumerate(prices)]
        writer.put_bars(Export("AAPL", "1m", "file", bars))
        writer.apply(Batch(trades=[trade(at, NOON_US + at, text, text, symbol="BTC-USDT") for at, text in enumerate(_DIGITS)]))
    settings = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "MARKET_PATH": str(tmp_path / "market" / "market.sqlite3")}
    with decide_server(tmp_path, CLOCK="replay", WORKERS="2", MARKET_TIMEOUT_MS="300", **settings) as running:
        running.wait_ready()
        yield running


def _numbers(answer: httpx.Response, *names: str) -> list[list[Decimal]]:
    rows = json.loads(answer.content, parse_float=Decimal, parse_int=Decimal)["data"]
    return [[row[name] for name in names] for row in rows]


def test_what_was_given_comes_out_digit_for_digit_and_cursors_hold_over_workers_and_restarts(
    server: DecideServer, tmp_path: Path
) -> None:
    expected = [Decimal(each) for each in _DIGITS]
    cursors = set()
    for _ in range(8):
        # A connection each: the kernel spreads them over the workers.
        answer = httpx.get(f"{server.url}/candles?symbol=aapl&start=0&limit=3")
        assert _numbers(answer, "open", "close", "volume") == [[each] * 3 for each in expected[:3]]
        cursors.add(answer.json()["pagination"]["next_cursor"])
    (cursor,) = cursors
    for _ in range(8):
        answer = httpx.get(f"{server.url}/candles?symbol=aapl&start=0&limit=3&cursor={cursor}")
        assert _numbers(answer, "high") == [[expected[3]]]
    answer = httpx.get(f"{server.url}/trades?symbol=btc/usdt&start=0")
    assert _numbers(answer, "price", "size") == [[each] * 2 for each in expected]
    places = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "MARKET_PATH": str(tmp_path / "market" / "market.sqlite3")}
    (tmp_path / "other").mkdir()
    with decide_server(tmp_path / "other", CLOCK="replay", **places) as other:
        other.wait_ready()
        answer = httpx.get(f"{other.url}/candles?symbol=aapl&start=0&limit=3&cursor={cursor}")
        assert _numbers(answer, "low") == [[expected[3]]]


def _refused(server: DecideServer, reason: str) -> None:
    """503 with what is wrong, in time; decisions and probes go on."""
    for path in ("/candles?symbol=AAPL", "/trades?symbol=AAPL"):
        began = time.monotonic()
        answer = httpx.get(server.url + path, timeout=60.0)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:decide:problem:market-unavailable"), answer.text
        assert reason in answer.json()["detail"]
        assert answer.headers["retry-after"] == "1"
        assert time.monotonic() - began < _LATEST_S
    decision = httpx.post(f"{server.url}/decide", json={"symbol": "AAPL"})
    assert (decision.status_code, decision.json()["fallback"]["level"]) == (200, "none")
    for path in ("/livez", "/readyz", "/health"):
        assert httpx.get(server.url + path).status_code == 200


def test_a_store_that_cannot_be_read_is_503_until_it_can(server: DecideServer, tmp_path: Path) -> None:
    """Broken, locked as a whole, and gone with its folder; then it is back, without a restart."""
    folder, away = tmp_path / "market", tmp_path / "away"
    path = folder / "market.sqlite3"
    assert httpx.get(f"{server.url}/candles?symbol=AAPL").status_code == 200
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    folder.rename(away)
    folder.write_text("no folder")
    _refused(server, "market_error")
    folder.unlink()
    folder.mkdir()
    path.write_bytes(b"no database" * 1000)
    _refused(server, "market_error")
    path.unlink()
    shutil.copy(away / path.name, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        _refused(server, "market_")
        connection.execute("ROLLBACK")
        connection.execute("PRAGMA journal_mode = WAL")
    for _ in range(8):
        answer = httpx.get(f"{server.url}/candles?symbol=AAPL")
        assert (answer.status_code, len(answer.json()["data"])) == (200, len(_DIGITS))


def test_details_of_symbols_come_with_the_days_volume(server: DecideServer) -> None:
    found = httpx.get(f"{server.url}/symbols?details=true").json()
    assert found["symbols"] == ["AAPL", "BTC-USDT", "IBM", "MSFT"]
    assert [(each["loaded"], each["kinds"]) for each in found["details"][:3]] == [
        (True, [{"interval": "1m", "source": "file"}]),
        (False, [{"interval": "1m", "source": "trades"}]),
        (True, []),
    ]
    assert httpx.get(f"{server.url}/health").json()["database"]["state"] == "ok"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://127.0.0.1:1/market", "DATABASE_URL is set and PostgreSQL's driver is not installed"),
        ("postgresql://127.0.0.1/market?nothing=1", ""),
    ],
)
def test_a_database_that_no_worker_could_ask_is_refused_at_the_start(url: str, told: str, tmp_path: Path) -> None:
    """Without its driver, or with a URL that cannot be read."""
    if told:
        (tmp_path / "psycopg").mkdir()
        (tmp_path / "psycopg" / "__init__.py").write_text("raise ImportError('no driver')")
    environment = clean_environment({"PYTHONPATH": f"{tmp_path}:{ROOT}", "PORT": str(free_port()), "DATABASE_URL": url})
    ran = subprocess.run(
        [sys.executable, "-m", "app"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("settings: DATABASE_URL")
    assert told in ran.stderr
    assert ran.stderr.count("\n") == 1
