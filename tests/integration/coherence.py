"""For the coherence machine: an L2 and what may happen to it, a worker's cache and what it has shown, callers who are slow."""

import asyncio
import random
from collections.abc import Callable, Iterable, MutableMapping
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import redis
from starlette.types import ASGIApp

from app.cache.feed import Feed
from app.cache.opening import open_store
from app.cache.store import Store
from app.cache.tiers import Lookup
from app.domain.vector import AgentRecord, PriceRecord
from app.main import build
from app.observe.clocks import ReplayClock
from app.options import Settings
from app.parts import Parts
from app.payloads import DecideResponse
from tests.cache.fakes import Clock
from tests.faulty import FaultyStore
from tests.records import AS_OF_MS
from tests.routes.serving import http_scope, part

SYMBOLS = "ABCD"
START_MS = AS_OF_MS + 1000
"""Where the caches' domain clocks begin: after all records, so that an age tells which record it is of."""
_BEFORE_ALL = -1
LEASE_S = 5.0
_SETTINGS = {
    "l1_ttl_s": 60.0,
    "l1_ttl_jitter": 0.0,
    "l1_stale_s": 604_800.0,
    "l1_lease_s": LEASE_S,
    "negative_ttl_s": 3600.0,
    "feed_wait_ms": 1.0,
    "l2_timeout_ms": 100.0,
    "breaker_failures": 3,
    "breaker_pause_s": 8.0,
    "body_timeout_s": 60.0,
    "clock": "replay",
}

_CROWD = 100
_KEYS = tuple(product(SYMBOLS, ("price", "agents")))

Record = PriceRecord | AgentRecord


def _kind(record: Record) -> str:
    return "price" if isinstance(record, PriceRecord) else "agents"


def _as_of_ms(record: Record | None) -> int | None:
    return None if record is None else record.as_of_ms


