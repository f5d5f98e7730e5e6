"""Whatever happens in whatever order: every change is seen in the end, in order, also by those who left and came back."""

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.push.subscriber import Subscriber
from tests.kit.hub import HubHouse, SlowStore, run
from tests.kit.records import AS_OF_MS, row
from tests.kit.store import down

SYMBOLS = ("A", "B", "C", "D")
_SYMBOL_SETS = st.sets(st.sampled_from(SYMBOLS), min_size=1)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), _SYMBOL_SETS),
        st.tuples(st.just("publish_in_parts"), _SYMBOL_SETS),
        st.tuples(st.just("prune"), st.sampled_from(SYMBOLS)),
        st.tuples(st.just("withdraw"), _SYMBOL_SETS),
        st.tuples(st.just("lose"), st.booleans()),
        st.tuples(st.just("down"), st.booleans()),
        st.tuples(st.just("join"), _SYMBOL_SETS),
        st.tuples(st.just("crowd"), _SYMBOL_SETS),
        st.tuples(st.just("read"), st.integers(0, 5)),
        st.tuples(st.just("reconnect"), st.integers(0, 399)),
        st.tuples(st.just("reconnect"), st.integers(0, 399)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
        st.tuples(st.just("slow"), st.integers(0, 12)),
        st.tuples(st.just("turns"), st.integers(1, 12)),
    ),
    min_size=8,
    max_size=50,
)


class Watcher:
    """A client: what it has seen of each symbol, over all its connections, and the id of its last event."""

    def __init__(self, house: HubHouse, symbols: set[str]) -> None:
        self.house = house
        self.symbols = sorted(symbols)
        self.seen: dict[str, list[int | None]] = {symbol: [] for symbol in symbols}
        self.last_id: str | None = None
        self.connect()

    def connect(self) -> None:
        """Join, with the last id if there is one."""
        self.subscriber: Subscriber = self.house.hub.enter("sse")
        asked = {symbol: symbol for symbol in self.symbols}
        self.joining = asyncio.create_task(self.house.hub.join(self.subscriber, asked, self.last_id))

    def disconnect(self) -> None:
        """Go, with whatever was sent and not read."""
        self.joining.cancel()
        self.subscriber.end("left")
        self.house.hub.leave(self.subscriber)

    def read(self, most: int) -> None:
        """Read up to so many frames; what one joined for must not wait for ever."""
        queue = self.subscriber._queue
        for _ in range(min(most, len(queue))):
            frame = queue.popleft()
            assert isinstance(frame, bytes)
            fields = dict(line.split(": ", 1) for line in frame.decode().split("\n") if ": " in line)
            self.last_id = fields.get("id", self.last_id)
            if fields.get("event") == "gone":
                self.seen[fields["data"].split('"')[3]].append(None)
            elif "event" in fields:
                self._decided(fields["data"])
        if not queue:
            self.subscriber._room.set()

    def _decided(self, data: str) -> None:
        symbol = data.partition('"symbol":"')[2].partition('"')[0]
        run_name = data.partition('"run":')[2].partition("}")[0]
        if run_name != "null":
            self.seen[symbol].append(int(run_name.strip('"').rpartition("-")[2]))


