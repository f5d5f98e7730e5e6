"""L2 on Redis: three string keys a symbol, a set of the known symbols, a hash about the newest run, a stream of changes.

Keys, with the prefix ``decide:1``::

    decide:1:{AAPL}:price    msgpack array, see app.domain.vector.PriceRecord
    decide:1:{AAPL}:agents   msgpack array, AgentRecord
    decide:1:{AAPL}:history  msgpack array, HistoryRecord; comes and goes with the price
    decide:1:symbols         set of the loaded universe
    decide:1:run             hash: run, warmed_at_ms, newest_as_of_ms (and newest_key, whose record that is), symbols, bars, bytes
    decide:1:changes         stream of run and changed symbols (``withdrawn``: taken back), at most about 10,000 entries
    decide:1:keys            hash of API keys' records by id, see app.domain.keys

A publication is one Lua script, which Redis runs to its end before it serves anybody else, and which it starts only when all
of the command has arrived. One script touches keys of all symbols, so the store needs one Redis (with replicas if you like),
not a Redis Cluster; Redis 6.2 or newer.
"""

import asyncio
import heapq
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast

from app.domain.vector import SYMBOL_MAX, is_symbol
from app.errors import RunDamaged, StoreBusy, StoreEmpty, StoreError, StoreRefused
from app.slices import names_on_lines
from app.store.protocol import (
    CHANGES_KEPT,
    CHANGES_READ,
    RECORD_MAX_BYTES,
    SYMBOLS_A_CHANGE,
    Changes,
    Published,
    Row,
    RunInfo,
    Stored,
    Withdrawn,
    run_fault,
)
from app.store.redis_replies import BoundedParser, FeedParser, ReplyTooLong
from app.store.redis_scripts import NEWEST_CHANGE, PUBLISH, READ, READ_HASH, READ_MEMBERS
from app.store.redis_withdrawals import WITHDRAW
from app.withheld import withheld

with withheld("opentelemetry"):
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, RedisError, ResponseError

_PUBLISH_S = 120.0
_SYMBOLS_AT_ONCE = 1000
_FIELD_MAX_BYTES = 65_536
"""No field of a hash is longer: an API key's record has some hundred bytes, a run's info has less."""
_NO_CHANGE = "0-0"
_is_change_id = re.compile(r"[0-9]{1,18}-[0-9]{1,18}").fullmatch


