"""The same decisions whatever the store, and a universe of 10,000 symbols in each."""

from pathlib import Path

import httpx
import msgspec
import pytest

from app.payloads import DecideResponse
from app.store.codec import encode
from tests.e2e.publishing import publish, publish_universe, upsert, workers
from tests.kit.records import AS_OF_MS, agent_record, agent_view, replaced, row, run_info, tick
from tests.kit.servers import DecideServer, decide_server, until

_MANY = [f"SYM{number:05}" for number in range(10_000)]
_MEMORY_MAX_MB = 200.0


def _settings(target: Path | str) -> dict[str, str]:
    return {"REDIS_URL": target} if isinstance(target, str) else {"STORE_PATH": str(target)}


def _comparable(answer: httpx.Response) -> DecideResponse:
    """The decision without what differs by nature: id, latency, cache, ages, and confidence, which falls as ages grow."""
    decision = msgspec.json.decode(answer.content, type=DecideResponse)
    price = msgspec.structs.replace(decision.inputs.price, age_s=None)
    agents = msgspec.structs.replace(decision.inputs.agents, age_s=None)
    inputs = msgspec.structs.replace(decision.inputs, price=price, agents=agents)
    cache = msgspec.structs.replace(decision.cache, hit=False, tier="none", age_ms=0.0)
    return msgspec.structs.replace(decision, id="", latency_ms=0.0, cache=cache, inputs=inputs, confidence=0.0)


def test_l1_sqlite_and_redis_decide_alike(tmp_path: Path, redis_url: str) -> None:
    """Over HTTP, with a live price: score, action, weight, contributions and views are the same to the bit."""
    # Views from an hour ahead have age 0 on the replay clock for all of this test, so their weights stand still.
    views = (agent_view("a", 0.6, AS_OF_MS + 3_600_000), agent_view("b", 0.2, AS_OF_MS + 3_600_000, 0.37))
    rows = [replaced(row(symbol), agents=encode(agent_record(symbol, views=views))) for symbol in ("AAPL", "IBM")]
    found: dict[str, list[DecideResponse]] = {}
    confidences = []
    targets: dict[str, Path | str] = {"sqlite": tmp_path / "store.sqlite3", "redis": redis_url}
    for name, target in targets.items():
        publish(target, rows, run_info(symbols=2))
        with decide_server(tmp_path, CLOCK="replay", **_settings(target)) as server:
            server.wait_ready()
            for tier in ("l2", "l1"):
                decisions = []
                for symbol in ("AAPL", "IBM"):
                    body = {"symbol": symbol, "price": 101.25, "explain": True}
                    answer = httpx.post(server.url + "/decide", json=body, timeout=20)
                    assert answer.json()["cache"]["tier"] == tier
                    decisions.append(_comparable(answer))
                    confidences.append(answer.json()["confidence"])
                found[f"{name} {tier}"] = decisions
    assert len(found) == 4
    first = found["sqlite l2"]
    assert first[0].score != 0.0
    assert confidences == pytest.approx([confidences[0]] * 8, rel=1e-4)
    assert {name: decisions for name, decisions in found.items() if decisions != first} == {}


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_last_trade_that_another_process_writes_is_told_from_memory(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Digit for digit, without a read of the store, and never an older one again; of a symbol that is new as well."""
    target: Path | str = tmp_path / "store.sqlite3" if kind == "sqlite" else request.getfixturevalue("redis_url")
    publish(target, [row("AAPL")], run_info())
    with decide_server(tmp_path, CLOCK="replay", **_settings(target)) as server, server.client() as client:
        server.wait_ready()

        def told(symbol: str) -> str:
            return client.get("/price/latest", params={"symbol": symbol}).text

        assert '"price":100,' in told("AAPL")
        assert '"source":"close"' in told("AAPL")
        assert "unknown-symbol" in told("BTC-USDT")
        upsert(target, [tick("AAPL", AS_OF_MS + 1, "101.123456789012345678"), tick("BTC-USDT", AS_OF_MS, "0.00000001")])
        until(lambda: '"price":101.123456789012345678,' in told("AAPL"), 10, "the trade was not told", 0.02)
        assert '"tier":"l1"' in told("AAPL")
        until(lambda: '"price":0.00000001,' in told("BTC-USDT"), 10, "the new symbol was not told", 0.02)
        upsert(target, [tick("AAPL", AS_OF_MS, "7"), tick("AAPL", AS_OF_MS + 1, "102", micros=3)])
        until(lambda: '"price":102,' in told("AAPL"), 10, "the newer trade was not told", 0.02)
        both = client.get("/price/latest", params={"symbols": "AAPL,NOPE"}).json()
        assert [each["latest"] and each["latest"]["price"] for each in both["data"]] == [102, None]


def _resident_mb(server: DecideServer) -> float:
    for line in Path(f"/proc/{workers(server)[0]}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024.0
    raise AssertionError("no VmRSS")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="NO /proc: memory of the worker was not measured")
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_ten_thousand_symbols_are_decided_in_less_than_200_mb(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them are in L1 at once."""
    target: Path | str = tmp_path / "store.sqlite3" if kind == "sqlite" else request.getfixturevalue("redis_url")
    publish_universe(target, _MANY)
    settings = _settings(target) | {"CLOCK": "replay", "L2_TIMEOUT_MS": "20000", "L1_TTL_S": "3600"}
    with decide_server(tmp_path, **settings) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        server.wait_ready()
        at_start = _resident_mb(server)
        assert client.get("/symbols").json()["total"] == len(_MANY)
        tiers = []
        for _ in range(2):
            for first in range(0, len(_MANY), 1000):
                batch = client.post("/decide/batch", json={"symbols": _MANY[first : first + 1000]}).json()
                assert (batch["decided"], batch["failed"]) == (1000, 0)
                assert {each["decision"]["fallback"]["level"] for each in batch["answers"]} == {"none"}
                tiers.append({each["decision"]["cache"]["tier"] for each in batch["answers"]})
        assert tiers == [{"l2"}] * 10 + [{"l1"}] * 10
        assert client.get("/status").json()["l1"]["entries"] == len(_MANY)
        resident = _resident_mb(server)
    with capsys.disabled():
        print(f"\n10,000 symbols on {kind}: worker {at_start:.0f} MB at the start, {resident:.0f} MB with all in L1")
    assert resident < _MEMORY_MAX_MB
