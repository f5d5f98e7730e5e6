"""What a server answers of what a stream brings: that nothing was said, and that the stream has ended. Time is the test's."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.store.codec import encode
from app.store.protocol import Row, RunInfo, Written
from tests.kit.records import agent_record
from tests.kit.serving import Served
from tests.market.places import NOON_US
from tests.stream.days import RUN, days_before, in_store, row_of
from tests.stream.rig import SYMBOL, Rig, heartbeat, trade
from warm.stream.messages import Content

_NOON_MS, _DAY_S = NOON_US // 1000, 86_400


class World:
    """A consumer, and a server on its stores, from noon on."""

    def __init__(self, rig: Rig, tick_max_age_s: float = 60.0) -> None:
        agents = Written(_NOON_MS, encode(agent_record(SYMBOL, _NOON_MS)))
        published = Row(SYMBOL, {**row_of(days_before(60)).records, "agents": agents})
        in_store(rig, lambda store: store.publish_run([published], RunInfo(RUN, _NOON_MS, _NOON_MS, 1, 1, 1)))
        self._rig, self._store = rig, rig.store()
        self.served = Served(self._store, open_reader=rig.market.reader, feed_wait_ms=1, tick_max_age_s=tick_max_age_s)
        self._began = self.served.clock.now

    def consume(self, *contents: Content) -> None:
        """They come through the log."""
        self._rig.append(*contents)
        self._rig.consume()

    def answers(self, second: float) -> tuple[Any, Any, Any]:
        """Of /candles, /price/latest and /decide, so many seconds after noon. None of them fails."""
        self.served.clock.now = self._began + second
        self.served.runner.run(self.served.parts.feed.step())
        got = [
            self.served.get(f"/candles?symbol={SYMBOL}&interval=1m&start={_NOON_MS // 1000}&limit=1000"),
            self.served.get(f"/price/latest?symbol={SYMBOL}"),
            self.served.post("/decide", {"symbol": SYMBOL}),
        ]
        assert [each.status_code for each in got] == [200] * 3, [each.text for each in got]
        candles, latest, decided = (each.json() for each in got)
        return candles, latest, decided

    def close(self) -> None:
        """The server."""
        self.served.runner.run(self.served.parts.market.close())
        self.served.runner.run(self._store.close())


@pytest.fixture
def world(rig: Rig) -> Iterator[World]:
    """One whose last trades are young for two hours."""
    made = World(rig, tick_max_age_s=7_200)
    with made.served:
        yield made
        made.close()


def test_a_market_where_nobody_trades_shows_no_gap_in_an_hour(world: World) -> None:
    world.consume(trade(1, 0))
    for begins in range(0, 3_600, 300):
        world.consume(*(heartbeat(begins + second, 1) for second in range(5, 305, 5)))
        candles, latest, decided = world.answers(begins + 300)
        assert [each for each in candles["gaps"] if each["found_by"] != "began"] == []
        assert [each["coverage"] for each in candles["data"]] == ["complete"]
        assert (latest["coverage"], latest["stale"], latest["age_s"]) == ("quiet", False, begins + 300)
        tick = decided["inputs"]["tick"]
        assert (tick["status"], tick["coverage"], tick["age_s"]) == ("present", "quiet", begins + 300)
        assert decided["fallback"] == {"used": False, "level": "none", "reason": None}
    # It would have been seen.
    world.consume(heartbeat(3_605, 2))
    candles, latest, decided = world.answers(3_605)
    assert [each["missing"] for each in candles["gaps"] if each["found_by"] != "began"] == [1]
    assert (latest["coverage"], decided["fallback"]["reason"]) == ("gap", "tick_gap")


def test_once_the_stream_has_ended_decisions_tell_the_ticks_age_and_fall_down_the_ladder(rig: Rig) -> None:
    world = World(rig)
    with world.served:
        world.consume(trade(1, 0))
        for second, level, reason in (
            (0, "none", None),
            (10, "none", None),
            (60, "none", None),
            (61, "stale", "tick_stale"),
            (3 * _DAY_S, "stale", "price_stale"),
            (31 * _DAY_S, "neutral", "price_too_old"),
        ):
            _, latest, decided = world.answers(second)
            assert (decided["fallback"]["level"], decided["fallback"]["reason"]) == (level, reason)
            assert decided["inputs"]["tick"]["age_s"] == latest["age_s"] == second
            assert latest["stale"] == (second > 60)
        world.close()