class RedisStore:
    """A `Store` on one Redis. Connections are made when first needed and shared through a bounded pool."""

    kind = "redis"

    def __init__(
        self, url: str, *, prefix: str, max_connections: int, read_timeout_s: float, feed_wait_s: float = 1.0, password: str = ""
    ) -> None:
        self._prefix = prefix
        self._symbols_key = f"{prefix}:symbols"
        self._run_key = f"{prefix}:run"
        self._changes_key = f"{prefix}:changes"
        self._keys_key = f"{prefix}:keys"
        self._read_timeout_s = read_timeout_s
        self._client = _client(url, password, max_connections, read_timeout_s)
        # The feed holds its connection while it waits and a publication takes as long as its data: neither may hold up reads,
        # nor fall under their timeout. A feed that hears nothing beyond its wait must be told so, not left hanging.
        self._feed_client = _client(url, password, 2, feed_wait_s + read_timeout_s, FeedParser)
        self._publish_client = _client(url, password, 1, _PUBLISH_S)
        self._read = self._client.register_script(READ)
        self._read_hash = self._client.register_script(READ_HASH)
        self._read_members = self._client.register_script(READ_MEMBERS)
        self._newest_change = self._feed_client.register_script(NEWEST_CHANGE)
        self._was_there = False

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """Both records of each symbol by one script (`READ`). If one has neither, all is read anew with what says why.

        A record is there only while its symbol is in the universe, for one script writes or removes both.
        """
        if not symbols:
            return []
        values = _bounded(await _answered(self._read(keys=self._keys_of(symbols), args=[RECORD_MAX_BYTES])))
        found = [Stored(True, price, agents) for price, agents in zip(values[::2], values[1::2], strict=True)]  # noqa: FBT003
        if any(each.price is None and each.agents is None for each in found):
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
        pipeline.exists(self._run_key)
        values, known, published = await _answered(pipeline.execute())
        values = _bounded(values)
        if not published:
            # Flushed, restarted without its data, or another Redis: that a symbol is not there says nothing of the symbol.
            raise StoreEmpty(f"Redis has no {self._run_key}: nothing was published")
        return [
            Stored(known=bool(known[index]), price=values[2 * index], agents=values[2 * index + 1])
            for index in range(len(symbols))
        ]

    def _keys_of(self, symbols: Sequence[str]) -> list[str]:
        return [key for symbol in symbols for key in self._record_keys(symbol)]

    async def publish(self, rows: Sequence[Row], info: RunInfo, *, prune: bool = False) -> Published:
        """One script for all of it: `PUBLISH`."""
        keys = [self._symbols_key, self._run_key, self._changes_key]
        arguments: list[str | bytes | int] = [
            *(info.run, info.warmed_at_ms, info.newest_as_of_ms, info.bars, info.bytes),
            *(int(prune), CHANGES_KEPT, SYMBOLS_A_CHANGE, self._prefix),
        ]
        for row in rows:
            price_key, agents_key = self._record_keys(row.symbol)
            if row.price is not None and row.price_as_of_ms is not None:
                keys.append(price_key)
                arguments += [row.symbol, row.price_as_of_ms, row.price, row.history or b""]
            if row.agents is not None and row.agents_as_of_ms is not None:
                keys.append(agents_key)
                arguments += [row.symbol, row.agents_as_of_ms, row.agents, b""]
        written, kept_newer, pruned, last_id = await _answered(
            cast("Any", self._publish_client.eval(PUBLISH, len(keys), *keys, *cast("list[str]", arguments)))
        )
        return Published(written=written, kept_newer=kept_newer, pruned=pruned, change_id=last_id.decode())

    async def withdraw(self, *, symbols: Sequence[str] = (), run: str = "") -> Withdrawn:
        """One script for all of it: `WITHDRAW`."""
        keys = [self._symbols_key, self._run_key, self._changes_key]
        arguments = [self._prefix, run, str(CHANGES_KEPT), str(SYMBOLS_A_CHANGE), *symbols]
        taken, price, agents, runs, unknown, left, newest_ms, newest_symbol, newest_run, last_id = await _answered(
            cast("Any", self._publish_client.eval(WITHDRAW, len(keys), *keys, *arguments))
        )
        return Withdrawn(
            *(tuple(sorted(map(_text, taken))), price, agents, tuple(sorted(map(_text, runs))), tuple(map(_text, unknown)), left),
            *(int(newest_ms), _text(newest_symbol), _text(newest_run), _text(last_id)),
        )

    async def history(self, symbol: str) -> bytes | None:
        """One value, bounded as those of decisions are."""
        keys = [f"{self._prefix}:{{{symbol}}}:history"]
        return _bounded(await _answered(self._read(keys=keys, args=[RECORD_MAX_BYTES])))[0]

    async def run_info(self) -> RunInfo | None:
        """The newest publication's info."""
        found = await self._hash(self._run_key)
        if not found:
            return None
        try:
            numbers = {name: int(found[name.encode()]) for name in RunInfo.__struct_fields__ if name != "run"}
            info = RunInfo(run=found[b"run"].decode(), **numbers)
        except (KeyError, ValueError) as error:
            raise RunDamaged(f"{self._run_key} is not a run's info: {error}") from error
        fault = run_fault(info)
        if fault is not None:
            raise RunDamaged(f"{self._run_key} is not a run's info: {fault}")
        return info

    async def symbols(self) -> list[str]:
        """The loaded universe, sorted."""
        # In parts, and put together in parts: 100,000 names at once, and sorting them, would hold up the event loop.
        parts: list[list[str]] = []
        cursor = b"0"
        while True:
            part: list[bytes | int] = [cursor, _SYMBOLS_AT_ONCE, SYMBOL_MAX]
            cursor, *found = await _answered(self._read_members(keys=[self._symbols_key], args=part))
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
        """Id of the newest change there ever was, trimmed or not; ``0-0`` without a stream."""
        newest = await _answered(self._newest_change(keys=[self._changes_key]))
        return _NO_CHANGE if newest is None else _text(newest)

    async def changes(self, after: str, wait_s: float) -> Changes:
        """XREAD BLOCK from ``after``; then see whether ``after`` itself is still there.

        If it is not, and is not the newest that there was, entries behind it may be gone too (trimmed, flushed, another Redis):
        the answer says ``lost``. So it does of the first entries that come where there was no stream: nothing tells whether they
        are the first. And where there is none still, but something was read meanwhile, it came and went unheard.
        """
        # Redis ends waits ten times a second: the shortest one takes up to 100 ms, so no wait must be none.
        block_ms = max(1, int(wait_s * 1000)) if wait_s > 0 else None
        feed, key = self._feed_client, self._changes_key
        answer = await _answered(_unless_too_long(feed.xread({key: after}, count=CHANGES_READ, block=block_ms)))
        if answer is _TOO_LONG:
            # As below: not an entry of ours.
            return Changes(await self.feed_position(), (), lost=True)
        entries = _entries(answer)
        # If it is too long to be read, it is there.
        lost = not await _answered(_unless_too_long(feed.xrange(key, after, after, count=1)))
        if lost and not entries:
            newest_id = await self.feed_position()
            gone = newest_id == _NO_CHANGE and self._was_there
            emptied = gone and not await _answered(self._feed_client.exists(self._run_key))
            self._was_there = self._was_there and not emptied
            return Changes(last_id=newest_id, symbols=(), lost=newest_id != after or emptied)
        try:
            symbols = await names_on_lines(fields.get(b"symbols", b"") for _, fields in entries)
            withdrawn = await names_on_lines(fields.get(b"symbols", b"") for _, fields in entries if fields.get(b"withdrawn"))
        except UnicodeDecodeError:
            # Not an entry of ours. What it was meant to say cannot be known, so anything may have changed.
            symbols, withdrawn, lost = (), (), True
        # An entry's id begins with Redis's time.
        published_ms = int(entries[0][0].split(b"-")[0]) if entries else None
        last_id = entries[-1][0].decode() if entries else after
        more = len(entries) == CHANGES_READ
        return Changes(last_id, symbols, lost, published_ms, more, withdrawn)

    async def changes_since(self, after: str) -> Changes:
        """The same; here the feed keeps nothing in the store that another reader could take from it."""
        if not _is_change_id(after):
            return Changes(after, (), lost=True)
        was_there = self._was_there
        changes = await self.changes(after, 0.0)
        self._was_there |= was_there
        return changes

    async def ping(self) -> None:
        """PING."""
        await _answered(cast("Any", self._client.ping()))

    async def keys(self) -> dict[str, bytes]:
        """What has no text for a name is no key of ours."""
        found = await self._hash(self._keys_key)
        return {key_id.decode("ascii", "replace"): record for key_id, record in found.items()}

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        """What stands there, but for names and values that are too long to be ours."""
        found = await _answered(self._read_hash(keys=[key], args=[_FIELD_MAX_BYTES]))
        return dict(zip(found[::2], found[1::2], strict=True))

    async def put_key(self, key_id: str, record: bytes) -> None:
        """HSET."""
        await _answered(cast("Any", self._client.hset(self._keys_key, key_id, cast("str", record))))

    async def remove_key(self, key_id: str) -> bool:
        """HDEL."""
        return bool(await _answered(cast("Any", self._client.hdel(self._keys_key, key_id))))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self._feed_client.aclose()
        await self._publish_client.aclose()

    def _record_keys(self, symbol: str) -> tuple[str, str]:
        # The braces are Redis Cluster's hash tag: both records of a symbol would live on one node.
        return f"{self._prefix}:{{{symbol}}}:price", f"{self._prefix}:{{{symbol}}}:agents"


