"""A store that fails as it is told to: errors, delays, hangs and spoilt values, by chance from a seed or by hand."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.errors import StoreError
from app.store.protocol import Changes, Published, Row, RunInfo, Store, Stored

T = TypeVar("T")


@dataclass
class Chances:
    """Of each call: to fail, to take up to ``delay_s`` longer, to hang until `FaultyStore.release`; of each record: to be
    spoilt.
    """

    error: float = 0.0
    delay: float = 0.0
    hang: float = 0.0
    corrupt: float = 0.0
    delay_s: float = 0.01


class FaultyStore:
    """A `Store` around another. The same seed and the same calls fail alike. ``chances`` may be changed at any time; ``down``
    makes every call fail, ``silent`` those of the feed; ``held`` makes the next read wait, after it has read, until `release`.
    """

    def __init__(self, inner: Store, seed: int = 1, chances: Chances | None = None) -> None:
        self.inner = inner
        self.kind = inner.kind
        self.chances = chances or Chances()
        self.down = False
        self.silent = False
        self.held = False
        self.hanging = 0
        self._random = random.Random(seed)
        self._gate = asyncio.Event()

    def release(self) -> None:
        """Let go on whatever hangs or is held; what comes later is not."""
        self.held = False
        self._gate.set()
        self._gate = asyncio.Event()

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """Spoilt record by record."""
        answers = await self._spoilt(lambda: self.inner.get_many(symbols))
        if self.held:
            self.held = False
            await self._hang()
        return [each._replace(records={kind: self._bytes(value) for kind, value in each.records.items()}) for each in answers]

    async def publish_run(self, rows: Sequence[Row], info: RunInfo, *, prune: bool = False) -> Published:
        """Untouched."""
        return await self.inner.publish_run(rows, info, prune=prune)

    async def record(self, kind: str, key: str) -> bytes | None:
        """Spoilt as those of decisions are."""
        return self._value(await self._spoilt(lambda: self.inner.record(kind, key)))

    async def run_info(self) -> RunInfo | None:
        """Spoilt."""
        return await self._spoilt(self.inner.run_info)

    async def symbols(self) -> list[str]:
        """Spoilt."""
        return await self._spoilt(self.inner.symbols)

    async def feed_position(self) -> str:
        """Spoilt."""
        self._listen()
        return await self._spoilt(self.inner.feed_position)

    async def changes(self, after: str, wait_s: float) -> Changes:
        """Spoilt."""
        self._listen()
        return await self._spoilt(lambda: self.inner.changes(after, wait_s))

    async def changes_since(self, after: str) -> Changes:
        """Spoilt."""
        return await self._spoilt(lambda: self.inner.changes_since(after))

    async def ping(self) -> None:
        """Spoilt."""
        await self._spoilt(self.inner.ping)

    async def close(self) -> None:
        """Untouched."""
        self.release()
        await self.inner.close()

    def _listen(self) -> None:
        if self.silent:
            raise StoreError("l2_error", "told to be silent")

    async def _spoilt(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._random.random() < self.chances.delay:
            await asyncio.sleep(self.chances.delay_s * self._random.random())
        # The chances of now, not of before the delay: what has dawdled past the last `release` would hang for ever.
        if self._random.random() < self.chances.hang:
            await self._hang()
        if self.down or self._random.random() < self.chances.error:
            raise StoreError("l2_error", "told to fail")
        return await call()

    async def _hang(self) -> None:
        self.hanging += 1
        await self._gate.wait()
        self.hanging -= 1

    def _value(self, value: bytes | None) -> bytes | None:
        return None if value is None else self._bytes(value)

    def _bytes(self, value: bytes) -> bytes:
        if self._random.random() >= self.chances.corrupt:
            return value
        kind = self._random.randrange(4)
        if kind == 0:
            return value[: self._random.randrange(len(value))]
        if kind == 1:
            return self._random.randbytes(len(value))
        if kind == 2:
            return b""
        # Every byte right but one, in the fingerprint: another schema.
        return value[:2] + bytes([value[2] ^ 1]) + value[3:]