class Truth:
    """Which record L2 held of each symbol and kind, by its ``as_of``, and since when. None: none, as after a removal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[tuple[str, str], list[tuple[float, int | None]]] = {}

    def now(self, key: tuple[str, str]) -> int | None:
        """What it holds."""
        return self._held.get(key, [(0.0, None)])[-1][1]

    def change(self, key: tuple[str, str], as_of_ms: int | None) -> None:
        """From now on it holds this."""
        self._held.setdefault(key, [(0.0, None)]).append((self._clock(), as_of_ms))

    def check(self, symbol: str, shown: dict[str, int | None] | None, since: float) -> None:
        """What is shown of ``symbol`` as proven was so at some time after ``since``, or L2 held something older: what was lost is
        not given up. None: that there is no such symbol.
        """
        if shown is None:
            held = [self._after((symbol, kind), since) for kind in ("price", "agents")]
            assert not any(all(as_of_ms is not None for as_of_ms in each) for each in held), f"{symbol} was there since {since}"
            return
        for kind, as_of_ms in shown.items():
            held_ms = [_BEFORE_ALL if each is None else each for each in self._after((symbol, kind), since)]
            shown_ms = _BEFORE_ALL if as_of_ms is None else as_of_ms
            assert min(held_ms) <= shown_ms, f"{symbol}: {kind} of {as_of_ms} is shown as proven; since {since}: {held_ms}"

    def _after(self, key: tuple[str, str], since: float) -> list[int | None]:
        found = self._held.get(key, [(0.0, None)])
        before = [as_of_ms for at, as_of_ms in found if at < since][-1:]
        return before + [as_of_ms for at, as_of_ms in found if at >= since]


class LateCaller:
    """One POST /decide. The head is sent when it is made, the body by `send_body`."""

    def __init__(self, app: ASGIApp, symbol: str) -> None:
        self.symbol = symbol
        self._body = asyncio.Event()
        self._sent: list[MutableMapping[str, Any]] = []
        self._task = asyncio.ensure_future(app(http_scope(), self._receive, self._send))

    async def _receive(self) -> MutableMapping[str, Any]:
        await self._body.wait()
        return part(msgspec.json.encode({"symbol": self.symbol}))

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self._sent.append(message)

    async def send_body(self, now_ms: int) -> tuple[bool, dict[str, int | None] | None]:
        """Whether the answer claims to be proven, and the ``as_of`` of what it rests on, by kind; None: no such symbol."""
        self._body.set()
        await self._task
        status, body = self._sent[0]["status"], b"".join(message.get("body", b"") for message in self._sent[1:])
        if status == 404:
            return True, None
        assert status == 200, (status, body)
        answer = msgspec.json.decode(body, type=DecideResponse)
        ages_s = {"price": answer.inputs.price.age_s, "agents": answer.inputs.agents.age_s}
        proven = answer.cache.hit or answer.cache.tier == "l2"
        return proven, {kind: None if age_s is None else now_ms - round(age_s * 1000) for kind, age_s in ages_s.items()}


class Place:
    """One L2 and what may happen to it. ``lives`` has all that was ever published there, each with how often its symbol's record
    of that kind had been gone before; ``truth`` what it holds.
    """

    def __init__(self, url: str, path: Path, clock: Clock) -> None:
        self.url = url
        self.path = path
        self.truth = Truth(clock)
        self.crowds = self.losses = 0
        self.lives: dict[Record, int] = {}
        self._gone: dict[tuple[str, str], int] = {}

    def open(self) -> Store:
        """A store of its own connections."""
        return open_store(redis_url=self.url, store_path=self.path, key_prefix="decide:1", read_timeout_s=5)

    def note(self, records: list[Record], *, prune: bool) -> None:
        """These records are published."""
        if prune:
            # A symbol that is named without any record is pruned as one that is not named.
            named = {record.symbol for record in records}
            self._end_lives(key for key in _KEYS if key[0] not in named)
        for record in records:
            key = record.symbol, _kind(record)
            self.lives[record] = self._gone.get(key, 0)
            held_ms = self.truth.now(key)
            if held_ms is None or held_ms <= record.as_of_ms:
                self.truth.change(key, record.as_of_ms)

    def _end_lives(self, keys: Iterable[tuple[str, str]]) -> None:
        """Whatever is taken away from L2 is noted here."""
        for key in keys:
            self._gone[key] = self._gone.get(key, 0) + 1
            self.truth.change(key, None)

    def empty(self) -> None:
        """FLUSHALL, or the file deleted."""
        self.losses += 1
        self._end_lives(_KEYS)
        if self.url:
            self._client(lambda client: client.flushall())
            return
        for end in ("", "-wal", "-shm"):
            Path(f"{self.path}{end}").unlink(missing_ok=True)

    def trim(self) -> None:
        """All of the feed's entries are gone."""
        if self.url:
            self._client(lambda client: client.xtrim("decide:1:changes", maxlen=0, approximate=False))
            return

        async def delete() -> None:
            store = self.open()
            await store.run_info()
            connection = store._connect()  # type: ignore[attr-defined]
            connection.execute("DELETE FROM changes")
            connection.close()
            await store.close()

        asyncio.run(delete())

    def crowd(self) -> None:
        """As many small changes of another symbol as come with one read of the feed."""
        self.crowds += 1
        if self.url:
            self._client(lambda client: self._add_crowd(client.pipeline(transaction=False)))
            return

        async def insert() -> None:
            store = self.open()
            await store.run_info()
            connection = store._connect()  # type: ignore[attr-defined]
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                connection.executemany("INSERT INTO changes (run, symbols) VALUES ('crowd', ?)", [("Z",)] * _CROWD)
            connection.close()
            await store.close()

        asyncio.run(insert())

    @staticmethod
    def _add_crowd(pipeline: Any) -> None:  # noqa: ANN401 - redis-py's has no narrower type
        for _ in range(_CROWD):
            pipeline.xadd("decide:1:changes", {"run": "crowd", "symbols": "Z"})
        pipeline.execute()

    def cut(self) -> None:
        """Every connection ends; a file has none."""
        if self.url:
            self._client(lambda client: client.client_kill_filter(_type="normal", skipme=True))

    def _client(self, work: Callable[["redis.Redis"], object]) -> None:
        with redis.Redis.from_url(self.url) as client:
            work(client)


