"""L2 on Redis: a string key for each record, a set of the known symbols, a hash about the newest run, a stream of changes.

Keys, with the prefix ``decide:1``::

    decide:1:{AAPL}:price    msgpack array of the kind that the key ends with, see app.domain.records
    decide:1:symbols         set of the loaded universe
    decide:1:upserted        set of those that no run has brought
    decide:1:run             hash: run, warmed_at_ms, newest_as_of_ms (and newest_key, whose record that is), symbols, bars, bytes
    decide:1:upserts         hash: newest_as_of_ms and at_ms of upserts, and last_id, of the newest entry of values
    decide:1:values          stream of records that changed (kind and symbol: value, empty if taken back), with ``after``, the
                             id of the entry before it; a minute of it
    decide:1:changes         stream of run and changed symbols (``withdrawn``: taken back), at most about 10,000 entries
    decide:1:keys            hash of API keys' records by id, see app.domain.keys

A publication is one Lua script, which Redis runs to its end before it serves anybody else, and which it starts only when all
of the command has arrived. One script touches keys of all symbols, so the store needs one Redis (with replicas if you like),
not a Redis Cluster; Redis 6.2 or newer.
"""

import asyncio
import heapq
from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast

from app.domain.records import KINDS, Kinds
from app.domain.vector import SYMBOL_MAX, is_symbol
from app.errors import RunDamaged, StoreEmpty
from app.slices import names_on_lines
from app.store.protocol import (
    CHANGES_KEPT,
    CHANGES_READ,
    RECORD_MAX_BYTES,
    SYMBOLS_A_CHANGE,
    Changes,
    Published,
    Record,
    Row,
    RunInfo,
    Stored,
    Upserted,
    Withdrawn,
    run_fault,
)
from app.store.redis_client import TOO_LONG, answered, client, unless_too_long
from app.store.redis_feed import NO_CHANGE, Entries, entries_of, position_of, records_of, text_of
from app.store.redis_replies import FeedParser
from app.store.redis_scripts import NEWEST_CHANGE, PUBLISH, READ, READ_HASH, READ_MEMBERS
from app.store.redis_upserts import UPSERT
from app.store.redis_withdrawals import WITHDRAW
from app.store.upserts import checked

_PUBLISH_S = 120.0
_SYMBOLS_AT_ONCE = 1000
_FIELD_MAX_BYTES = 65_536
"""No field of a hash is longer: an API key's record has some hundred bytes, a run's info has less."""


