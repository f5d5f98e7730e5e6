"""Several caches over one real Redis and one SQLite file, and whatever can happen to them, in any order hypothesis thinks of.

Four things must hold. *Never back*: what a cache has shown of a symbol is never followed by something older, unless that record
was really gone in between: pruned, withdrawn, or lost with all others. *Proven*: what a cache shows as proven, its L2 held within
the lease, or since it was asked. *Taken back*: what L1 was told is withdrawn is not shown any more, not even as stale.
*Agreement*: when everything is well again and the feeds have been read to their ends, each cache answers what its L2 holds.
"""

import asyncio
import os
import secrets
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.domain.records import KINDS
from app.errors import StoreEmpty
from app.store.codec import decode, encode
from app.store.protocol import Record as Stream
from tests.integration.coherence import SYMBOLS, Cache, LateCaller, Place, Record
from tests.kit.clock import Clock
from tests.kit.records import AS_OF_MS, agent_record, make_row, price_record, run_info, tick_record
from tests.kit.servers import RedisServer
from tests.kit.settle import settle

_SEED = int(os.environ.get("FAULT_SEED", secrets.randbelow(2**32)))
_EXAMPLES_AT_ONCE = 10
_LONG_ENOUGH_S = 45.0
"""On a machine that has little time for it no more examples begin then."""
_SETTINGS = settings(
    max_examples=_EXAMPLES_AT_ONCE,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.generate, Phase.shrink) if "FAULT_SHRINK" in os.environ else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
