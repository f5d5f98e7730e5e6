"""Coinbase Exchange's public trades as they are made (https://docs.cdp.coinbase.com): its WebSocket, and where that left some out
its REST.

Its ids count by one for each product, so a trade behind a missing one, or a heartbeat that tells of a later one, shows a gap; one
that trades out of order do not fill by themselves is told in the log, filled from REST, the newest first, and told again. Where
ids stand is what the log and the market store have: whoever begins anew, after an hour or after SIGKILL, finds what is missing
since. A connection without heartbeats is dead, whatever TCP says. Everything is done in one thread, a little at a time.
"""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec
from websockets.exceptions import WebSocketException

from app.domain.text import harmless
from app.domain.trades import Trade
from app.errors import DecideError
from warm.files.trades import coinbase as dialect
from warm.files.trades.batches import BadRow
from warm.files.trades.building import Builder, Meaning, Named, Row, spelled
from warm.files.trades.messages import decoded
from warm.files.trades.numbers import in_utc
from warm.stream.ids import Ids, found, number_of
from warm.stream.log import Outgoing
from warm.stream.messages import Content, GapMessage, HeartbeatMessage
from warm.stream.sources.coinbase_rest import Page, RestError
from warm.stream.telling import outgoing, trade_message

NAME = VENUE = dialect.VENUE
CHANNELS = ("matches", "heartbeat", "ticker")
MESSAGE_BYTES_MAX = 1024**2
FILL_MAX = 1_000_000
"""Trades of a product, the newest ones, that are asked for; what is missing before them stays so."""
TRIES_MAX = 6
"""Times in a row that REST is asked for what it does not have."""
_MATCHES = ("match", "last_match")
_AT_ONCE = 1_000
"""Messages that are read before they go to the log."""
_SHOWN = 120
_TOO_MANY, _CALLERS_FAULT, _SERVERS_FAULT = 429, 400, 500


class Patience(NamedTuple):
    """Seconds: without a heartbeat of a product until the connection counts as dead; from a missing id to asking for it, so that
    trades out of order come by themselves; the first and the longest pause after a failure; waiting for messages.
    """

    silence_s: float = 10.0
    settle_s: float = 1.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    poll_s: float = 0.05
    ask_every_s: float = 0.125


PATIENCE = Patience()


@dataclass
class Counts:
    """What happened, to be shown. ``requests``: of REST, by the answer's status, 0 where there was none. ``missing`` trades were
    told of as lacking, and ``filled`` ones came from REST; ``odd`` messages could not be used.
    """

    connections: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    missing: int = 0
    filled: int = 0
    odd: int = 0
    requests: Counter[int] = field(default_factory=Counter)


