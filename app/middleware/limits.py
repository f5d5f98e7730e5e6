"""How many decisions a caller may ask for: a token bucket for each, shared by all servers on one Redis.

The bucket itself is a library's (`app.middleware.buckets`). Asking it takes microseconds in the process and a round trip on
Redis, and a decision from memory waits for nothing; so each worker takes tokens out in advance and spends them by itself. How
many follows from what the caller does: one at first, twice as many whenever they were spent within half a second, a tenth of the
bucket at most. What is not spent within a second is given up, so the workers together never let more pass than the bucket holds.
When few are left, more are fetched in the background.

When the bucket cannot be asked, whoever comes is let in for a second, and counted: an outage of Redis must not be one of ours.
"""

import asyncio
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

from cachetools import FIFOCache

from app.errors import Problem, StoreError

_CALLERS = 65_536
_SPENT_SOON_S = 0.5
_KEPT_S = 1.0
_LET_IN_S = 1.0
_SHARE = 10
"""A worker takes out at most a tenth of a bucket at once."""


class Drawn(NamedTuple):
    """What a bucket answered: whether the tokens were there, how many there are now, seconds until it is full, and until it has
    what was asked for.
    """

    given: bool
    remaining: int
    full_in_s: float
    retry_in_s: float


class Bucket(Protocol):
    """Token buckets by caller."""

    async def draw(self, caller: str, tokens: int) -> Drawn:
        """Take ``tokens`` out, or none. Raises `app.errors.StoreError` if it cannot be asked."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


class LimitMeters(Protocol):
    """What the limiter reports."""

    def limit_refused(self) -> None:
        """A request was refused."""
        ...

    def limit_failed(self) -> None:
        """The bucket could not be asked."""
        ...


class _Account:
    """What one caller has in this worker: tokens ``left`` of those taken out at ``drawn_at``, when the bucket was left with
    ``remaining``. ``block`` is how many are taken out next, ``refused`` how many were not to be had until ``refused_until``.
    """

    __slots__ = ("ahead", "block", "drawn_at", "full_in_s", "left", "lock", "low", "refused", "refused_until", "remaining")

    def __init__(self) -> None:
        self.left = self.low = self.remaining = 0
        self.block = 1
        self.drawn_at = self.refused_until = -math.inf
        self.full_in_s = 0.0
        self.refused = 0
        self.ahead = False
        self.lock = asyncio.Lock()


Header = tuple[bytes, bytes]


class Limiter:
    """One a worker."""

    def __init__(self, bucket: Bucket, meters: LimitMeters, *, per_s: float, burst: int, clock: Callable[[], float]) -> None:
        self._bucket = bucket
        self._meters = meters
        self.burst = burst
        self._clock = clock
        self._most = max(1, burst // _SHARE)
        self._accounts: FIFOCache[str, _Account] = FIFOCache(_CALLERS)
        self._let_in_until = -math.inf
        self._tasks: set[asyncio.Task[None]] = set()
        self._policy = (b"ratelimit-policy", b'"default";q=%d;w=%d' % (burst, math.ceil(burst / per_s)))

    def spend(self, caller: str) -> list[Header] | None:
        """The headers of the answer, if a token is at hand; None if `draw` must see. Awaits nothing."""
        try:
            account = self._accounts[caller]
        except KeyError:
            return None
        if account.left < 1 or self._clock() - account.drawn_at > _KEPT_S:
            return None
        account.left -= 1
        if account.left == account.low and not account.ahead and account.block > 1:
            self._draw_ahead(caller, account)
        return [self._policy, (b"ratelimit", b'"default";r=%d;t=%d' % (account.remaining + account.left, account.full_in_s))]

    async def draw(self, caller: str, tokens: int = 1) -> list[Header]:
        """Pay ``tokens``, with what is at hand or from the bucket; more than a whole bucket counts as one. The answer's headers.

        Raises:
            Problem: 429 if they are not to be had.
        """
        tokens = min(tokens, self.burst)
        try:
            account = self._accounts[caller]
        except KeyError:
            account = self._accounts[caller] = _Account()
        async with account.lock:
            while not self._at_hand(account, tokens):
                if self._clock() < self._let_in_until:
                    return [self._policy]
                try:
                    await self._fill(caller, account, tokens)
                except Problem:
                    self._meters.limit_refused()
                    raise
            account.left -= tokens
        return [self._policy, (b"ratelimit", b'"default";r=%d;t=%d' % (account.remaining + account.left, account.full_in_s))]

    async def close(self) -> None:
        """Wait for what is under way, and let the bucket go."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._bucket.close()

    def _at_hand(self, account: _Account, tokens: int) -> bool:
        if self._clock() - account.drawn_at > _KEPT_S:
            account.left = 0
        return account.left >= tokens

    def _draw_ahead(self, caller: str, account: _Account) -> None:
        account.ahead = True
        task = asyncio.get_running_loop().create_task(self._ahead(caller, account))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ahead(self, caller: str, account: _Account) -> None:
        try:
            async with account.lock:
                await self._fill(caller, account, account.left + 1)
        except Problem:
            # Whoever comes after the last one is told.
            pass
        finally:
            account.ahead = False

    async def _fill(self, caller: str, account: _Account, tokens: int) -> None:
        """Take out what ``tokens`` need, and more if the caller spends fast.

        Raises:
            Problem: 429.
        """
        now = self._clock()
        need = tokens - account.left
        if now < account.refused_until and need >= account.refused:
            # The bucket has said so: who asks again and again is no burden to it.
            raise self._refusal(account.refused_until - now)
        block = min(self._most, 2 * account.block) if now - account.drawn_at < _SPENT_SOON_S else 1
        want = max(need, block)
        try:
            drawn = await self._bucket.draw(caller, want)
            if not drawn.given and want > need:
                want = max(need, min(want, drawn.remaining))
                drawn = await self._bucket.draw(caller, want)
        except StoreError:
            self._meters.limit_failed()
            self._let_in_until = now + _LET_IN_S
            return
        account.remaining = drawn.remaining
        account.full_in_s = drawn.full_in_s
        if not drawn.given:
            account.refused, account.refused_until = want, now + drawn.retry_in_s
            raise self._refusal(drawn.retry_in_s)
        account.left += want
        account.low = account.left // 4
        account.block = block
        account.drawn_at = now

    def _refusal(self, retry_in_s: float) -> Problem:
        wait_s = max(1, math.ceil(retry_in_s))
        policy_name, policy = (each.decode() for each in self._policy)
        return Problem(
            429,
            "rate-limited",
            "Too many requests",
            f"more decisions were asked for than this caller may have; try again in {wait_s} s",
            headers=(("Retry-After", str(wait_s)), (policy_name, policy), ("RateLimit", f'"default";r=0;t={wait_s}')),
        )
