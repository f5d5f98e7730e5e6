"""API keys: what they look like, and what is kept of them.

A key is ``decide_`` + id (12 hex digits, public) + ``_`` + 32 random bytes in base64url (43 characters). What is kept is a
`StoredKey`: the key's HMAC-SHA256 (RFC 2104) under a secret that the store never sees, and a seal, which is one over everything
else. So whoever reads the store learns no key, and whoever writes to it can neither make one nor change what one may do.
"""

import hmac
import re
from typing import Literal, get_args

import msgspec

Scope = Literal["decide", "read", "market:read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""decide: decisions, one, many or as they change. read: what is loaded. market:read: of that, prices and trades. admin: all
of it, and how the server is set.
"""

PREFIX = "decide_"
_ID_DIGITS = 12
_ID_START, _ID_END = len(PREFIX), len(PREFIX) + _ID_DIGITS
SECRET_BYTES = 32
NAME_RULE = "1 to 64 of letters, digits and . _ -"
is_name = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
is_key_id = re.compile(r"[0-9a-f]{12}").fullmatch


class StoredKey(msgspec.Struct, array_like=True, frozen=True):
    """What the store holds of one key. Times are epoch milliseconds; ``expires_at_ms`` is None for one that does not expire."""

    version: int
    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at_ms: int
    expires_at_ms: int | None
    digest: bytes
    seal: bytes = b""

    def allows(self, scope: Scope) -> bool:
        """Whether it may be used for ``scope``. Prices are part of what is loaded, so that ``read`` is good for them too."""
        return scope in self.scopes or "admin" in self.scopes or (scope == "market:read" and "read" in self.scopes)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredKey).decode


def key_id_of(key: bytes) -> bytes:
    """Where a key says which one it is; whatever stands there, in what is no key."""
    return key[_ID_START:_ID_END]


def digest_of(secret: bytes, key: bytes) -> bytes:
    """What is kept of ``key``: 32 bytes."""
    return hmac.digest(secret, key, "sha256")


def _seal_of(secret: bytes, record: StoredKey) -> bytes:
    # Of another length than any key, so that no seal is some key's digest.
    return hmac.digest(secret, b"seal:" + _encode(msgspec.structs.replace(record, seal=b"")), "sha256")


def make_key(
    secret: bytes,
    key_id: str,
    random_part: str,
    *,
    name: str,
    scopes: tuple[Scope, ...],
    created_at_ms: int,
    expires_at_ms: int | None,
) -> tuple[str, StoredKey]:
    """The key, which is shown once and kept nowhere, and what is stored of it."""
    key = f"{PREFIX}{key_id}_{random_part}"
    record = StoredKey(1, key_id, name, scopes, created_at_ms, expires_at_ms, digest_of(secret, key.encode()))
    return key, msgspec.structs.replace(record, seal=_seal_of(secret, record))


def encode_key(record: StoredKey) -> bytes:
    """For the store."""
    return _encode(record)


def decode_key(secret: bytes, key_id: str, raw: bytes) -> StoredKey | None:
    """What the store holds under ``key_id``, if it was sealed with ``secret`` and is this one's; None otherwise."""
    try:
        record = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    sealed = hmac.compare_digest(_seal_of(secret, record), record.seal)
    return record if sealed and record.version == 1 and record.key_id == key_id else None
