"""Buckets that keep the rate while the shared ones do not answer.

Each worker has buckets of its own beside those on Redis, and whatever it takes out there it takes out of its own as well. While
Redis does not answer, its own buckets answer. They know what the caller has had from this worker, so no outage and no end of one
gives anybody a full bucket again. The rate then holds for each worker by itself. A look in the background, once a second, finds
Redis again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from app.errors import StoreError, Told, tell_nobody
from app.http.limits import Bucket, Drawn

_LOOK_S = 1.0
_ROUNDING_S = 0.01
_NOBODY = "nobody"
"""Whose bucket is looked at: a caller's own may hold rubbish, and would cost the caller tokens."""


class OutageMeters(Protocol):
    """What is reported."""

    def limit_failed(self) -> None:
        """The shared bucket could not be asked."""
        ...


class SteadyBuckets:
    """A `Bucket` that always answers. Belongs to one event loop."""

    def __init__(
        self,
        shared: Bucket,
        own: Bucket,
        meters: OutageMeters,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tell: Told = tell_nobody,
    ) -> None:
        self._tell = tell
        self._shared = shared
        self._own = own
        self._meters = meters
        self._sleep = sleep
        self._looking: asyncio.Task[None] | None = None

    async def draw(self, caller: str, tokens: int) -> Drawn:
        """From the shared bucket, or from this worker's own while that does not answer."""
        if self._looking is None:
            try:
                drawn = await self._shared.draw(caller, tokens)
            except StoreError as error:
                self._failed(error)
                self._looking = self._looking or asyncio.get_running_loop().create_task(self._look())
            else:
                self._tell(None)
                if not drawn.given:
                    return drawn
                own = await self._own.draw(caller, tokens)
                if not own.given and own.retry_in_s < _ROUNDING_S:
                    # The two go by different clocks, so they may differ by a little. That is waited for and not let pass: what
                    # the own bucket is not charged for could be had again and again, of a shared one that an outage has filled.
                    await asyncio.sleep(_ROUNDING_S)
                    own = await self._own.draw(caller, tokens)
                return drawn if own.given else own
        return await self._own.draw(caller, tokens)

    async def close(self) -> None:
        """Give back connections, and stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))
        await self._shared.close()
        await self._own.close()

    def _failed(self, error: StoreError) -> None:
        self._tell(error)
        self._meters.limit_failed()

    async def _look(self) -> None:
        try:
            while True:
                await self._sleep(_LOOK_S)
                try:
                    await self._shared.draw(_NOBODY, 1)
                except StoreError as error:
                    self._failed(error)
                else:
                    return
        finally:
            self._looking = None
