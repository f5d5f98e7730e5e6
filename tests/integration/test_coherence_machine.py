"""Several caches over one real Redis and one SQLite file, and whatever can happen to them, in any order hypothesis thinks of.

Two things must hold. *Never back*: what a cache has shown of a symbol is never followed by something older, unless that record
was really gone in between: pruned, or lost with all others. *Agreement*: when everything is well
again and the feeds have been read to their ends, each cache answers what its L2 holds, except where L2 lost what the cache has.
"""

import asyncio
import os
import random
import secrets
import tempfile
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from app.cache.codec import decode_agents, decode_price, encode
from app.cache.feed import Feed
from app.cache.opening import open_store
from app.cache.store import Row, Store
from app.cache.tiers import Lookup
from app.domain.vector import AgentRecord, PriceRecord
from app.errors import StoreEmpty
from tests.cache.fakes import Clock, CountingMeters, make_tiers
from tests.faulty import FaultyStore
from tests.records import AS_OF_MS, agent_record, price_record, run_info
from tests.servers import RedisServer

_SEED = int(os.environ.get("FAULT_SEED", secrets.randbelow(2**32)))
_SYMBOLS = "ABCD"
_TTL_S, _LEASE_S = 60.0, 5.0

_KEYS = tuple(product(_SYMBOLS, ("price", "agents")))

Record = PriceRecord | AgentRecord


def _kind(record: Record) -> str:
    return "price" if isinstance(record, PriceRecord) else "agents"


class Place:
    """One L2 and what may happen to it. ``lives`` has all that was ever published there, each with how often its symbol's record
    of that kind had been gone before.
    """

    def __init__(self, url: str, path: Path) -> None:
        self.url = url
        self.path = path
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
            self.lives[record] = self._gone.get((record.symbol, _kind(record)), 0)

    def _end_lives(self, keys: Iterable[tuple[str, str]]) -> None:
        for key in keys:
            self._gone[key] = self._gone.get(key, 0) + 1

    def empty(self) -> None:
        """FLUSHALL, or the file deleted."""
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
        self.meters = CountingMeters()
        self.tiers = make_tiers(self.store, self.meters, clock, ttl_s=_TTL_S, stale_s=1e9, refresh_share=0.8, failures=3)
        self.feed = Feed(
            self.store,
            self.tiers,
            self.meters,
            wait_s=0.0,
            rng=random.Random(number),
            lease_s=_LEASE_S,
            clock=clock,
            now_ms=lambda: AS_OF_MS,
        )
        self.shown: dict[tuple[str, str], Record] = {}
        self.waiting: list[asyncio.Task[list[Lookup]]] = []

    def show(self, symbol: str, found: Lookup) -> None:
        """A caller sees this."""
        evidence = found.evidence
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
        # Whoever joins a load that is held up gives up on it soon.
        found = await self.tiers.fetch_many(list(symbols), budget_s or (0.05 if self.waiting else 10.0))
        for symbol, each in zip(symbols, found, strict=True):
            self.show(symbol, each)
        return found


_symbols = st.text(alphabet=_SYMBOLS, min_size=1, max_size=4).map(lambda text: "".join(dict.fromkeys(text)))
_caches = st.integers(0, 3)
_places = st.integers(0, 1)
_as_of = st.one_of(st.none(), st.integers(0, 9))


