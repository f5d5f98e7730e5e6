"""What the log is told of stores that do not answer."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from app.errors import MarketError
from app.market.opening import open_reader
from app.observe.outages import Outage
from app.store.opening import open_store
from tests.kit.clock import Clock
from tests.kit.keys import SECRET, FakeKeys
from tests.kit.market import FakeReader
from tests.kit.serving import Served
from tests.kit.store import down

_PASSWORD = "p%40ss-w0rd"
_SHOWN = ("event", "part", "reason", "detail", "failures", "lasted_s")


class _Log:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def warning(self, event: str, **facts: object) -> None:
        self.lines.append({"event": event, **facts})

    info = warning


def _outages(served: Served) -> list[dict[str, Any]]:
    lines = [line for line in served.log_lines() if line["event"].startswith("outage")]
    return [{name: line[name] for name in _SHOWN if name in line} for line in lines]


def test_a_failure_is_told_once_a_minute_for_each_reason_and_its_end_once() -> None:
    log, clock = _Log(), Clock()
    outage = Outage(cast("Any", log), "market", clock)
    outage(None)
    for second in range(150):
        clock.now = 1000.0 + second
        outage(MarketError("market_open" if second % 2 else "market_error", f"at {second}"))
        outage(None)
    told = [(line["reason"], line["detail"], line["failures"]) for line in log.lines]
    assert told == [
        *(("market_error", "at 0", 1), ("market_open", "at 1", 2), ("market_error", "at 60", 61), ("market_open", "at 61", 62)),
        *(("market_error", "at 120", 121), ("market_open", "at 121", 122)),
    ]
    clock.now += 4.9
    outage(None)
    assert len(log.lines) == 6
    clock.now += 0.2
    outage(None)
    outage(None)
    assert log.lines[6:] == [{"event": "outage_over", "part": "market", "failures": 150, "lasted_s": 149.0}]
    outage(MarketError("market_error", "anew"))
    assert (log.lines[-1]["detail"], log.lines[-1]["failures"]) == ("anew", 1)


def test_the_log_says_why_the_market_store_did_not_answer_which_callers_are_not_told() -> None:
    reader = FakeReader("AAPL")
    with Served(open_reader=lambda: reader, database_url="postgresql://db.example/market") as served:
        reader.reason = "market_error"
        for path in ("/candles?symbol=AAPL", "/trades?symbol=AAPL", "/health"):
            assert "/a/path" not in served.get(path).text
        reader.reason = ""
        served.clock.now += 10.0
        served.get("/candles?symbol=AAPL")
        facts = {"part": "market", "detail": "SQLite at /a/path: it is away"}
        assert _outages(served) == [
            facts | {"event": "outage", "reason": "market_error", "failures": 1},
            {"event": "outage_over", "part": "market", "failures": 3, "lasted_s": 0.0},
        ]


def test_the_log_says_why_l2_did_not_answer_reads_the_feed_and_keys() -> None:
    keys = FakeKeys()
    with Served(keys=keys, api_key_secret=SECRET, access="keys", l2_timeout_ms=20.0) as served:
        served.store.fault = keys.fault = down()
        ring = served.parts.gate.ring
        assert ring is not None
        served.runner.run(served.parts.feed.step())
        served.runner.run(ring.read())
        served.runner.run(served.parts.tiers.fetch("AAPL", 1.0))
        served.store.fault = keys.fault = None
        served.clock.now += 10.0
        served.runner.run(served.parts.feed.step())
        served.runner.run(ring.read())
        served.runner.run(served.parts.tiers.fetch("AAPL", 1.0))
        found = _outages(served)
        assert [(line["event"], line["part"]) for line in found] == [
            *(("outage", "l2_feed"), ("outage", "keys"), ("outage", "l2_reads")),
            *(("outage_over", "l2_feed"), ("outage_over", "keys"), ("outage_over", "l2_reads")),
        ]
        assert {(line["reason"], line["detail"]) for line in found[:3]} == {("l2_error", "refused")}


def test_the_log_says_that_nobody_waited_for_l2_any_more() -> None:
    with Served(l2_timeout_ms=20.0) as served:
        served.store.is_holding = True
        served.clock.now += 1.0

        async def ask() -> None:
            asking = asyncio.create_task(served.parts.tiers.fetch("IBM", 0.02))
            await asyncio.sleep(0.001)
            served.clock.now += 1.0
            await asking
            served.store.release()

        served.runner.run(ask())
        (line,) = _outages(served)
        assert (line["part"], line["reason"], line["detail"]) == ("l2_reads", "l2_timeout", "no answer within 0.02 s")


@pytest.mark.parametrize("password", [_PASSWORD, "p@ss-w0rd", "ss-w0rd://x"])
def test_no_password_comes_into_the_log_with_an_outage(password: str, tmp_path: Path) -> None:
    """Of the market store's URL or beside it, and of L2's."""
    secrets = ("w0rd", "p%40ss", "alice")
    who, password = (f"alice:{password}", "") if password == _PASSWORD else ("alice", password)
    url = f"postgresql://{who}@127.0.0.1:1/market"
    store = open_store(
        redis_url=f"redis://alice:{_PASSWORD}@127.0.0.1:1/0", redis_password="", key_prefix="", store_path=tmp_path / "none",
    )  # fmt: skip
    with Served(store, open_reader=lambda: open_reader(url=url, password=password, path=tmp_path)) as served:
        for path in ("/candles?symbol=AAPL", "/symbols"):
            assert served.get(path).status_code == 503
        served.runner.run(served.parts.market.close())
        served.runner.run(store.close())
        parts = {line["part"] for line in _outages(served)}
        assert parts == {"market", "l2_feed", "l2_reads"}
        text = served.log_text()
        assert "127.0.0.1" in text
        assert not [secret for secret in secrets if secret in text]
