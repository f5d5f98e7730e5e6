"""Bounds what is read of one of Redis' replies, whatever stands there: the connection is closed where a reply goes on beyond."""

from collections.abc import Coroutine
from typing import Any

from app.withheld import withheld

with withheld("opentelemetry"):
    from redis._parsers import _AsyncHiredisParser
    from redis.exceptions import ConnectionError as ClosedError
    from redis.exceptions import InvalidResponse


class ReplyTooLong(InvalidResponse):
    """A reply is longer than any of ours. It is not asked for again, as it would be of a connection that was lost."""


class BoundedParser(_AsyncHiredisParser):
    """hiredis, fed with at most ``max_bytes`` of a reply. The client puts the length of a string together before it gives it out:
    256 MB, as an entry of the feed, took three times as much of memory.
    """

    max_bytes = 128 * 1024 * 1024
    """A read of 256 symbols, whose longest records have some hundred KB each."""
    _left = 0

    def read_response(
        self,
        disable_decoding: bool = False,  # noqa: FBT001, FBT002 - as it is called
        push_request: bool = False,  # noqa: FBT001, FBT002
    ) -> Coroutine[Any, Any, Any]:
        """The next reply."""
        # Not a coroutine of its own: it would cost each read one more.
        self._left = self.max_bytes
        return super().read_response(disable_decoding, push_request)

    async def read_from_socket(self) -> bool:
        """Some more of it.

        Raises:
            ReplyTooLong: it goes on beyond ``max_bytes``.
        """
        stream: Any = self._stream
        reader: Any = self._reader
        part = await stream.read(self._read_size)
        if not part:
            raise ClosedError("Connection closed by server.")
        self._left -= len(part)
        if self._left < 0:
            raise ReplyTooLong(f"a reply of more than {self.max_bytes:,} bytes")
        reader.feed(part)
        return True


class FeedParser(BoundedParser):
    """For the change feed."""

    max_bytes = 4 * 1024 * 1024
    """A read of 100 entries with 200 symbols each has 0.7 MB."""