def _bounded(values: list[bytes | None]) -> list[bytes | None]:
    """``values``, with nothing that can be read in the place of one that is too long."""
    return [b"" if value is not None and len(value) > RECORD_MAX_BYTES else value for value in values]


def _client(
    url: str, password: str, max_connections: int, timeout_s: float, parser: type[BoundedParser] = BoundedParser
) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        # One in the URL would win; the settings refuse both.
        password=password or None,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, 2.0),
        # One retry, at once: a connection the server closed while idle fails on its next use. The client's own defaults (ten
        # retries of five seconds) would hold a request for a minute.
        retry=Retry(NoBackoff(), 1),
        client_name="decide",
        parser_class=parser,
    )
    return Redis.from_pool(pool)


async def _answered(command: Any) -> Any:  # noqa: ANN401 - redis-py's replies have no narrower type than what was asked for
    """The reply, with everything that can go wrong between here and Redis as one error of ours."""
    try:
        return await command
    except (AuthenticationError, NoPermissionError) as error:
        raise StoreRefused(
            f"Redis does not accept the credentials in REDIS_URL, REDIS_PASSWORD or their files: {error}"
        ) from error
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        # While a script runs for long, and while Redis reads its data after a start.
        if isinstance(error, BusyLoadingError) or (isinstance(error, ResponseError) and str(error).startswith("BUSY ")):
            raise StoreBusy(f"Redis: {error}") from error
        raise StoreError("l2_error", f"Redis: {type(error).__name__}: {error}") from error


_TOO_LONG = [b"too long"]


async def _unless_too_long(command: Any) -> Any:  # noqa: ANN401 - as above
    """The reply, or `_TOO_LONG`."""
    try:
        return await command
    except ReplyTooLong:
        return _TOO_LONG


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # noqa: ANN401 - RESP2 and RESP3 differ in shape
    """The stream's entries from XREAD's reply: a list of pairs in RESP2, a dict of nested lists in RESP3."""
    if not answer:
        return []
    if isinstance(answer, dict):
        batches = next(iter(answer.values()))
        return [entry for batch in batches for entry in batch] if isinstance(batches[0], list) else batches
    return list(answer[0][1])


def _text(raw: bytes) -> str:
    """As it stands there, and as nearly as it can be shown where it is no text."""
    return raw.decode("utf-8", "replace")
