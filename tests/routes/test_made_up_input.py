"""A made-up input of decisions: a row of the table of kinds, and nothing else of the server knows it."""

from pathlib import Path

import msgspec

from app.domain.records import KINDS, Kind
from app.domain.vector import fingerprint
from app.store.protocol import Record
from app.store.sqlite import EmbeddedStore
from tests.kit.records import AS_OF_MS, row, run_info
from tests.kit.serving import Served


class Moon(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The moon, by symbol."""

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str
    sequence: int
    symbol: str
    phase: float


_SCHEMA = fingerprint("moon-1", Moon.__struct_fields__)
_MOON = Kind(
    name="moon",
    plural="moons",
    decoder=msgspec.msgpack.Decoder(Moon),
    schema=_SCHEMA,
    fault=lambda _: None,
    is_input=True,
    life_ms=lambda *_: 60_000.0,
    carries_value=True,
)
_KINDS = KINDS.adding(_MOON)


def _moon(as_of_ms: int) -> Record:
    return Record("moon", "AAPL", msgspec.msgpack.encode(Moon(_SCHEMA, as_of_ms, as_of_ms, "", 0, "AAPL", 0.5)))


def test_a_made_up_input_travels_from_the_store_into_answers(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "store.sqlite3", kinds=_KINDS)
    with Served(store, warmed=False, kinds=_KINDS) as served:
        served.runner.run(store.publish_run([row("AAPL")], run_info()))
        served.runner.run(store.upsert([_moon(AS_OF_MS - 5000)]))
        served.runner.run(served.parts.feed.step())
        for tier in ("l2", "l1"):
            answer = served.post("/decide", {"symbol": "AAPL"}).json()
            assert (answer["cache"]["tier"], answer["inputs"]["moon"]) == (tier, {"status": "present", "age_s": 5.0})
            assert (answer["fallback"]["level"], list(answer["inputs"])) == ("none", ["price", "agents", "moon"])
        served.runner.run(store.upsert([_moon(AS_OF_MS - 4000)]))
        served.runner.run(served.parts.feed.step())
        for _ in range(2):
            answer = served.post("/decide", {"symbol": "AAPL"}).json()
            assert (answer["cache"]["tier"], answer["inputs"]["moon"]["age_s"]) == ("l1", 4.0)
            batch = served.post("/decide/batch", {"symbols": ["AAPL"]}).json()
            assert batch["answers"][0]["decision"]["inputs"] == answer["inputs"]
        served.runner.run(store.close())


def test_a_made_up_input_that_is_not_there_is_no_fallback_and_one_that_is_stale_is(tmp_path: Path) -> None:
    """It refines the others. A stream alone makes a server ready, and what it knows no price of is held."""
    store = EmbeddedStore(tmp_path / "store.sqlite3", kinds=_KINDS)
    with Served(store, warmed=False, kinds=_KINDS) as served:
        served.runner.run(store.upsert([_moon(AS_OF_MS)]))
        served.runner.run(served.parts.feed.step())
        assert served.get("/readyz").status_code == 200
        answer = served.post("/decide", {"symbol": "AAPL"}).json()
        assert (answer["fallback"]["level"], answer["inputs"]["moon"]["status"]) == ("neutral", "present")
        assert answer["cache"]["run"] is None
        served.runner.run(store.publish_run([row("AAPL"), row("IBM")], run_info()))
        served.runner.run(served.parts.feed.step())
        ibm = served.post("/decide", {"symbol": "IBM"}).json()
        assert (ibm["fallback"]["level"], ibm["inputs"]["moon"]) == ("none", {"status": "missing", "age_s": None})
        served.clock.now += 61.0
        aapl = served.post("/decide", {"symbol": "AAPL"}).json()
        assert (aapl["fallback"]["reason"], aapl["inputs"]["moon"]["status"]) == ("moon_stale", "stale")
        served.runner.run(store.close())
