"""How long the Coinbase source waits, for what, and how often it asks. Time is the test's."""

import json
import subprocess
import sys
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.kit.servers import ROOT, clean_environment
from warm.stream.ids import Ids
from warm.stream.messages import decode, told
from warm.stream.sources.coinbase import FILL_MAX, TRIES_MAX, CoinbaseSource, Counts
from warm.stream.sources.coinbase_rest import Page, RestError

_PRODUCTS = "BTC-USD", "ETH-USD"


class _World:
    """Coinbase as a script has it: what comes, and from when on it lets nobody in (``away_s``). A second of the clock is one of
    heartbeats of those ``beating``.
    """

    def __init__(self, *, away_s: float = 1e9, last: int | None = None, chance: float = 1.0) -> None:
        self.now_s, self.away_s, self.beating = 1_000.0, away_s, set(_PRODUCTS)
        self.sent: list[dict[str, Any]] = []
        self.tries: list[float] = []
        self.asked: list[tuple[float, str, int]] = []
        self.answers: deque[Page | RestError] = deque()
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.coming: deque[str] = deque()
        self._beat_s, self.last, self.counts = 1_000.0, last, Counts()
        ids = {product: Ids(last, 1) for product in _PRODUCTS}
        self.source = CoinbaseSource(
            ids, self._connect, self, lambda event, **facts: self.said.append((event, facts)), self.counts,
            clock_s=lambda: self.now_s, chance=lambda: chance,
        )  # fmt: skip

    def _connect(self) -> "_World":
        self.tries.append(self.now_s - 1_000)
        if self.now_s - 1_000 >= self.away_s:
            raise OSError("away")
        return self

    def send(self, message: str) -> None:
        self.sent.append(json.loads(message))

    def recv(self, timeout: float | None = None, *, decode: Any = None) -> bytes:  # noqa: ANN401
        assert timeout is not None
        assert decode is False
        if not self.coming:
            self.now_s += timeout
            if self.now_s >= self._beat_s:
                self._beat_s = self.now_s + 1
                time = "2023-11-15T12:00:00.000000Z"
                told = {"type": "heartbeat", "last_trade_id": self.last or 0, "sequence": 1, "time": time}
                self.coming.extend(json.dumps({**told, "product_id": product}) for product in sorted(self.beating))
        if not self.coming:
            raise TimeoutError
        return self.coming.popleft().encode()

    def close(self) -> None:
        """Nothing."""

    def page(self, product: str, after: int) -> Page:
        self.asked.append((self.now_s - 1_000, product, after))
        found = self.answers.popleft() if self.answers else Page([], max(0, after - 1_000))
        if isinstance(found, RestError):
            raise found
        return found

    def run(self, until_s: float) -> None:
        """As whoever asks it when it wants."""
        while self.now_s - 1_000 < until_s:
            self.source.make(0)
            self.now_s += max(0.001, self.source.next_us(0) / 1e6)

    @property
    def events(self) -> list[str]:
        """What it told of."""
        return [event for event, _ in self.said]


def test_it_subscribes_at_once_and_stays_as_long_as_it_hears_of_each_product() -> None:
    world = _World()
    world.run(60)
    assert world.sent == [
        {"type": "subscribe", "product_ids": [*_PRODUCTS], "channels": ["matches", "heartbeat", "ticker"]}
    ]  # fmt: skip
    assert (world.events, world.tries) == (["connected"], [0.0])


def test_a_connection_that_is_silent_of_one_product_is_given_up() -> None:
    world = _World()
    world.run(5)
    world.beating = {"BTC-USD"}
    world.run(30)
    assert world.events[:3] == ["connected", "silent", "connected"]
    assert 14 < world.tries[1] < 17
    assert world.counts.lost["silent"] >= 1


@pytest.mark.parametrize(("chance", "share"), [(1.0, 1.0), (0.0, 0.5)])
def test_it_comes_back_later_each_time_and_not_with_all_others(chance: float, share: float) -> None:
    world = _World(away_s=0.0, chance=chance)
    world.run(150)
    pauses = [facts["again_in_s"] for _, facts in world.said]
    assert pauses[:8] == [share * each for each in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)]
    for before, after, pause in zip(world.tries, world.tries[1:], pauses, strict=False):
        assert after - before == pytest.approx(pause, abs=0.01)
    assert set(world.events) == {"not_connected"}


def test_once_it_was_heard_the_first_pause_is_short_again() -> None:
    world = _World(away_s=0.0)
    world.run(20)
    world.away_s = 1e9
    world.run(60)
    world.away_s, world.beating = 0.0, set()
    world.run(75)
    assert [facts["again_in_s"] for event, facts in world.said if event == "silent"] == [0.5]


def test_rest_is_left_alone_for_as_long_as_it_wants_and_else_longer_each_time() -> None:
    world = _World(last=1)
    world.answers.extend([RestError(429, "later", 7.0), RestError(500, "ill"), RestError(0, "away"), RestError(429, "later")])
    world.run(3)
    world.last = 4
    world.run(60)
    times = [at_s for at_s, *_ in world.asked]
    pauses = [round(after - before) for before, after in pairwise(times[:5])]
    assert pauses == [7, 1, 2, 4]
    assert [facts["again_in_s"] for event, facts in world.said if event == "rest_failed"] == [7.0, 1.0, 2.0, 4.0]


def test_what_rest_refuses_for_good_is_asked_for_some_times_and_stays_a_gap() -> None:
    world = _World(last=1)
    world.answers.extend([RestError(404, "NotFound")] * 100)
    world.run(3)
    world.last = 4
    world.run(600)
    assert len(world.asked) == TRIES_MAX * len(_PRODUCTS)
    assert world.events.count("gap_stays") == len(_PRODUCTS)
    # Another one is another gap.
    world.last = 9
    world.run(1_200)
    assert len(world.asked) == 2 * TRIES_MAX * len(_PRODUCTS)


def test_what_is_too_long_ago_is_not_asked_for() -> None:
    world = _World(last=1)
    world.run(3)
    world.last = 3 * FILL_MAX
    world.run(2_000)
    lowest = min(after for *_, after in world.asked)
    assert 2 * FILL_MAX < lowest < 2 * FILL_MAX + 2_000
    assert len(world.asked) <= TRIES_MAX * len(_PRODUCTS) * (FILL_MAX // 1_000 + 1)
    assert world.events.count("gap_stays") == len(_PRODUCTS)


def test_a_message_has_the_time_at_which_it_came() -> None:
    world = _World()
    made = world.source.make(7_000_000)
    assert decode(made[0].value).symbol in _PRODUCTS
    assert told(made[0].headers)[1:3] == (7_050_000, "coinbase")


def test_without_its_library_it_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['websockets'] = None; from warm.stream.ingest import main; sys.exit(main(sys.argv[1:]))"
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    command = [sys.executable, "-c", program, "--source", "coinbase"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "requirements-coinbase.lock" in done.stderr
    assert [*tmp_path.iterdir()] == []
