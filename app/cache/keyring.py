"""The API keys that this worker knows: read from L2 again and again, so that a revoked one stops working everywhere.

One task a worker reads them all, several times in a lease. While L2 does not answer, what was read last stays good for the time
of grace that is set: an outage of L2 is lived with, as everywhere. A record that is not sealed with our secret is not a key.
"""

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from app.domain.keys import Scope, StoredKey, decode_key, digest_of, key_id_of
from app.errors import StoreError, Told, tell_nobody
from app.store.protocol import KeyStore
from app.waiting import wait_for_store

Refusal = Literal["unknown", "expired", "unproven"]
"""Why a key is not taken: no such key, its time is over, or L2 has not confirmed our keys for too long."""

_READS_A_LEASE = 4
_LONGEST_PAUSE_S = 1.0


class KeyMeters(Protocol):
    """What the ring reports."""

    def keys_read(self, known: int, unsealed: int) -> None:
        """The keys were read: so many are good, so many records are not sealed with our secret."""
        ...


class KeyRing:
    """Keys by their ids. Belongs to one event loop."""

    def __init__(
        self,
        store: KeyStore,
        secret: bytes,
        meters: KeyMeters,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        lease_s: float,
        grace_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tell: Told = tell_nobody,
    ) -> None:
        self._tell = tell
        self._store = store
        self._secret = secret
        self._meters = meters
        self._clock = clock
        self._now_ms = now_ms
        self._pause_s = min(_LONGEST_PAUSE_S, lease_s / _READS_A_LEASE)
        self._good_for_s = lease_s + grace_s
        self._sleep = sleep
        self._keys: dict[bytes, StoredKey] = {}
        self.listeners: list[Callable[[], None]] = []
        """Called after each reading: what lasts longer than a request must see whether its key is still good."""
        self._lately: dict[bytes, StoredKey] = {}
        self._good_until = 0.0
        # Compared with where there is no key of an id, so that such a one is looked at as all others are.
        self._nobody = StoredKey(0, "", "", (), 0, None, secrets.token_bytes(32))

    def find(self, presented: bytes) -> StoredKey | Refusal:
        """The key that was presented, or why it is not taken.

        Whatever wrong is presented takes the same way: one HMAC over all of it, one look for the id, which is public, one
        comparison of 32 bytes in constant time. A key that was right is remembered until the keys are read again, a second at
        most: it is found by a hash that is seeded at random, so nobody learns from that look how near they are.
        """
        key = self._lately.get(presented)
        if key is None:
            digest = digest_of(self._secret, presented)
            key = self._keys.get(key_id_of(presented), self._nobody)
            if not hmac.compare_digest(digest, key.digest):
                # Without keys nothing can be said of any.
                return "unknown" if self._good_until > self._clock() else "unproven"
            self._lately[presented] = key
        if self._good_until <= self._clock():
            return "unproven"
        return "expired" if self._has_expired(key) else key

    def allows(self, key_id: str, scope: Scope) -> bool:
        """Whether the key of this id, which was found before, may be used for ``scope``."""
        key = self._keys.get(key_id.encode())
        return key is not None and key.allows(scope)

    def is_good(self, key_id: str) -> bool:
        """Whether the key of this id, which was found before, would be found still."""
        key = self._keys.get(key_id.encode())
        return key is not None and self._good_until > self._clock() and not self._has_expired(key)

    async def read(self) -> bool:
        """Read all keys once; whether L2 answered."""
        started = self._clock()
        try:
            stored = await wait_for_store(self._store.keys(), self._pause_s)
            if self._keys and not stored and await wait_for_store(self._store.run_info(), self._pause_s) is None:
                # Emptied, or another store: that says nothing of the keys, as it says nothing of symbols.
                return False
        except StoreError as error:
            self._tell(error)
            return False
        self._tell(None)
        keys = {}
        for key_id, raw in stored.items():
            key = decode_key(self._secret, key_id, raw)
            if key is not None:
                keys[key_id.encode()] = key
        self._keys = keys
        self._lately.clear()
        self._good_until = started + self._good_for_s
        self._meters.keys_read(len(keys), len(stored) - len(keys))
        return True

    def _has_expired(self, key: StoredKey) -> bool:
        return key.expires_at_ms is not None and key.expires_at_ms <= self._now_ms()

    async def run(self) -> None:
        """Read for ever; ends by cancellation."""
        while True:
            try:
                await self.read()
                for listener in self.listeners:
                    listener()
            except Exception as error:  # noqa: BLE001 - as the feed: it must outlive what nobody foresaw
                asyncio.get_running_loop().call_exception_handler({"message": "reading the keys failed", "exception": error})
            await self._sleep(self._pause_s)
