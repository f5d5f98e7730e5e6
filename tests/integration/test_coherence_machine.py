"""Several caches over one real Redis and one SQLite file, and whatever can happen to them, in any order hypothesis thinks of.

Three things must hold. *Never back*: what a cache has shown of a symbol is never followed by something older, unless that record
was really gone in between: pruned, or lost with all others. *Proven*: what a cache shows as proven, its L2 held within the lease.
*Agreement*: when everything is well again and the feeds have been read to their ends, each cache answers what its L2 holds,
except where L2 lost what the cache has.
"""

import asyncio
import os
import secrets
import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.cache.codec import decode_agents, decode_price, encode
from app.cache.store import Row
from app.errors import StoreEmpty
from tests.cache.fakes import Clock
from tests.integration.coherence import SYMBOLS, Cache, LateCaller, Place, Record
from tests.records import AS_OF_MS, agent_record, price_record, run_info
from tests.servers import RedisServer

_SEED = int(os.environ.get("FAULT_SEED", secrets.randbelow(2**32)))
_symbols = st.text(alphabet=SYMBOLS, min_size=1, max_size=4).map(lambda text: "".join(dict.fromkeys(text)))
_caches = st.integers(0, 3)
_places = st.integers(0, 1)
_little_or_more = st.sampled_from([0.1, 2.0, 4.0, 6.0])
_as_of = st.one_of(st.none(), st.integers(0, 9))


class Machine(RuleBasedStateMachine):
    """The rules."""

    url = ""
    steps: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.steps["examples"] += 1
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.runs = 0
        self.places = [Place(self.url, Path(), self.clock), Place("", Path(self.folder.name) / "store.sqlite3", self.clock)]
        self.places[0].empty()
        self.caches = [Cache(self.places[number % 2], self.clock, number) for number in range(4)]
        self.publishers = [place.open() for place in self.places]
        for cache in self.caches:
            self.runner.run(cache.hear())

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

    @rule(cache=_caches, symbol=st.sampled_from(SYMBOLS))
    def send_head(self, cache: int, symbol: str) -> None:
        """Somebody asks, and is slow to say for what."""
        house = self.caches[cache]

        async def begin() -> None:
            house.late.append(LateCaller(house.app, symbol))
            for _ in range(10):
                await asyncio.sleep(0)

        self.runner.run(begin())

    @rule(cache=_caches)
    def send_bodies(self, cache: int) -> None:
        """Who was slow is answered."""
        self.runner.run(self.caches[cache].send_bodies())

    @rule(cache=_caches, symbols=_symbols, age=st.integers(0, 9), seconds=_little_or_more)
    def be_late(self, cache: int, symbols: str, age: int, seconds: float) -> None:
        """Something newer is published while bodies are on their way, and the feed does not tell."""
        self.read(cache, symbols)
        for symbol in symbols:
            self.send_head(cache, symbol)
        self.publish(cache % 2, symbols, age, age, prune=False)
        self.wait(seconds)
        self.send_bodies(cache)

    @rule(cache=_caches, symbols=_symbols, age=st.integers(0, 9), seconds=_little_or_more)
    def fall_behind(self, cache: int, symbols: str, age: int, seconds: float) -> None:
        """So much is published that one read of the feed does not reach its end."""
        self.hear(cache)
        self.read(cache, symbols)
        self.crowd(cache % 2)
        self.publish(cache % 2, symbols, age, age, prune=False)
        self.wait(4.0)
        self.hear(cache)
        self.wait(seconds)
        self.read(cache, symbols)

    @rule(cache=_caches, symbols=_symbols, age=st.integers(0, 9), seconds=_little_or_more)
    def publish_unheard(self, cache: int, symbols: str, age: int, seconds: float) -> None:
        """The feed is silent, and all else is well."""
        self.hear(cache)
        self.read(cache, symbols)
        self.fall_silent(cache)
        self.publish(cache % 2, symbols, age, age, prune=False)
        self.wait(seconds)
        self.read(cache, symbols)

    @rule(place=_places)
    def crowd(self, place: int) -> None:
        """Many small changes."""
        self.places[place].crowd()

    @rule(cache=_caches)
    def fall_silent(self, cache: int) -> None:
        """The feed alone is out of reach."""
        self.caches[cache].store.silent = True

    @rule(cache=_caches)
    def speak(self, cache: int) -> None:
        """It is back."""
        self.caches[cache].store.silent = False

    @rule(cache=_caches)
    def hear(self, cache: int) -> None:
        """The feed is read once."""
        self.runner.run(self.caches[cache].hear())

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
            cache.store.down = cache.store.silent = False
            self.deliver(number)
            self.send_bodies(number)
            # The breaker's longest pause, so that the next load is its probe.
            self.clock.now += 10.0
            self.runner.run(self._settled(cache))

    async def _settled(self, cache: Cache) -> None:
        # A connection that was cut may fail once more; what came meanwhile may need several looks.
        for _ in range(4 + cache.place.crowds):
            await cache.hear()
        assert cache.feed.connected
        await cache.tiers.close()
        # If the breaker is open, the first load is its probe and the only one.
        await cache.read(SYMBOLS[0])
        # Only one that follows the feed learns that its file was deleted.
        reader = cache.place.open()
        try:
            truth = await reader.get_many(list(SYMBOLS))
        except StoreEmpty:
            return
        finally:
            await reader.close()
        for symbol, stored, found in zip(SYMBOLS, truth, await cache.read(SYMBOLS), strict=True):
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

    @invariant()
    def count(self) -> None:
        """For those who run it."""
        self.steps["steps"] += 1

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
    steps = Counter[str]()
    machine = type("SeededMachine", (Machine,), {"url": redis_server.url, "steps": steps})
    try:
        run_state_machine_as_test(
            seed(_SEED)(machine),
            settings=settings(
                max_examples=int(os.environ.get("FAULT_EXAMPLES", "60")),
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        # Those that shrinking took among them.
        print(f"{steps['steps']} steps in {steps['examples']} examples")