class Feed(Protocol):
    """A connection to its WebSocket."""

    def send(self, message: str) -> None:
        """Say something."""
        ...

    def recv(self, timeout: float | None = None, *, decode: Any = None) -> Any:  # noqa: ANN401 - as the library has it
        """The next message; TimeoutError: none came."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Asked(Protocol):
    """Its REST."""

    def page(self, product: str, after: int) -> Page:
        """As of `warm.stream.sources.coinbase_rest.Rest`."""
        ...


class _Refused(DecideError):
    """It does not give what was subscribed to."""


class _Product:
    """``heard_s``: when it was heard last. ``sweep_s``: when REST is to be asked for what is missing, all of it in one sweep;
    ``cursor``: below which id it is asked next (None: no sweep is under way). ``known`` is the highest id that was missing; gaps
    up to ``told`` were told of.
    """

    def __init__(self, name: str, ids: Ids, heard_s: float) -> None:
        self.name, self.symbol, self.ids, self.heard_s = name, spelled(name), ids, heard_s
        self.newest: int | None = None
        self.known = self.told = 0
        self.cursor: int | None = None
        self.sweep_s = heard_s if ids.missing else math.inf
        self.tries, self.is_filling, self.asked_s = 0, False, 0.0

    @property
    def floor(self) -> int:
        """Below it nothing is asked for."""
        return (self.ids.last or 0) - FILL_MAX

    def wanted(self) -> int | None:
        """Below which id REST is to be asked next in this sweep; None: it is over."""
        assert self.cursor is not None
        for run in reversed(self.ids.missing):
            if run.first < self.cursor:
                last = min(run.last, self.cursor - 1)
                return last + 1 if last > self.floor else None
        return None


class CoinbaseSource:
    """``ids`` are those of each product that are known; ``connect`` opens a connection. ``say`` is told of what happens;
    ``clock_s`` tells seconds, and does not go back.
    """

    def __init__(
        self,
        ids: Mapping[str, Ids],
        connect: Callable[[], Feed],
        rest: Asked,
        say: Callable[..., None],
        counts: Counts,
        patience: Patience = PATIENCE,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._connect, self._rest, self._say, self._counts, self._patience = connect, rest, say, counts, patience
        self._clock_s, self._chance = clock_s, chance
        now_s = clock_s()
        self._products = {name: _Product(name, each, now_s) for name, each in ids.items()}
        self._builder = Builder(NAME, Meaning(VENUE, lambda _, product: Named(VENUE, spelled(product))))
        self._feed: Feed | None = None
        self._connect_s, self._pause_s = now_s, 0.0
        self._ask_s, self._ask_pause_s = now_s, 0.0

    def next_us(self, now_us: int) -> int:
        """At once while it is connected: it waits for messages itself."""
        if self._feed is not None:
            return now_us
        due = [self._connect_s, *(max(self._ask_s, each.sweep_s) for each in self._products.values())]
        return now_us + int(max(0.0, min(due) - self._clock_s()) * 1e6)

    def make(self, now_us: int) -> list[Outgoing]:
        """What came, and at most one page of what is missing."""
        began_s = self._clock_s()
        if self._feed is None and began_s >= self._connect_s:
            self._open()
        said = self._received() + self._filled()
        # It waited, too.
        now_us += round((self._clock_s() - began_s) * 1e6)
        return [outgoing(each, now_us, NAME) for each in said]

    def close(self) -> None:
        """End the connection."""
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def _open(self) -> None:
        subscribed = {"type": "subscribe", "product_ids": [*self._products], "channels": CHANNELS}
        try:
            self._feed = self._connect()
            self._feed.send(msgspec.json.encode(subscribed).decode())
        except (WebSocketException, OSError) as error:
            self._lose("not_connected", error)
            return
        self._counts.connections += 1
        for each in self._products.values():
            each.heard_s = self._clock_s()
        self._say("connected", products=[*self._products])

    def _lose(self, why: str, error: Exception | str) -> None:
        self.close()
        first_s, longest_s = self._patience.first_pause_s, self._patience.longest_pause_s
        self._pause_s = min(2 * self._pause_s, longest_s) or first_s
        # At random, so that not all who lost it come back at once.
        pause_s = self._pause_s * (0.5 + self._chance() / 2)
        self._connect_s = self._clock_s() + pause_s
        self._counts.lost[why] += 1
        self._say(why, error=harmless(str(error))[:_SHOWN], again_in_s=round(pause_s, 3))

    def _received(self) -> list[Content]:
        said: list[Content] = []
        if self._feed is None:
            return said
        wait_s = 0.0 if self._ready() else self._patience.poll_s
        try:
            for _ in range(_AT_ONCE):
                said += self._read(self._feed.recv(wait_s, decode=False))
                wait_s = 0.0
        except TimeoutError:
            silent_s = self._clock_s() - min(each.heard_s for each in self._products.values())
            if silent_s > self._patience.silence_s:
                self._lose("silent", f"no heartbeat for {silent_s:.1f} s")
        except _Refused as error:
            self._lose("refused", error)
        except (WebSocketException, OSError) as error:
            self._lose("disconnected", error)
        return said

    def _read(self, raw: bytes) -> list[Content]:
        """What a message says; nothing, if it is of another kind or cannot be used."""
        try:
            message = decoded(raw)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            return self._odd(raw)
        kind, name = message.get("type"), message.get("product_id")
        if kind == "error":
            raise _Refused(f"{message.get('message')}: {message.get('reason')}")
        product = self._products.get(name) if isinstance(name, str) else None
        if product is None:
            return []
        try:
            if kind == "heartbeat":
                return [self._heartbeat(product, message)]
        except BadRow:
            return self._odd(raw)
        trades, refused = self._trades(dialect.rows(message) or [])
        if refused or (not trades and kind in _MATCHES):
            return self._odd(raw)
        # A ticker comes behind its match.
        new = [each for each in trades if int(each.trade_id) != product.newest]
        return [self._came(product, each) for each in new]

    def _odd(self, raw: bytes) -> list[Content]:
        self._counts.odd += 1
        # Each time that they are twice as many.
        if not self._counts.odd & self._counts.odd - 1:
            self._say("not_understood", count=self._counts.odd, message=harmless(raw[:_SHOWN].decode(errors="replace")))
        return []

    def _heartbeat(self, product: _Product, message: Mapping[str, Any]) -> HeartbeatMessage:
        time_us, last = in_utc(message.get("time")), message.get("last_trade_id")
        product.heard_s, self._pause_s = self._clock_s(), 0.0
        # Some feeds of theirs say 0, whatever the last one was.
        number = (number_of(str(last)) or None) if isinstance(last, int) else None
        if number is not None:
            product.ids.told(number, time_us)
            self._look(product)
        return HeartbeatMessage(
            schema=1, symbol=product.symbol, time_us=time_us, venue=VENUE, last_id="" if number is None else str(number),
            sequential=number is not None,
        )  # fmt: skip

    def _trades(self, rows: Sequence[Row]) -> tuple[list[Trade], int]:
        """The trades of ``rows``, and how many of these are none."""
        trades = self._builder.build(((0, row) for row in rows), [])
        trades = [each for each in trades if number_of(each.trade_id) is not None]
        return trades, len(rows) - len(trades)

    def _came(self, product: _Product, trade: Trade) -> Content:
        product.newest = int(trade.trade_id)
        product.ids.came(product.newest, trade.time_us)
        self._look(product)
        return trade_message(trade, sequential=True)

    def _look(self, product: _Product) -> None:
        """Have what is newly missing asked for, soon."""
        missing = product.ids.missing
        if missing and missing[-1].last > product.known:
            product.known, product.tries = missing[-1].last, 0
            if product.sweep_s == math.inf:
                product.sweep_s = self._clock_s() + self._patience.settle_s

    def _ready(self) -> list[_Product]:
        """Of which REST can be asked now."""
        now_s = self._clock_s()
        return [each for each in self._products.values() if max(self._ask_s, each.sweep_s) <= now_s]

    def _filled(self) -> list[Content]:
        """Of one product a page of what is missing, and what becomes of its gaps."""
        product = min(self._ready(), key=lambda each: each.asked_s, default=None)
        if product is None:
            return []
        said = self._begin(product) if product.cursor is None else []
        after = product.wanted()
        if after is None:
            self._end(product)
            return said
        product.asked_s = self._clock_s()
        try:
            page = self._rest.page(product.name, after)
        except RestError as error:
            self._wait(product, error)
            return said
        rows = [row for each in page.trades for row in dialect.rows({**each, "product_id": product.name}) or ()]
        trades, refused = self._trades(rows)
        self._counts.odd += refused
        self._ask_s, self._ask_pause_s = self._clock_s() + self._patience.ask_every_s, 0.0
        lowest = min((int(each.trade_id) for each in trades), default=0)
        older = lowest if page.older is None else page.older
        # One that does not go down would have no end.
        product.cursor = older if older < after else 0
        return said + self._take(product, trades)

    def _take(self, product: _Product, trades: list[Trade]) -> list[Content]:
        before = product.ids.missing
        lacking = [each for each in trades if product.ids.lacks(int(each.trade_id))]
        said = [self._came(product, each) for each in sorted(lacking, key=lambda each: int(each.trade_id))]
        product.is_filling |= bool(said)
        self._counts.filled += len(said)
        for from_us, to_us in found(before, product.ids.missing):
            said.append(self._gap(product, from_us, to_us, filled=True))
        return said

    def _begin(self, product: _Product) -> list[Content]:
        """Begin a sweep; gaps that were not told of yet."""
        product.cursor, product.is_filling = (product.ids.last or 0) + 1, False
        new = [each for each in product.ids.missing if each.last > product.told]
        product.told = max(product.told, product.ids.last or 0)
        lacking = sum(each.last - each.first + 1 for each in new)
        self._counts.gaps += len(new)
        self._counts.missing += lacking
        if new:
            self._say("gap", symbol=product.symbol, missing=lacking, first=new[0].first, last=new[-1].last)
        return [self._gap(product, each.from_us, each.to_us, missing=each.last - each.first + 1) for each in new]

    def _end(self, product: _Product) -> None:
        """End a sweep. What is missing still is asked for again, some times."""
        product.cursor, product.sweep_s = None, math.inf
        left = sum(each.last - each.first + 1 for each in product.ids.missing)
        if not left:
            return
        product.tries = 0 if product.is_filling else product.tries + 1
        if product.tries < TRIES_MAX and product.ids.missing[-1].last > product.floor:
            pause_s = self._patience.settle_s * 2**product.tries
            product.sweep_s = self._clock_s() + min(pause_s, self._patience.longest_pause_s)
        else:
            self._say("gap_stays", symbol=product.symbol, missing=left)

    def _wait(self, product: _Product, error: RestError) -> None:
        """Ask REST later: as it wants, or later each time; not again in this sweep for what it refuses."""
        longest_s = self._patience.longest_pause_s
        self._ask_pause_s = min(2 * self._ask_pause_s, longest_s) or self._patience.first_pause_s
        pause_s = self._ask_pause_s if error.retry_after_s is None else error.retry_after_s
        self._ask_s = self._clock_s() + pause_s
        if _CALLERS_FAULT <= error.status < _SERVERS_FAULT and error.status != _TOO_MANY:
            product.cursor = 0
        self._say("rest_failed", symbol=product.symbol, error=harmless(str(error))[:_SHOWN], again_in_s=round(pause_s, 3))

    @staticmethod
    def _gap(product: _Product, from_us: int, to_us: int, *, missing: int | None = None, filled: bool = False) -> Content:
        return GapMessage(
            schema=1, symbol=product.symbol, time_us=max(product.ids.last_us, 1), venue=VENUE, from_us=from_us, to_us=to_us,
            found_by="trade ids", missing=missing, filled=filled,
        )  # fmt: skip