class Cache:
    """One worker's cache, its feed, and what it has shown: the newest ``as_of`` by symbol and kind of record."""

    def __init__(self, place: Place, clock: Clock, number: int) -> None:
        self.place = place
        self.store = FaultyStore(place.open(), number)
        self.clock = clock
        settings = msgspec.convert(_SETTINGS, Settings)
        self.parts = Parts(settings, self.store, clock=clock, rng=random.Random(number), logs=None)
        assert isinstance(self.parts.now_ms, ReplayClock)
        self.parts.now_ms.start_at(START_MS)
        self.app = build(self.parts, clock)
        self.tiers = self.parts.tiers
        # Redis ends waits ten times a second, so a short one is a long one.
        self.feed = Feed(
            self.store,
            self.tiers,
            self.parts.meters,
            wait_s=0.0,
            rng=random.Random(number),
            lease_s=LEASE_S,
            clock=clock,
            now_ms=lambda: AS_OF_MS,
            on_changes=self.parts.hub.on_changes,
        )
        self.shown: dict[tuple[str, str], Record] = {}
        self.waiting: list[asyncio.Task[list[Lookup]]] = []
        self.late: list[LateCaller] = []
        self._losses_heard_of = 0

    async def hear(self) -> None:
        """Its feed is read once."""
        losses = self.place.losses
        if await self.feed.step():
            self._losses_heard_of = losses

    def _check(self, symbol: str, as_of_ms: dict[str, int | None] | None, since: float) -> None:
        # Only one that follows the feed learns that its file was deleted: until then it reads what nobody writes to any more.
        if self.place.url or self._losses_heard_of == self.place.losses:
            self.place.truth.check(symbol, as_of_ms, since)

    def show(self, symbol: str, found: Lookup, asked_at: float) -> None:
        """A caller sees this."""
        evidence = found.evidence
        if found.proven:
            as_of_ms = None if evidence is None else {"price": _as_of_ms(evidence.price), "agents": _as_of_ms(evidence.agents)}
            self._check(symbol, as_of_ms, min(asked_at, self.clock() - LEASE_S))
        if evidence is None:
            # Gone, and said so: what comes next is another life of that symbol.
            self.shown.pop((symbol, "price"), None)
            self.shown.pop((symbol, "agents"), None)
            return
        for kind, record, trouble in (
            ("price", evidence.price, evidence.price_trouble),
            ("agents", evidence.agents, evidence.agents_trouble),
        ):
            if record is None:
                if trouble == "absent":
                    self.shown.pop((symbol, kind), None)
                continue
            lives = self.place.lives
            assert record in lives, f"{symbol}: {kind} was never published"
            assert record.symbol == symbol
            before = self.shown.get((symbol, kind), record)
            forward = record.as_of_ms >= before.as_of_ms or lives[record] > lives[before]
            assert forward, (
                f"{symbol}: {kind} went back from {before.run} of {before.as_of_ms} to {record.run} of {record.as_of_ms}"
            )
            self.shown[symbol, kind] = record

    async def read(self, symbols: str, budget_s: float = 0.0) -> list[Lookup]:
        """A batch, shown as soon as it is there."""
        asked_at = self.clock()
        # Whoever joins a load that is held up gives up on it soon.
        found = await self.tiers.fetch_many(list(symbols), budget_s or (0.05 if self.waiting else 10.0))
        for symbol, each in zip(symbols, found, strict=True):
            self.show(symbol, each, asked_at)
        return found

    async def send_bodies(self) -> None:
        """All heads that came have their bodies now, one after the other."""
        late, self.late = self.late, []
        for caller in late:
            proven, as_of_ms = await caller.send_body(self.parts.now_ms())
            if proven:
                # Asked for is what is so now, whenever the head came.
                self._check(caller.symbol, as_of_ms, self.clock() - LEASE_S)
