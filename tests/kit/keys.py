"""API keys for tests, and a store that holds them in a dict."""

import asyncio
import secrets

from app.domain.keys import SECRET_BYTES, Scope, encode_key, make_key
from app.store.protocol import RunInfo
from tests.kit.records import run_info

SECRET = "a-secret-of-tests-that-is-32-characters-or-more"


class FakeKeys:
    """A `KeyStore`. ``fault`` makes every call raise it."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.fault: Exception | None = None
        self.info: RunInfo | None = run_info()
        self.hangs = False

    async def run_info(self) -> RunInfo | None:
        """As it was set."""
        return self.info

    def make(self, *scopes: Scope, expires_at_ms: int | None = None, secret: str = SECRET) -> str:
        """A key, stored."""
        key, record = make_key(
            secret.encode(),
            secrets.token_hex(6),
            secrets.token_urlsafe(SECRET_BYTES),
            name="test",
            scopes=scopes,
            created_at_ms=0,
            expires_at_ms=expires_at_ms,
        )
        self.records[record.key_id] = encode_key(record)
        return key

    async def keys(self) -> dict[str, bytes]:
        """All of them."""
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        return dict(self.records)

    async def put_key(self, key_id: str, record: bytes) -> None:
        """Hold it."""
        self.records[key_id] = record

    async def remove_key(self, key_id: str) -> bool:
        """Forget it."""
        return self.records.pop(key_id, None) is not None


def key_id(key: str) -> str:
    """The public part of ``key``."""
    return key.split("_")[1]
