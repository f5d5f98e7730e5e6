"""How many decisions a caller may ask for: a token bucket for each, shared by all servers on one Redis.

The bucket itself is a library's (`app.http.buckets`). Asking it takes microseconds in the process and a round trip on
Redis, and a decision from memory waits for nothing; so each worker takes tokens out in advance and spends them by itself. How
many follows from what the caller does: one at first, twice as many whenever they were spent within half a second, a tenth of the
bucket at most. When few are left, more are fetched in the background. Tokens taken out are kept for as long as the bucket would
have room for them; then they are given up one by one, as an overflowing bucket gives them up. So with one worker a caller is held
to the bucket exactly, and each further one can let a tenth more through at once.

A bucket always answers: what is done while Redis does not stands in `app.http.steady`.
"""

import asyncio
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

from cachetools import FIFOCache

from app.errors import Header, Problem

_CALLERS = 65_536
_SPENT_SOON_S = 0.5
_REFUSED_S = 1.0
_LONG_AGO = -1e9
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
        """Take ``tokens`` out, or none. One that is shared raises `app.errors.StoreError` if it cannot be asked."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


class LimitMeters(Protocol):
    """What the limiter reports."""

    def limit_refused(self) -> None:
        """A request was refused."""
        ...


class _Account:
    """What one caller has in this worker: tokens ``left`` of those taken out up to ``drawn_at``, when the bucket was left with
    ``remaining``. ``block`` is how many are taken out next. ``refused`` tokens were not to be had: they will be at ``retry_at``,
    and until ``refused_until`` the bucket is not asked for as many again.
    """

    __slots__ = (
        "ahead",
        "block",
        "drawn_at",
        "full_in_s",
        "left",
        "lock",
        "low",
        "refused",
        "refused_until",
        "remaining",
        "retry_at",
    )

    def __init__(self) -> None:
        self.left = self.low = self.remaining = self.refused = 0
        self.block = 1
        self.drawn_at = self.refused_until = self.retry_at = _LONG_AGO
        self.full_in_s = 0.0
        self.ahead = False
        self.lock = asyncio.Lock()


class Limiter:
    """One a worker."""

    def __init__(
        self,
        bucket: Bucket,
        meters: LimitMeters,
        *,
        per_s: float,
        burst: int,
        clock: Callable[[], float],
    ) -> None:
        self._bucket = bucket
        self._meters = meters
        self._per_s = per_s
        self.burst = burst
        self._clock = clock
        self._most = max(1, burst // _SHARE)
        self._accounts: FIFOCache[str, _Account] = FIFOCache(_CALLERS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._policy = (b"ratelimit-policy", b'"default";q=%d;w=%d' % (burst, math.ceil(burst / per_s)))

    def spend(self, caller: str) -> list[Header] | None:
        """The headers of the answer, if a token is at hand; None if `draw` must see. Awaits nothing."""
        try:
            account = self._accounts[caller]
        except KeyError:
            return None
        if self._held(account) < 1:
            return None
        account.left -= 1
        if account.left == account.low and not account.ahead and account.block > 1:
            self._draw_ahead(caller, account)
        return self._headers(account)

    async def draw(self, caller: str, tokens: int = 1) -> list[Header]:
        """Pay ``tokens``, at most a whole bucket's, with what is at hand or from the bucket. The headers of the answer.

        Raises:
            Problem: 429 if they are not to be had.
        """
        try:
            account = self._accounts[caller]
        except KeyError:
            account = self._accounts[caller] = _Account()
        async with account.lock:
            while self._held(account) < tokens:
                try:
                    await self._fill(caller, account, tokens)
                except Problem:
                    self._meters.limit_refused()
                    raise
            account.left -= tokens
        return self._headers(account)

    async def close(self) -> None:
        """Wait for what is under way, and let the bucket go."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._bucket.close()

    def _held(self, account: _Account) -> int:
        """Tokens at hand: no more than the bucket has room for, which has filled up since; a part of a token counts as one."""
        room = (account.full_in_s - (self._clock() - account.drawn_at)) * self._per_s
        if room < account.left:
            account.left = max(0, math.ceil(room))
        return account.left

    def _headers(self, account: _Account) -> list[Header]:
        return [self._policy, (b"ratelimit", b'"default";r=%d;t=%d' % (account.remaining + account.left, account.full_in_s))]

    def _draw_ahead(self, caller: str, account: _Account) -> None:
        account.ahead = True
        task = asyncio.get_running_loop().create_task(self._ahead(caller, account))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ahead(self, caller: str, account: _Account) -> None:
        try:
            async with account.lock:
                await self._fill(caller, account, self._held(account) + 1)
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
            raise self._refusal(account.retry_at - now)
        block = min(self._most, 2 * account.block) if now - account.drawn_at < _SPENT_SOON_S else 1
        want = max(need, block)
        drawn = await self._bucket.draw(caller, want)
        if not drawn.given and want > need:
            want = max(need, min(want, drawn.remaining))
            drawn = await self._bucket.draw(caller, want)
        now = self._clock()
        if not drawn.given:
            # Never longer than an empty bucket takes, whatever stands in it.
            retry_in_s = min(drawn.retry_in_s, self.burst / self._per_s)
            account.refused, account.retry_at = want, now + retry_in_s
            account.refused_until = now + min(retry_in_s, _REFUSED_S)
            raise self._refusal(retry_in_s)
        # What is held counts against the bucket as it is now.
        self._held(account)
        account.remaining, account.full_in_s, account.drawn_at = drawn.remaining, drawn.full_in_s, now
        account.left += want
        account.low = account.left // 4
        account.block = block

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
