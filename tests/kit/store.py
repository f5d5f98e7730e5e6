"""The store of the tests: all in memory, and it answers, waits and fails as it is told."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from app.domain.records import AGENTS, KINDS, PRICE
from app.domain.vector import AgentView, PriceRecord
from app.errors import StoreError
from app.store.codec import decode
from app.store.protocol import UNKNOWN, Changes, Published, Row, RunInfo, Stored, Withdrawn
from tests.kit.records import raw_of, row, run_info

UNIVERSE = ("AAPL", "IBM", "MSFT")

_PARTS = frozenset(each.name for each in KINDS.all if each.part_of)


class FakeStore:
    """A `Store` that holds ``rows``, by symbol. It was published to if it is made with symbols, or ``info``.

    ``calls`` counts calls by their names; ``reads`` has the symbols of each read of many. `changes` gives ``feed`` one by one
    (of an exception it fails) and then nothing; it notes ``asked_after`` and ``waits_s``. `changes_since` gives ``pages``, by the
    id asked for, and notes ``looks``; without a page all is lost.

    ``fault`` is raised by every call, ``faults`` by those of these names. While it ``hangs`` no call ever ends. While
    ``is_holding`` each read of records or symbols is held up, with what it has read, until `release`.
    """

    kind = "fake"

    def __init__(self, *symbols: str, info: RunInfo | None = None) -> None:
        self.rows = {symbol: row(symbol) for symbol in symbols}
        self.info = run_info(symbols=len(symbols)) if symbols and info is None else info
        self.calls: Counter[str] = Counter()
        self.reads: list[list[str]] = []
        self.position = "0"
        self.feed: list[Changes | Exception] = []
        self.asked_after: list[str] = []
        self.waits_s: list[float] = []
        self.pages: dict[str, Changes] = {}
        self.looks: list[str] = []
        self.fault: Exception | None = None
        self.faults: dict[str, Exception] = {}
        self.hangs = False
        self.is_holding = False
        self.held: list[asyncio.Future[None]] = []
        self.closed = False

    def put(self, new: Row) -> None:
        """Hold this of its symbol and nothing else, without a word in the feed."""
        self.rows[new.symbol] = new

    def release(self, number: int | None = None, fault: Exception | None = None) -> None:
        """Let that one of all held reads go on, or all, and hold no more; or have them fail."""
        if number is None:
            self.is_holding = False
        for gate in self.held if number is None else [self.held[number]]:
            if gate.done():
                continue
            if fault is None:
                gate.set_result(None)
            else:
                gate.set_exception(fault)

    async def _called(self, name: str) -> None:
        self.calls[name] += 1
        if self.hangs:
            await asyncio.Event().wait()
        fault = self.fault or self.faults.get(name)
        if fault is not None:
            raise fault

    async def _released(self) -> None:
        if self.is_holding:
            self.held.append(asyncio.get_running_loop().create_future())
            await self.held[-1]

    def _stored(self, symbol: str) -> Stored:
        if symbol not in self.rows:
            return UNKNOWN
        records = self.rows[symbol].records
        return Stored(known=True, records={kind: each.value for kind, each in records.items() if kind not in _PARTS})

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """As of the call."""
        self.reads.append(list(symbols))
        await self._called("get_many")
        found = [self._stored(symbol) for symbol in symbols]
        await self._released()
        return found

    async def record(self, kind: str, key: str) -> bytes | None:
        """As of the call; of symbols alone."""
        await self._called("record")
        found = raw_of(self.rows[key], kind) if key in self.rows else None
        await self._released()
        return found

    async def publish_run(self, rows: Sequence[Row], info: RunInfo, *, prune: bool = False) -> Published:
        """Never backwards, all at once, and nothing of it in the feed."""
        await self._called("publish_run")
        written = kept_newer = 0
        for new in rows:
            held = dict(self.rows[new.symbol].records) if new.symbol in self.rows else {}
            for kind in KINDS.of_runs:
                come, old = new.records.get(kind.name), held.get(kind.name)
                if come is None:
                    continue
                if old is not None and old.as_of_ms > come.as_of_ms:
                    kept_newer += 1
                    continue
                written += 1
                parts = {part.name for part in KINDS.parts_of(kind)}
                held = {name: record for name, record in held.items() if name not in parts}
                held |= {name: record for name, record in new.records.items() if name in parts or name == kind.name}
            self.rows[new.symbol] = Row(new.symbol, held)
        gone = self.rows.keys() - {each.symbol for each in rows} if prune else set()
        self.rows = {symbol: held for symbol, held in self.rows.items() if symbol not in gone}
        self.info = info
        return Published(written, kept_newer, len(gone), str(self.calls["publish_run"]))

    async def withdraw(self, *, symbols: Sequence[str] = (), run: str = "") -> Withdrawn:
        """Every record that ``run`` wrote; nobody here takes symbols back."""
        assert not symbols
        await self._called("withdraw")
        gone = []
        for symbol, held in list(self.rows.items()):
            lost = {
                each.name
                for kind in KINDS.of_runs
                if kind.name in held.records and decode(kind, held.records[kind.name].value, symbol).run == run
                for each in (kind, *KINDS.parts_of(kind))
            }
            if not lost:
                continue
            gone.append(symbol)
            self.rows[symbol] = Row(symbol, {kind: record for kind, record in held.records.items() if kind not in lost})
            if not self.rows[symbol].records:
                del self.rows[symbol]
        return Withdrawn(tuple(sorted(gone)), {}, (run,), (), len(self.rows), 0, "", "", "")

    async def run_info(self) -> RunInfo | None:
        """As it was set, or published last."""
        await self._called("run_info")
        return self.info

    async def symbols(self) -> list[str]:
        """As of the call."""
        await self._called("symbols")
        found = sorted(self.rows)
        await self._released()
        return found

    async def feed_position(self) -> str:
        """As it was set."""
        await self._called("feed_position")
        return self.position

    async def changes(self, after: str, wait_s: float) -> Changes:
        """The next of ``feed``, or nothing at the end of the wait."""
        self.asked_after.append(after)
        self.waits_s.append(wait_s)
        await self._called("changes")
        if not self.feed:
            await asyncio.sleep(wait_s)
            return Changes(after, (), lost=False)
        found = self.feed.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def changes_since(self, after: str) -> Changes:
        """The page after it."""
        self.looks.append(after)
        await self._called("changes_since")
        return self.pages.get(after, Changes(after, (), lost=True))

    async def ping(self) -> None:
        """Answers."""
        await self._called("ping")

    async def close(self) -> None:
        """Noted."""
        self.closed = True

    def price(self, symbol: str) -> PriceRecord:
        """The price record of ``symbol``, decoded and checked as the server does."""
        raw = raw_of(self.rows[symbol], "price")
        assert raw is not None
        return decode(PRICE, raw, symbol)

    def views(self, symbol: str, run: str | None = None) -> dict[str, AgentView]:
        """The agent views of ``symbol`` by agent; those of ``run`` alone if it is given."""
        raw = raw_of(self.rows[symbol], "agents")
        record = None if raw is None else decode(AGENTS, raw, symbol)
        return {} if record is None or run not in (None, record.run) else {view.agent: view for view in record.views}


def down() -> StoreError:
    """What a store raises that cannot be reached."""
    return StoreError("l2_error", "refused")