class World:
    """The store as it should be seen, and who watches."""

    def __init__(self, house: HubHouse) -> None:
        self.house = house
        self.number = 1
        self.truth: dict[str, int | None] = dict.fromkeys(SYMBOLS, 1)
        self.watchers: list[Watcher] = []

    async def step(self, kind: str, what: Any) -> None:  # noqa: ANN401 - as the strategy draws it
        """One thing happens."""
        if kind in ("read", "reconnect", "leave"):
            if self.watchers:
                await self._turns(what % 40 if kind == "reconnect" else 0)
                self._of_watcher(kind, self.watchers[what % len(self.watchers)], what // 40)
        else:
            await getattr(self, f"_{kind}")(what)

    async def _publish(self, symbols: set[str]) -> None:
        self.number += 1
        self.truth |= dict.fromkeys(symbols, self.number)
        self.house.publish(self.number, *sorted(symbols))

    async def _publish_in_parts(self, symbols: set[str]) -> None:
        self.number += 1
        self.truth |= dict.fromkeys(symbols, self.number)
        await self.house.publish_in_parts(self.number, *sorted(symbols))

    async def _prune(self, symbol: str) -> None:
        self.truth[symbol] = None
        self.house.store.rows.pop(symbol, None)
        self.house.change(symbol, withdrawn=True)

    def _go_back(self, symbols: set[str]) -> None:
        """L2 holds another record of each, which is older than all that were there before."""
        self.number += 1
        self.truth |= dict.fromkeys(symbols, self.number)
        for symbol in symbols:
            self.house.store.put(row(symbol, AS_OF_MS - self.number, f"run-{self.number}"))

    async def _withdraw(self, symbols: set[str]) -> None:
        self._go_back(symbols)
        self.house.change(*sorted(symbols), withdrawn=True)

    async def _lose(self, was_emptied: bool) -> None:  # noqa: FBT001 - as drawn
        if was_emptied:
            self._go_back(set(SYMBOLS))
        self.house.change(lost=True)

    async def _slow(self, turns: int) -> None:
        assert isinstance(self.house.store, SlowStore)
        self.house.store.turns = turns

    async def _down(self, is_down: bool) -> None:  # noqa: FBT001 - as drawn
        self.house.store.fault = down() if is_down else None

    async def _join(self, symbols: set[str]) -> None:
        self.watchers.append(Watcher(self.house, symbols))

    async def _crowd(self, symbols: set[str]) -> None:
        self.watchers += [Watcher(self.house, symbols) for _ in range(7)]

    async def _turns(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    def _of_watcher(self, kind: str, watcher: Watcher, more: int) -> None:
        watcher.read(1 + more)
        if kind == "read":
            return
        watcher.disconnect()
        if kind == "reconnect":
            watcher.connect()
        else:
            self.watchers.remove(watcher)

    async def end(self) -> None:
        """All is well again, and everybody reads everything."""
        house = self.house
        house.store.fault = None
        await self._turns(3)
        # What the cache remembers as unknown, or the breaker as failing, is not what this is about.
        house.clock.now += 100.0
        # Nobody follows so many symbols that joining waits for what it gave to be read.
        await asyncio.gather(*[watcher.joining for watcher in self.watchers])
        house.hub._wake.set()
        await house.settled()
        for watcher in self.watchers:
            watcher.read(1000)

    def check(self) -> None:
        """Every watcher has seen the newest of each of its symbols last, and never an older one after a newer."""
        for watcher in self.watchers:
            assert watcher.subscriber.reason is None
            for symbol, runs in watcher.seen.items():
                assert runs, (symbol, watcher.last_id)
                assert runs[-1] == self.truth[symbol], (symbol, runs)
                numbers = [each for each in runs if each is not None]
                assert numbers == sorted(numbers), (symbol, runs)


# Cut off after the first of two changes that one publication brought (two events of the beginning, and one more, are read).
@example([("join", {"A", "B"}), ("turns", 40), ("publish", {"A", "B"}), ("turns", 40), ("reconnect", 2 * 40), ("turns", 40)])
# Taken back while it is looked up for those who follow, and for those who come; the same for everything.
@example([("join", {"A"}), ("turns", 30), ("slow", 12), ("publish", {"A"}), ("turns", 4), ("withdraw", {"A"}), ("crowd", {"A"})])
@example([("join", {"A"}), ("turns", 30), ("slow", 12), ("publish", {"A"}), ("turns", 4), ("lose", True), ("crowd", {"A"})])
# Overtaken by a second change while the first is looked up, by those who come meanwhile too.
@example([("crowd", {"A"}), ("turns", 30), ("slow", 12), ("publish", {"A"}), ("turns", 5), ("crowd", {"A"}), ("publish", {"A"})])
# Told by the fallback ladder at first, because L1 lost what it held while others were looked up: a decision is owed.
@example([("join", {"A", "B", "C"}), ("reconnect", 4), ("slow", 11), ("publish_in_parts", {"A", "B", "C", "D"})])
@given(_STEPS)
@settings(max_examples=200)
def test_every_change_is_seen_in_order_by_all_who_follow_its_symbol(steps: list[tuple[str, object]]) -> None:
    """Publications, removals, withdrawals, losses, outages of L2, clients that come, read, leave and come back."""

    async def work(house: HubHouse) -> None:
        world = World(house)
        for kind, what in steps:
            await world.step(kind, what)
        await world.end()
        world.check()

    run(work, SlowStore(*SYMBOLS), stream_queue=10_000, l1_max_entries=2, l2_timeout_ms=60_000.0)