class Machine(RuleBasedStateMachine):
    """The rules."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.runs = 0
        self.places = [Place(self.url, Path()), Place("", Path(self.folder.name) / "store.sqlite3")]
        self.places[0].empty()
        self.caches = [Cache(self.places[number % 2], self.clock, number) for number in range(4)]
        self.publishers = [place.open() for place in self.places]
        for cache in self.caches:
            self.runner.run(cache.feed.step())

    @initialize()
    def begin(self) -> None:
        """There is something in both."""
        for place in range(2):
            self.publish(place, "AB", 5, 5, prune=False)

    @rule(place=_places, symbols=_symbols, price=_as_of, agents=_as_of, prune=st.sampled_from([False, False, False, True]))
    def publish(self, place: int, symbols: str, price: int | None, agents: int | None, *, prune: bool) -> None:
        """Records of any age, some without one of the two, sometimes instead of all others."""
        self.runs += 1
        run = f"run-{self.runs}"
        rows, records = [], []
        for symbol in symbols:
            price_record_ = None if price is None else price_record(symbol, AS_OF_MS + price, run)
            agents_record = None if agents is None else agent_record(symbol, AS_OF_MS + agents, run)
            records += [each for each in (price_record_, agents_record) if each is not None]
            rows.append(
                Row(
                    symbol,
                    None if price_record_ is None else price_record_.as_of_ms,
                    None if price_record_ is None else encode(price_record_),
                    None if agents_record is None else agents_record.as_of_ms,
                    None if agents_record is None else encode(agents_record),
                )
            )
        if records or prune:
            self.places[place].note(records, prune=prune)
        self.runner.run(self.publishers[place].publish(rows, run_info(run, symbols=len(rows)), prune=prune))

    @rule(cache=_caches, symbols=_symbols)
    def read(self, cache: int, symbols: str) -> None:
        """Somebody asks."""
        self.runner.run(self.caches[cache].read(symbols))

    @rule(cache=_caches, symbols=_symbols)
    def read_and_be_held_up(self, cache: int, symbols: str) -> None:
        """L2 has read, and its answer is still under way."""
        house = self.caches[cache]

        async def start() -> None:
            house.store.held = True
            task = asyncio.create_task(house.read(symbols, 3600.0))
            house.waiting.append(task)
            for _ in range(200):
                await asyncio.sleep(0.0005)
                if task.done() or house.store.hanging:
                    break

        self.runner.run(start())

    @rule(cache=_caches)
    def deliver(self, cache: int) -> None:
        """The answers that were under way are here, all at once."""
        house = self.caches[cache]

        async def finish() -> None:
            house.store.release()
            waiting, house.waiting = house.waiting, []
            await asyncio.gather(*waiting)

        self.runner.run(finish())

    @rule(cache=_caches, symbols=_symbols, age=st.integers(0, 9))
    def overtake(self, cache: int, symbols: str, age: int) -> None:
        """Something newer is published, and the feed tells, while L2's answer is under way."""
        self.wait(61.0)
        self.read_and_be_held_up(cache, symbols)
        self.publish(cache % 2, symbols, age, age, prune=False)
        self.hear(cache)
        self.deliver(cache)

    @rule(cache=_caches)
    def hear(self, cache: int) -> None:
        """The feed is read once."""
        self.runner.run(self.caches[cache].feed.step())

    @rule(cache=_caches)
    def disconnect(self, cache: int) -> None:
        """L2 is out of reach for this cache."""
        self.caches[cache].store.down = True

    @rule(cache=_caches)
    def reconnect(self, cache: int) -> None:
        """It is back."""
        self.caches[cache].store.down = False

    @rule(place=_places)
    def cut(self, place: int) -> None:
        """Connections end under those who have them."""
        self.places[place].cut()

    @rule(place=_places)
    def empty(self, place: int) -> None:
        """All is gone."""
        self.places[place].empty()

    @rule(place=_places)
    def trim(self, place: int) -> None:
        """The feed's entries are gone."""
        self.places[place].trim()

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 50.0, 61.0, 700.0]))
    def wait(self, seconds: float) -> None:
        """Time passes: leases end, entries expire, breakers try again."""
        self.clock.now += seconds

    @rule()
    def settle(self) -> None:
        """All is well for a while: then they agree."""
        for number, cache in enumerate(self.caches):
            cache.store.down = False
            self.deliver(number)
            # The breaker's longest pause, so that the next load is its probe.
            self.clock.now += 10.0
            self.runner.run(self._settled(cache))

    async def _settled(self, cache: Cache) -> None:
        # A connection that was cut may fail once more; what came meanwhile may need several looks.
        for _ in range(4):
            await cache.feed.step()
        assert cache.feed.connected
        await cache.tiers.close()
        # If the breaker is open, the first load is its probe and the only one.
        await cache.read(_SYMBOLS[0])
        # Only one that follows the feed learns that its file was deleted.
        reader = cache.place.open()
        try:
            truth = await reader.get_many(list(_SYMBOLS))
        except StoreEmpty:
            return
        finally:
            await reader.close()
        for symbol, stored, found in zip(_SYMBOLS, truth, await cache.read(_SYMBOLS), strict=True):
            assert found.trouble is None, f"{symbol}: {found.trouble} though all is well"
            if not stored.known:
                assert found.evidence is None, symbol
                continue
            assert found.evidence is not None, symbol
            price = None if stored.price is None else decode_price(stored.price, symbol)
            agents = None if stored.agents is None else decode_agents(stored.agents, symbol)
            self._agree(symbol, price, found.evidence.price)
            self._agree(symbol, agents, found.evidence.agents)

    @staticmethod
    def _agree(symbol: str, truth: Record | None, found: Record | None) -> None:
        # After a loss L2 may hold older records than the cache does: those it keeps.
        ahead = truth is not None and found is not None and found.as_of_ms > truth.as_of_ms
        assert ahead or found == truth, symbol

    def teardown(self) -> None:
        """In the end, too, they agree."""
        try:
            self.settle()
        finally:
            for cache in self.caches:
                self.runner.run(cache.tiers.close())
                self.runner.run(cache.store.close())
            for store in self.publishers:
                self.runner.run(store.close())
            self.runner.close()
            self.folder.cleanup()


@pytest.mark.timeout(300)
def test_caches_agree_with_l2_and_never_go_back(redis_server: RedisServer) -> None:
    """Whatever is published, read, expired, cut, emptied and trimmed in whatever order."""
    print(f"seed {_SEED}")
    machine = type("SeededMachine", (Machine,), {"url": redis_server.url})
    run_state_machine_as_test(
        seed(_SEED)(machine),
        settings=settings(
            max_examples=int(os.environ.get("FAULT_EXAMPLES", "60")),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
