"""GET /health where what the store says of its run is wrong."""

from app.errors import RunDamaged
from app.observe.clocks import wall_ms
from app.payloads import HealthResponse
from tests.kit.records import run_info
from tests.kit.serving import Served, decoded
from tests.kit.store import UNIVERSE, FakeStore


def test_health_says_that_the_replay_clock_is_ahead_of_the_wall_clock_before_anybody_asks() -> None:
    """All that is loaded would be too old by it."""
    with Served(FakeStore(*UNIVERSE, info=run_info(as_of_ms=wall_ms() + 70 * 31_536_000_000))) as served:
        found = decoded(served.get("/health"), HealthResponse)
        assert found.status == "degraded"
        assert found.reason is not None
        assert found.reason.startswith(
            "what the store names as its newest input is ahead of the wall clock; the replay clock says 20"
        )


def test_a_server_on_a_store_whose_run_is_damaged_is_ready_and_says_what_is_wrong() -> None:
    """Nothing that stands in a store keeps a start from its end."""
    store = FakeStore(*UNIVERSE)
    store.faults["run_info"] = RunDamaged("it is none")
    with Served(store, clock="wall") as served:
        assert served.get("/readyz").status_code == 200
        found = decoded(served.get("/health"), HealthResponse)
        assert (found.status, found.feed_connected, found.run) == ("degraded", True, None)
        assert found.reason == "nothing is known of the run until the next one is loaded (l2_error: it is none)"
        assert served.parts.status() == "Serving; nothing is known of the run until the next one is loaded."
        assert served.get("/status").status_code == 200
