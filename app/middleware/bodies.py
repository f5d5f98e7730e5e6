"""Reading a request's body: bounded in bytes and in time."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from app.errors import Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_JSON = b"application/json"
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch


def require_json(headers: dict[bytes, bytes]) -> None:
    """Refuse any media type but application/json (in UTF-8).

    Raises:
        Problem: 415.
    """
    sent = headers.get(b"content-type")
    if sent == _JSON:
        return
    if sent is not None:
        media_type, *parameters = (part.strip().lower() for part in sent.split(b";"))
        charsets = [part[8:].strip(b'"') for part in parameters if part.startswith(b"charset=")]
        if media_type == _JSON and all(charset in (b"utf-8", b"utf8", b"us-ascii") for charset in charsets):
            return
    shown = "none" if sent is None else repr(sent[:60].decode("latin-1"))
    raise Problem(
        415,
        "unsupported-media-type",
        "Unsupported media type",
        f"Content-Type is {shown}; allowed: application/json",
        "Content-Type",
        (("Accept", "application/json"),),
    )


def _too_large(max_bytes: int) -> Problem:
    return Problem(
        413, "body-too-large", "Body too large", f"the body is larger than {max_bytes} bytes", headers=(("Connection", "close"),)
    )


def _declared_length(headers: dict[bytes, bytes], max_bytes: int) -> int | None:
    length = headers.get(b"content-length")
    if length is None:
        return None
    if not _is_length(length):
        raise Problem(400, "bad-request", "Bad request", "Content-Length is not a number", "Content-Length")
    declared = int(length)
    if declared > max_bytes:
        raise _too_large(max_bytes)
    return declared


async def read_body(receive: Receive, headers: dict[bytes, bytes], max_bytes: int, timeout_s: float) -> bytes:
    """The whole body.

    With a Content-Length it stops as soon as so many bytes are in: the server sends an empty frame after them, and awaiting it
    costs a switch of threads.

    Raises:
        Problem: 413 if it is longer than ``max_bytes``, 408 if it takes longer than ``timeout_s``, 400 if the client goes away
            before its end.
    """
    declared = _declared_length(headers, max_bytes)
    if declared == 0:
        return b""
    body: bytes | bytearray = b""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "incomplete-body", "Bad request", "the connection closed before the end of the body")
                part: bytes = message.get("body", b"")
                # A small body comes as one part and is kept as it is; one in many parts must not be copied for each of them.
                if not body:
                    body = part
                else:
                    body = body if isinstance(body, bytearray) else bytearray(body)
                    body += part
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
                if len(body) == declared or not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Problem(
            408,
            "body-timeout",
            "Request timeout",
            f"the body did not arrive within {timeout_s:g} s",
            headers=(("Connection", "close"),),
        ) from None