class RedisStore:
    """A `Store` on one Redis. Connections are made when first needed and shared through a bounded pool."""

    kind = "redis"

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        max_connections: int,
        read_timeout_s: float,
        feed_wait_s: float = 1.0,
        password: str = "",
        kinds: Kinds = KINDS,
    ) -> None:
        self._kinds = kinds
        self._cached = tuple(each.name for each in kinds.cached)
        self._prefix = prefix
        self._symbols_key = f"{prefix}:symbols"
        self._run_key = f"{prefix}:run"
        self._changes_key = f"{prefix}:changes"
        self._upserts_key = f"{prefix}:upserts"
        self._values_key = f"{prefix}:values"
        self._keys_key = f"{prefix}:keys"
        self._shared_keys = [f"{prefix}:{name}" for name in ("symbols", "run", "changes", "upserted", "values", "upserts")]
        self._read_timeout_s = read_timeout_s
        self._client = client(url, password, max_connections, read_timeout_s)
        # The feed holds its connection while it waits and a publication takes as long as its data: neither may hold up reads,
        # nor fall under their timeout. A feed that hears nothing beyond its wait must be told so, not left hanging.
        self._feed_client = client(url, password, 2, feed_wait_s + read_timeout_s, FeedParser)
        self._publish_client = client(url, password, 1, _PUBLISH_S)
        self._read = self._client.register_script(READ)
        self._read_hash = self._client.register_script(READ_HASH)
        self._read_members = self._client.register_script(READ_MEMBERS)
        self._newest_change = self._feed_client.register_script(NEWEST_CHANGE)
        self._upsert = self._publish_client.register_script(UPSERT)
        self._was_there = False

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """All that L1 holds of each symbol by one script (`READ`). If one has none, all is read anew with what says why.

        A record is there only while its symbol is in the universe, for one script writes or removes both.
        """
        if not symbols:
            return []
        values = _bounded(await answered(self._read(keys=self._keys_of(symbols), args=[RECORD_MAX_BYTES])))
        found = [Stored(True, records) for records in self._by_kind(values)]  # noqa: FBT003
        if not all(each.records for each in found):
            # An answer is of one moment, so the first one is not mixed with the second.
            found = await self._look_closer(symbols)
        self._was_there = True
        return found

    async def _look_closer(self, symbols: Sequence[str]) -> list[Stored]:
        """The records anew, and whether the universe has the symbols, and whether there is one."""
        # MULTI: a long read arrives at Redis in pieces, and a publication must not come between its commands.
        pipeline = self._client.pipeline(transaction=True)
        await self._read(keys=self._keys_of(symbols), args=[RECORD_MAX_BYTES], client=pipeline)
        pipeline.smismember(self._symbols_key, list(symbols))
        pipeline.exists(self._run_key, self._upserts_key)
        values, known, published = await answered(pipeline.execute())
        values = _bounded(values)
        if not published:
            # Flushed, restarted without its data, or another Redis: that a symbol is not there says nothing of the symbol.
            raise StoreEmpty(f"Redis has neither {self._run_key} nor {self._upserts_key}: nothing was published")
        return [Stored(bool(is_known), records) for is_known, records in zip(known, self._by_kind(values), strict=True)]

    def _keys_of(self, symbols: Sequence[str]) -> list[str]:
        return [self._record_key(name, symbol) for symbol in symbols for name in self._cached]

    def _by_kind(self, values: list[bytes | None]) -> list[dict[str, bytes]]:
        """The values of `_keys_of`, by kind, for each symbol."""
        names, step = self._cached, len(self._cached)
        return [
            {name: value for name, value in zip(names, values[first : first + step], strict=True) if value is not None}
            for first in range(0, len(values), step)
        ]

    async def publish_run(self, rows: Sequence[Row], info: RunInfo, *, prune: bool = False) -> Published:
        """One script for all of it: `PUBLISH`."""
        keys = [*self._shared_keys]
        kinds = [(each.name, tuple(part.name for part in self._kinds.parts_of(each))) for each in self._kinds.of_runs]
        most_parts = max(len(parts) for _, parts in kinds)
        arguments: list[str | bytes | int] = [
            *(info.run, info.warmed_at_ms, info.newest_as_of_ms, info.bars, info.bytes),
            *(int(prune), CHANGES_KEPT, SYMBOLS_A_CHANGE, self._prefix),
            "\n".join(" ".join((name, *parts)) for name, parts in kinds),
            " ".join("*" * each.carries_value + each.name for each in self._kinds.of_symbols),
        ]
        for symbol, records in rows:
            for name, parts in kinds:
                written = records.get(name)
                if written is not None:
                    keys.append(self._record_key(name, symbol))
                    arguments += [symbol, name, written.as_of_ms, written.value]
                    found = [records[part].value if part in records else b"" for part in parts]
                    arguments += [*found, *[b""] * (most_parts - len(found))]
        written, kept_newer, pruned, last_id = await answered(
            cast("Any", self._publish_client.eval(PUBLISH, len(keys), *keys, *cast("list[str]", arguments)))
        )
        return Published(written=written, kept_newer=kept_newer, pruned=pruned, change_id=last_id.decode())

    async def withdraw(self, *, symbols: Sequence[str] = (), run: str = "") -> Withdrawn:
        """One script for all of it: `WITHDRAW`."""
        keys = [*self._shared_keys]
        whole = [each for each in self._kinds.of_symbols if not each.part_of]
        lines = [
            ("*" if kind in self._kinds.of_runs else "") + " ".join(each.name for each in (kind, *self._kinds.parts_of(kind)))
            for kind in whole
        ]
        arguments = [self._prefix, run, str(CHANGES_KEPT), str(SYMBOLS_A_CHANGE), "\n".join(lines), *symbols]
        taken, counts, runs, unknown, left, newest_ms, newest_symbol, newest_run, last_id = await answered(
            cast("Any", self._publish_client.eval(WITHDRAW, len(keys), *keys, *arguments))
        )
        return Withdrawn(
            symbols=tuple(sorted(map(_text, taken))),
            records={kind.name: count for kind, count in zip(whole, counts, strict=True)},
            runs=tuple(sorted(map(_text, runs))),
            unknown=tuple(map(_text, unknown)),
            symbols_left=left,
            newest_as_of_ms=int(newest_ms),
            newest_symbol=_text(newest_symbol),
            newest_run=_text(newest_run),
            change_id=_text(last_id),
        )

    async def upsert(self, records: Sequence[Record]) -> Upserted:
        """One script for all of it: `UPSERT`."""
        arguments: list[str | bytes | int] = [self._prefix, CHANGES_KEPT, SYMBOLS_A_CHANGE]
        for each in checked(self._kinds, records):
            kind = self._kinds.by_name[each.kind]
            arguments += (each.kind, each.key, kind.scope, int(kind.carries_value), each.as_of_ms, each.sequence, each.value)
            arguments.append(len(each.parts))
            for part, value in each.parts.items():
                arguments += (part, value or b"")
        return Upserted(*await answered(self._upsert(keys=self._shared_keys, args=cast("Any", arguments))))

    async def record(self, kind: str, key: str) -> bytes | None:
        """One value, bounded as those of decisions are."""
        keys = [self._record_key(kind, key)]
        return _bounded(await answered(self._read(keys=keys, args=[RECORD_MAX_BYTES])))[0]

    async def run_info(self) -> RunInfo | None:
        """The newest publication's info."""
        found, place = await self._hash(self._run_key), self._run_key
        try:
            if found:
                numbers = {name: int(found[name.encode()]) for name in RunInfo.__struct_fields__ if name != "run"}
                info = RunInfo(run=found[b"run"].decode(), **numbers)
            else:
                # Where there was no run, what upserts leave stands for its info.
                place = self._upserts_key
                pipeline = self._client.pipeline(transaction=True)
                pipeline.hmget(place, ("at_ms", "newest_as_of_ms"))
                pipeline.scard(self._symbols_key)
                (at_ms, newest_as_of_ms), symbols = await answered(pipeline.execute())
                if at_ms is None:
                    return None
                info = RunInfo("", int(at_ms), int(newest_as_of_ms), symbols, 0, 0)
        except (KeyError, TypeError, ValueError) as error:
            raise RunDamaged(f"{place} is not a run's info: {error}") from error
        fault = run_fault(info)
        if fault is not None:
            raise RunDamaged(f"{place} is not a run's info: {fault}")
        return info

    async def symbols(self) -> list[str]:
        """The loaded universe, sorted."""
        # In parts, and put together in parts: 100,000 names at once, and sorting them, would hold up the event loop.
        parts: list[list[str]] = []
        cursor = b"0"
        while True:
            part: list[bytes | int] = [cursor, _SYMBOLS_AT_ONCE, SYMBOL_MAX]
            cursor, *found = await answered(self._read_members(keys=[self._symbols_key], args=part))
            # Nobody can ask for what is no symbol, whoever has put it there.
            parts.append(sorted(filter(is_symbol, (member.decode("ascii", "replace") for member in found))))
            if cursor == b"0":
                break
        symbols: list[str] = []
        # A scan may name a member twice.
        for number, (symbol, _) in enumerate(groupby(heapq.merge(*parts)), 1):
            symbols.append(symbol)
            if number % _SYMBOLS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return symbols

    async def feed_position(self) -> str:
        """Id of the newest change there ever was, trimmed or not (``0-0`` without a stream), and of the newest that carries
        values, if there was one.
        """
        return text_of(await self._newest_id(), await self._newest_value())

    async def _newest_id(self) -> str:
        newest = await answered(self._newest_change(keys=[self._changes_key]))
        return NO_CHANGE if newest is None else _text(newest)

    async def _newest_value(self) -> str:
        found = await answered(cast("Any", self._feed_client.hget(self._upserts_key, "last_id")))
        return NO_CHANGE if found is None else _text(found)

    async def changes(self, after: str, wait_s: float) -> Changes:
        """XREAD BLOCK from ``after``; then see whether ``after`` itself is still there.

        If it is not, and is not the newest that there was, entries behind it may be gone too (trimmed, flushed, another Redis):
        the answer says ``lost``. So it does of the first entries that come where there was no stream: nothing tells whether they
        are the first. And where there is none still, but something was read meanwhile, it came and went unheard. An entry that
        carries values says itself which one was before it.
        """
        after_id, after_value_id = position_of(after) or (after, NO_CHANGE)
        # Redis ends waits ten times a second: the shortest one takes up to 100 ms, so no wait must be none.
        block_ms = max(1, int(wait_s * 1000)) if wait_s > 0 else None
        streams = {self._changes_key: after_id, self._values_key: after_value_id}
        feed, key, newest_value_id = self._feed_client, self._changes_key, await self._newest_value()
        answer = await answered(unless_too_long(feed.xread(cast("Any", streams), count=CHANGES_READ, block=block_ms)))
        if answer is TOO_LONG:
            # As below: not an entry of ours.
            return Changes(await self.feed_position(), (), lost=True)
        entries, of_values = (entries_of(answer, each.encode()) for each in streams)
        values, last_value_id, values_lost = self._values(of_values, after_value_id, newest_value_id)
        # If it is too long to be read, it is there.
        lost = not await answered(unless_too_long(feed.xrange(key, after_id, after_id, count=1)))
        if lost and not entries:
            after_id, lost = await self._look_at_end(after_id)
        try:
            symbols = await names_on_lines(fields.get(b"symbols", b"") for _, fields in entries)
            withdrawn = await names_on_lines(fields.get(b"symbols", b"") for _, fields in entries if fields.get(b"withdrawn"))
        except UnicodeDecodeError:
            # Not an entry of ours. What it was meant to say cannot be known, so anything may have changed.
            symbols, withdrawn, lost = (), (), True
        # An entry's id begins with Redis's time.
        published_ms = min((int(some[0][0].split(b"-")[0]) for some in (entries, of_values) if some), default=None)
        last_id = text_of(entries[-1][0].decode() if entries else after_id, last_value_id)
        more = CHANGES_READ in (len(entries), len(of_values))
        return Changes(last_id, symbols, lost or values_lost, published_ms, more, withdrawn, values)

    async def _look_at_end(self, after_id: str) -> tuple[str, bool]:
        """Where nothing came, and ``after_id`` is not there: the id to go on from, and whether something is lost."""
        newest_id = await self._newest_id()
        gone = newest_id == NO_CHANGE and self._was_there
        emptied = gone and not await answered(self._feed_client.exists(self._run_key, self._upserts_key))
        self._was_there = self._was_there and not emptied
        return newest_id, newest_id != after_id or emptied

    @staticmethod
    def _values(entries: Entries, after_id: str, newest_id: str) -> tuple[tuple[Record, ...], str, bool]:
        """The records that came, the id to go on from, and whether some are lost. ``newest_id`` was so before the read."""
        if not entries:
            # If it is another one, it was there and is gone, with or without others.
            return (), newest_id, newest_id != after_id
        records, last_id = records_of(entries), entries[-1][0].decode()
        # What an entry that is not ours was meant to say cannot be known, so anything may have changed.
        return records or (), last_id, records is None or entries[0][1].get(b"after") != after_id.encode()

    async def changes_since(self, after: str) -> Changes:
        """The same; here the feed keeps nothing in the store that another reader could take from it."""
        if position_of(after) is None:
            return Changes(after, (), lost=True)
        was_there = self._was_there
        changes = await self.changes(after, 0.0)
        self._was_there |= was_there
        return changes

    async def ping(self) -> None:
        """PING."""
        await answered(cast("Any", self._client.ping()))

    async def keys(self) -> dict[str, bytes]:
        """What has no text for a name is no key of ours."""
        found = await self._hash(self._keys_key)
        return {key_id.decode("ascii", "replace"): record for key_id, record in found.items()}

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        """What stands there, but for names and values that are too long to be ours."""
        found = await answered(self._read_hash(keys=[key], args=[_FIELD_MAX_BYTES]))
        return dict(zip(found[::2], found[1::2], strict=True))

    async def put_key(self, key_id: str, record: bytes) -> None:
        """HSET."""
        await answered(cast("Any", self._client.hset(self._keys_key, key_id, cast("str", record))))

    async def remove_key(self, key_id: str) -> bool:
        """HDEL."""
        return bool(await answered(cast("Any", self._client.hdel(self._keys_key, key_id))))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self._feed_client.aclose()
        await self._publish_client.aclose()

    def _record_key(self, kind: str, key: str) -> str:
        # The braces are Redis Cluster's hash tag: all records of a symbol would live on one node.
        return f"{self._prefix}:{{{key}}}:{kind}"


def _bounded(values: list[bytes | None]) -> list[bytes | None]:
    """``values``, with nothing that can be read in the place of one that is too long."""
    return [b"" if value is not None and len(value) > RECORD_MAX_BYTES else value for value in values]


def _text(raw: bytes) -> str:
    """As it stands there, and as nearly as it can be shown where it is no text."""
    return raw.decode("utf-8", "replace")