_symbols = st.text(alphabet=SYMBOLS, min_size=1, max_size=4).map(lambda text: "".join(dict.fromkeys(text)))
_caches = st.integers(0, 3)
_places = st.integers(0, 1)
_little_or_more = st.sampled_from([0.1, 2.0, 4.0, 6.0])
_within_lease_or_after = st.sampled_from([2.0, 6.0])
_rarely = st.sampled_from([False, False, False, True])
_ages = st.integers(0, 9)
"""Of records, in ms before or after those of the runs before: some are older."""
_NEWER = 10
_FAR_AHEAD = 200
_age_or_none = st.one_of(st.none(), _ages)


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
        for cache in self.caches:
            self.runner.run(cache.feed.step())

    @initialize(
        first=st.sampled_from(["nothing", "be_late", "fall_behind", "publish_unheard"]),
        cache=_caches,
        symbols=_symbols,
        seconds=_within_lease_or_after,
    )
    def begin(self, first: str, cache: int, symbols: str, seconds: float) -> None:
        """There is something in both, and often one of those happens of which each has a fault that it alone finds."""
        for place in range(2):
            self.publish(place, "AB", 5, 5, prune=False)
        if first != "nothing":
            getattr(self, first)(cache, symbols, seconds)

    @rule(place=_places, symbols=_symbols, price=_age_or_none, agents=_age_or_none, prune=_rarely)
    def publish(self, place: int, symbols: str, price: int | None, agents: int | None, *, prune: bool) -> None:
        """Records of any age, some without one of the two, sometimes instead of all others."""
        self.runs += 1
        run = f"run-{self.runs}"
        rows, records = [], []
        for symbol in symbols:
            price_record_ = None if price is None else price_record(symbol, AS_OF_MS + self.runs + price, run)
            agents_record = None if agents is None else agent_record(symbol, AS_OF_MS + self.runs + agents, run)
            records += [each for each in (price_record_, agents_record) if each is not None]
            rows.append(
                make_row(
                    symbol,
                    None if price_record_ is None else price_record_.as_of_ms,
                    None if price_record_ is None else encode(price_record_),
                    None if agents_record is None else agents_record.as_of_ms,
                    None if agents_record is None else encode(agents_record),
                )
            )
        if records or prune:
            self.places[place].note(records, prune=prune)
        self.runner.run(self.places[place].store.publish_run(rows, run_info(run, symbols=len(rows)), prune=prune))

    @rule(place=_places, symbols=_symbols, age=_ages, also_price=_rarely)
    def upsert(self, place: int, symbols: str, age: int, *, also_price: bool) -> None:
        """Records come by themselves, of any age; some of a kind that is named and not carried."""
        self.runs += 1
        as_of_ms = AS_OF_MS + self.runs // 4 + age
        trades = [tick_record(symbol, as_of_ms, f"{self.runs}", micros=self.runs % 1000) for symbol in symbols]
        prices = [price_record(symbol, AS_OF_MS + self.runs + age, "") for symbol in symbols if also_price]
        self.places[place].note_upsert([*trades, *prices])
        records = [Stream("tick", each.symbol, encode(each)) for each in trades]
        records += [Stream("price", each.symbol, encode(each)) for each in prices]
        self.runner.run(self.places[place].store.upsert(records))

    @rule(cache=_caches, symbols=_symbols, age=_ages)
    def stream(self, cache: int, symbols: str, age: int) -> None:
        """Something comes by itself, and the feed brings it while L2's answer is under way."""
        self.wait(61.0)
        self.upsert(cache % 2, symbols, age, also_price=False)
        self.read_and_be_held_up(cache, symbols)
        self.upsert(cache % 2, symbols, 9, also_price=False)
        self.hear(cache)
        self.deliver(cache)
        self.read(cache, symbols)

    @rule(cache=_caches, symbols=_symbols)
    def read(self, cache: int, symbols: str) -> None:
        """Somebody asks."""
        self.runner.run(self.caches[cache].read(symbols))

    @rule(cache=_caches, symbols=_symbols)
    def read_and_be_held_up(self, cache: int, symbols: str) -> None:
        """L2 has read, and its answer is still under way."""
        house = self.caches[cache]

        async def start() -> None:
            house.hold()
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
        self.runner.run(self.caches[cache].deliver())

    @rule(cache=_caches, symbols=_symbols, age=_ages)
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
            await settle()

        self.runner.run(begin())

    @rule(cache=_caches)
    def send_bodies(self, cache: int) -> None:
        """Who was slow is answered."""
        self.runner.run(self.caches[cache].send_bodies())

    @rule(cache=_caches, symbols=_symbols, seconds=_within_lease_or_after)
    def be_late(self, cache: int, symbols: str, seconds: float) -> None:
        """Something newer is published while bodies are on their way, and the feed does not tell."""
        self.be_well(cache)
        self.read(cache, symbols)
        for symbol in symbols:
            self.send_head(cache, symbol)
        self.publish(cache % 2, symbols, _NEWER, _NEWER, prune=False)
        self.wait(seconds)
        self.send_bodies(cache)

    @rule(cache=_caches, symbols=_symbols, seconds=_little_or_more)
    def fall_behind(self, cache: int, symbols: str, seconds: float) -> None:
        """So much is published that one read of the feed does not reach its end."""
        self.be_well(cache)
        self.read(cache, symbols)
        self.crowd(cache % 2)
        self.publish(cache % 2, symbols, _NEWER, _NEWER, prune=False)
        self.wait(4.0)
        self.hear(cache)
        self.wait(seconds)
        self.read(cache, symbols)

    @rule(cache=_caches, symbols=_symbols, seconds=_within_lease_or_after)
    def publish_unheard(self, cache: int, symbols: str, seconds: float) -> None:
        """The feed is silent, and all else is well."""
        self.be_well(cache)
        self.read(cache, symbols)
        self.fall_silent(cache)
        self.publish(cache % 2, symbols, _NEWER, _NEWER, prune=False)
        self.wait(seconds)
        self.read(cache, symbols)

    @rule(place=_places, symbols=_symbols)
    def withdraw(self, place: int, symbols: str) -> None:
        """Symbols are taken back, if they are there."""
        self.runner.run(self.places[place].withdraw(symbols))

    @rule(place=_places, back=st.integers(0, 4))
    def withdraw_run(self, place: int, back: int) -> None:
        """One of the last runs is taken back, as far as it is there."""
        self.runner.run(self.places[place].withdraw("", f"run-{max(1, self.runs - back)}"))

    @rule(cache=_caches, symbols=_symbols, age=_ages, gone=st.booleans(), seconds=_within_lease_or_after)
    def take_back(self, cache: int, symbols: str, age: int, *, gone: bool, seconds: float) -> None:
        """A bad run is seen, and taken back or lost with all others; older data come in its place, and perhaps the feed tells."""
        self.be_well(cache)
        self.publish(cache % 2, symbols, _FAR_AHEAD, _FAR_AHEAD, prune=False)
        self.hear(cache)
        self.read(cache, symbols)
        if gone:
            self.empty(cache % 2)
        else:
            self.withdraw_run(cache % 2, 0)
        self.publish(cache % 2, symbols, age, age, prune=False)
        self.wait(seconds)
        self.read(cache, symbols)

    @rule(cache=_caches, symbols=_symbols, age=_age_or_none)
    def overtake_by_withdrawal(self, cache: int, symbols: str, age: int | None) -> None:
        """Symbols are taken back, and the feed tells, while L2's answer is under way."""
        self.wait(61.0)
        self.read_and_be_held_up(cache, symbols)
        self.withdraw(cache % 2, symbols)
        if age is not None:
            self.publish(cache % 2, symbols, age, age, prune=False)
        self.hear(cache)
        self.deliver(cache)
        self.read(cache, symbols)

    @rule(place=_places)
    def crowd(self, place: int) -> None:
        """Many small changes."""
        self.places[place].crowd()

    @rule(cache=_caches)
    def be_well(self, cache: int) -> None:
        """Nothing is out of reach or held up, and the feed has told everything."""
        self.reconnect(cache)
        self.speak(cache)
        self.deliver(cache)
        self.runner.run(self.caches[cache].hear_all())

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
    def agree(self) -> None:
        """All is well for a while: then they agree."""
        for number, cache in enumerate(self.caches):
            self.be_well(number)
            self.send_bodies(number)
            # The breaker's longest pause, so that the next load is its probe.
            self.clock.now += 10.0
            self.runner.run(self._settled(cache))

    async def _settled(self, cache: Cache) -> None:
        await cache.hear_all()
        assert cache.feed.lag_s() == 0
        await cache.tiers.close()
        # If the breaker is open, the first load is its probe and the only one; what L1 knows needs none.
        for symbol in SYMBOLS:
            await cache.read(symbol)
        try:
            truth = await cache.place.store.get_many(list(SYMBOLS))
        except StoreEmpty:
            return
        for symbol, stored, found in zip(SYMBOLS, truth, await cache.read(SYMBOLS), strict=True):
            assert found.trouble is None, f"{symbol}: {found.trouble} though all is well"
            if not stored.known:
                assert found.evidence is None, symbol
                continue
            assert found.evidence is not None, symbol
            for kind, held in zip(KINDS.inputs, found.evidence.records, strict=False):
                raw = stored.records.get(kind.name)
                self._agree(symbol, None if raw is None else decode(kind, raw, symbol), held)

    @staticmethod
    def _agree(symbol: str, truth: Record | None, found: Record | None) -> None:
        assert found == truth, symbol

    @invariant()
    def count(self) -> None:
        """For those who run it."""
        self.steps["steps"] += 1

    def teardown(self) -> None:
        """In the end, too, they agree."""
        try:
            self.agree()
        finally:
            for cache in self.caches:
                # Some are still held up where something did not hold.
                cache.store.release()
                self.runner.run(cache.tiers.close())
                self.runner.run(cache.store.close())
            for place in self.places:
                self.runner.run(place.store.close())
            self.runner.close()
            self.folder.cleanup()


def test_caches_agree_with_l2_and_never_go_back(redis_server: RedisServer) -> None:
    print(f"seed {_SEED}; FAULT_SHRINK=1 makes what fails short, which may take minutes (--timeout 600)")
    steps = Counter[str]()
    machine = type("SeededMachine", (Machine,), {"url": redis_server.url, "steps": steps})
    long_enough = time.monotonic() + _LONG_ENOUGH_S
    try:
        for number in range(int(os.environ.get("FAULT_EXAMPLES", "40")) // _EXAMPLES_AT_ONCE):
            if time.monotonic() < long_enough:
                run_state_machine_as_test(seed(_SEED + number * 2**32)(machine), settings=_SETTINGS)
    finally:
        # Those that shrinking took among them.
        print(f"{steps['steps']} steps in {steps['examples']} examples")
