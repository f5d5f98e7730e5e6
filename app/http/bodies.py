"""Reading a request's body: bounded in bytes and in time."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from app.errors import Problem
from app.waiting import call_when_heard

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

JSON = b"application/json"
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch


def require_json(headers: dict[bytes, bytes]) -> None:
    """Refuse any media type but application/json (in UTF-8).

    Raises:
        Problem: 415.
    """
    sent = headers.get(b"content-type")
    if sent == JSON:
        return
    if sent is not None:
        media_type, *parameters = (part.strip().lower() for part in sent.split(b";"))
        charsets = [part[8:].strip(b'"') for part in parameters if part.startswith(b"charset=")]
        if media_type == JSON and all(charset in (b"utf-8", b"utf8", b"us-ascii") for charset in charsets):
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


class _Watch:
    """Ends tasks that wait too long, with one timer for all of them.

    A timer for each request (`asyncio.timeout`) costs more than the whole decision. All waits have the same limit, so they end in
    the order in which they began, which is the order of the dict: the timer always looks at the first one alone. The time in
    which the loop was busy with something else does not count: the body may have come in it.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: dict[asyncio.Task[Any], float] = {}
        self._ended: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Task[Any]":
        """The running task waits from now on; it must `end`."""
        task = asyncio.current_task(loop)
        assert task is not None
        now = loop.time()
        self._since[task] = now
        if self._timer is None:
            self._timer = loop.call_at(now + self._limit_s, self._look, loop)
        return task

    def end(self, task: "asyncio.Task[Any]") -> None:
        """It waits no longer."""
        del self._since[task]

    def was_ended(self, task: "asyncio.Task[Any]") -> bool:
        """Whether the CancelledError in ``task`` is the watch's own; it then counts no more as cancelled."""
        if task not in self._ended:
            return False
        self._ended.remove(task)
        # Somebody else may have cancelled it at the same time; that stands.
        return task.uncancel() == 0

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        latest = loop.time() - self._limit_s
        over = {}
        for task, since in self._since.items():
            if since > latest:
                self._timer = loop.call_at(since + self._limit_s, self._look, loop)
                break
            if task not in self._ended:
                over[task] = since
        if over:
            deadline = next(iter(over.values())) + self._limit_s
            call_when_heard(loop, deadline, self._limit_s, lambda: self._end_those(over))

    def _end_those(self, over: "dict[asyncio.Task[Any], float]") -> None:
        for task, since in over.items():
            # It may have ended, and begun anew, meanwhile.
            if self._since.get(task) == since and task not in self._ended:
                self._ended.add(task)
                task.cancel()


class Bodies:
    """Reads bodies of up to ``max_bytes`` that arrive within ``timeout_s``. Belongs to one event loop."""

    def __init__(self, max_bytes: int, timeout_s: float) -> None:
        self.max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._watch = _Watch(timeout_s)

    async def read(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """The whole body.

        With a Content-Length it stops as soon as so many bytes are in: the server sends an empty frame after them, and awaiting
        it costs a switch of threads.

        Raises:
            Problem: 413 if it is too long, 408 if it takes too long, 400 if the client goes away before its end.
        """
        declared = _declared_length(headers, self.max_bytes)
        if declared == 0:
            return b""
        task = self._watch.begin(asyncio.get_running_loop())
        try:
            # A small body comes as one part.
            message = await receive()
            body: bytes = message.get("body", b"")
            if len(body) == declared and message["type"] == "http.request":
                return body
            return await self._rest(message, receive, declared)
        except asyncio.CancelledError:
            if not self._watch.was_ended(task):
                raise
            raise Problem(
                408,
                "body-timeout",
                "Request timeout",
                f"the body did not arrive within {self._timeout_s:g} s",
                headers=(("Connection", "close"),),
            ) from None
        finally:
            self._watch.end(task)

    async def passed_over(self, refusal: Problem, receive: Receive, headers: dict[bytes, bytes]) -> Problem:
        """``refusal``, once the body of its request has come: one that is left unread would end the connection under the next
        request. If it does not come, the refusal says that the connection ends.
        """
        if b"content-length" in headers or b"transfer-encoding" in headers:
            try:
                await self.read(receive, headers)
            except Problem:
                refusal.headers += (("Connection", "close"),)
        return refusal

    async def _rest(self, message: MutableMapping[str, Any], receive: Receive, declared: int | None) -> bytes:
        body = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise Problem(400, "incomplete-body", "Bad request", "the connection closed before the end of the body")
            body += message.get("body", b"")
            if len(body) > self.max_bytes:
                raise _too_large(self.max_bytes)
            if len(body) == declared or not message.get("more_body", False):
                return bytes(body)
            message = await receive()
