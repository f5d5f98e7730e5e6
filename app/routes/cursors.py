"""Cursors: where a page ends, signed, so that one which is cut, made up or of other parameters is told from a good one.

A cursor holds a place and a digest of the parameters that it is of; nothing that its caller may not see or ask for. So the
signature keeps nobody out: it finds mistakes. Its key follows from API_KEY_SECRET, which all servers of one installation share:
so cursors hold over workers, restarts and instances. Without a secret it is the same everywhere.
"""

import base64
import binascii
import hashlib
import hmac
from typing import TypeVar

import msgspec

from app.errors import Problem, invalid

T = TypeVar("T")

CURSOR_PATTERN = "^([A-Za-z0-9_-]{34,4000})?$"
"""What can be one, or none: signature, digest and place, and venues' ids of any length that Decide takes."""
_SIGNATURE, _DIGEST = 16, 8

_encode = msgspec.msgpack.encode


class Cursors:
    """Of one installation, whose API keys are hashed with ``secret``."""

    def __init__(self, secret: str) -> None:
        # Of another length than any key, so that it is no key's digest.
        self._key = hmac.digest(secret.encode() or b"decide", b"cursor", "sha256")

    def write(self, of: tuple[object, ...], place: object) -> str:
        """The cursor of a page of parameters ``of`` that ends at ``place``; both of plain values."""
        body = _digest(of) + _encode(place)
        return _text_of(self._signature(body) + body)

    def read(self, text: str, of: tuple[object, ...], place: msgspec.msgpack.Decoder[T]) -> T:
        """The place.

        Raises:
            Problem: 422.
        """
        try:
            found = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise _forged(text) from None
        signature, body = found[:_SIGNATURE], found[_SIGNATURE:]
        if _text_of(found) != text or not hmac.compare_digest(signature, self._signature(body)):
            raise _forged(text)
        if body[:_DIGEST] != _digest(of):
            raise invalid(
                "cursor",
                "cursor is of a page with other parameters; allowed: a next_cursor beside the parameters that it came for",
            )
        return place.decode(body[_DIGEST:])

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_SIGNATURE]


def _text_of(cursor: bytes) -> str:
    return base64.urlsafe_b64encode(cursor).decode().rstrip("=")


def _digest(of: tuple[object, ...]) -> bytes:
    return hashlib.sha256(_encode(of)).digest()[:_DIGEST]


def _forged(text: str) -> Problem:
    return invalid("cursor", f"cursor is {text[:40]!r}; allowed: a next_cursor of this server, whole")
