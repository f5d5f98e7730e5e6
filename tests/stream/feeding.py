"""A Coinbase source that runs, from the kit's exchange into a log, and what a market store has of it in the end."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.kit.coinbase import Exchange, Way
from tests.kit.servers import until
from tests.market.places import Place as Market
from tests.stream.places import TOPIC
from tests.stream.rig import Rig
from warm.stream.ingesting import BUFFER_MAX, Begun, Ingesting, Target
from warm.stream.log import MESSAGES_MAX, LogError, Outgoing, Position
from warm.stream.messages import Content, GapMessage, TradeMessage, decode
from warm.stream.metrics import IngestMeters
from warm.stream.sources.coinbase import VENUE, CoinbaseSource, Counts, Patience
from warm.stream.sources.coinbase_rest import Rest
from warm.stream.sqlite_log import EmbeddedLog
from warm.stream.unused import known_ids

PRODUCTS = "BTC-USD", "ETH-USD"
WITHIN_S = 30.0
PATIENCE = Patience(silence_s=0.5, settle_s=0.03, first_pause_s=0.02, longest_pause_s=0.1, poll_s=0.01, ask_every_s=0.0)


def make_trades(exchange: Exchange, first: int, last: int, *, way: Way = "once", products: Sequence[str] = PRODUCTS) -> None:
    """Those of these ids, which have the same prices, sizes and times in each run."""
    for number in range(first, last + 1):
        for at, product in enumerate(products):
            price, size = f"{100 + at}.{number * 37 % 100:02}", f"0.{number * 7919 % 10**8:08}"
            made = exchange.trade(product, number * 0.73, price, size, "buy" if number % 3 else "sell", way=way)
            assert made == number


class _Log(EmbeddedLog):
    """Takes nothing while it ``is_away``."""

    is_away = False

    def append(self, topic: str, messages: Sequence[Outgoing]) -> list[Position]:
        if self.is_away:
            raise LogError("log_error", "away")
        return super().append(topic, messages)


class Feeding:
    """A source that runs until it is ended, with room for ``buffer_max`` messages; ``told`` is what it told of."""

    def __init__(self, rig: Rig, exchange: Exchange, patience: Patience = PATIENCE, buffer_max: int = BUFFER_MAX) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.counts, self._rig = Counts(), rig
        self.log = _Log(rig.folder / "log.sqlite3", clock_ms=lambda: rig.now_us // 1000)
        writer = rig.market.writer()
        ids = known_ids(self.log, TOPIC, writer, VENUE, PRODUCTS)
        opened = partial(connect, exchange.websocket_url, open_timeout=0.3, close_timeout=0.1, legacy=True, proxy=None)
        source = CoinbaseSource(ids, opened, Rest(exchange.rest_url, self.counts.requests), self._say, self.counts, patience)
        target = Target(self.log, TOPIC, 1)
        begun = Begun(source, target.create(), close=lambda _: source.close())
        self._stop = threading.Event()
        self._ingesting = Ingesting(
            begun, target, self._say, self._stop, lambda: time.time_ns() // 1000, IngestMeters("test"), buffer_max=buffer_max
        )
        self._source = source
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._ingesting.run()
        self._source.close()
        self.log.close()

    def _say(self, event: str, **facts: Any) -> None:  # noqa: ANN401
        self.told.append((event, facts))

    @property
    def events(self) -> Counter[str]:
        """What it told of, how often."""
        return Counter(event for event, _ in self.told)

    def heard(self, event: str, times: int = 1) -> None:
        """Returns once it told of that so often."""
        self._until(lambda: self.events[event] >= times, event)

    def has(self, count: int, products: Sequence[str] = PRODUCTS) -> None:
        """Returns once the log has so many trades of each product."""

        def is_there() -> bool:
            assert self._thread.is_alive(), self.told
            ids = {(each.symbol, each.trade_id) for each in logged(self._rig) if isinstance(each, TradeMessage)}
            found = Counter(symbol for symbol, _ in ids)
            return all(found[each] >= count for each in products)

        self._until(is_there, f"{count} trades of each")

    def _until(self, true: Callable[[], bool], what: str) -> None:
        try:
            until(true, WITHIN_S, what, every_s=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}; it told of {self.told}") from error

    def end(self) -> None:
        """As SIGTERM does."""
        self._stop.set()
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()


@contextmanager
def feeding(rig: Rig, exchange: Exchange, patience: Patience = PATIENCE, buffer_max: int = BUFFER_MAX) -> Iterator[Feeding]:
    """One that runs meanwhile."""
    made = Feeding(rig, exchange, patience, buffer_max)
    try:
        yield made
    finally:
        made.end()


def logged(rig: Rig) -> list[Content]:
    """All that the log has."""
    with closing(EmbeddedLog(rig.folder / "log.sqlite3")) as log, closing(log.reader([TOPIC], lambda _: None)) as reader:
        found: list[Content] = []
        while messages := reader.poll(MESSAGES_MAX, 0):
            found += [decode(each.value) for each in messages]
    return found


def gaps(rig: Rig, *, filled: bool) -> list[GapMessage]:
    """Messages of gaps in the log."""
    return [each for each in logged(rig) if isinstance(each, GapMessage) and each.filled == filled]


def stored(rig: Rig) -> tuple[list[Any], ...]:
    """Once the consumer has used all: every trade, and every bar but for what tells of their arrival."""
    rig.consume()
    return rig.market.rows("SELECT * FROM trades_in_full ORDER BY symbol, trade_key"), rig.market.bars_of_trades()


@contextmanager
def new_rig(folder: Path) -> Iterator[Rig]:
    """With an empty log and an empty market store."""
    folder.mkdir()
    rig = Rig(Market(folder / "market.sqlite3"), folder)
    try:
        yield rig
    finally:
        rig.close()
        rig.market.close()
