"""API keys: what is kept of them tells nobody a key, and cannot be made or changed without the secret."""

import hashlib
import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.keys import SCOPES, StoredKey, decode_key, digest_of, encode_key, key_id_of, make_key

_SECRET = b"s" * 32
_ID = "0123456789ab"


def _made(secret: bytes = _SECRET) -> tuple[str, StoredKey]:
    return make_key(secret, _ID, "r" * 43, name="bot", scopes=("decide",), created_at_ms=1, expires_at_ms=None)


def test_a_key_has_a_prefix_its_id_and_the_random_part() -> None:
    """So that a leaked one is recognised, and named without being shown."""
    key, record = _made()
    assert key == f"decide_{_ID}_{'r' * 43}"
    assert (record.key_id, key_id_of(key.encode())) == (_ID, _ID.encode())


def test_what_is_kept_is_an_hmac_of_the_key() -> None:
    """RFC 2104 with SHA-256, by the standard library's other way to it; neither key nor secret stands in the record."""
    key, record = _made()
    assert record.digest == hmac.new(_SECRET, key.encode(), hashlib.sha256).digest() == digest_of(_SECRET, key.encode())
    stored = encode_key(record)
    assert b"r" * 43 not in stored
    assert _SECRET not in stored


def test_a_stored_record_comes_back() -> None:
    _, record = _made()
    assert decode_key(_SECRET, _ID, encode_key(record)) == record


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": SCOPES},
        {"expires_at_ms": 2},
        {"name": "other"},
        {"created_at_ms": 3},
        {"digest": b"x" * 32},
        {"seal": b""},
        {"seal": b"x" * 32},
    ],
    ids=lambda change: repr(change)[:24],
)
def test_a_record_that_was_changed_is_no_key(change: dict[str, object]) -> None:
    """Whoever writes to the store can give nobody more than they have."""
    _, record = _made()
    assert decode_key(_SECRET, _ID, encode_key(msgspec.structs.replace(record, **change))) is None


def test_a_record_under_another_id_or_secret_or_version_is_no_key() -> None:
    _, record = _made()
    assert decode_key(_SECRET, "ba9876543210", encode_key(record)) is None
    assert decode_key(b"t" * 32, _ID, encode_key(record)) is None
    newer = msgspec.structs.replace(record, version=2, seal=b"")
    sealed = msgspec.structs.replace(newer, seal=hmac.digest(_SECRET, b"seal:" + encode_key(newer), "sha256"))
    assert decode_key(_SECRET, _ID, encode_key(sealed)) is None


@given(st.binary(max_size=200))
def test_rubbish_is_no_key(raw: bytes) -> None:
    assert decode_key(_SECRET, _ID, raw) is None


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (("decide",), {"decide"}),
        (("read",), {"read", "market:read"}),
        (("market:read",), {"market:read"}),
        (("admin",), set(SCOPES)),
    ],
)
def test_a_key_allows_its_scopes_and_what_they_include(scopes: tuple[str, ...], allowed: set[str]) -> None:
    record = msgspec.structs.replace(_made()[1], scopes=scopes)
    assert {scope for scope in SCOPES if record.allows(scope)} == allowed
