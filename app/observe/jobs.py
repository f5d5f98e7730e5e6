"""What the jobs beside a server count, below its own metrics: those of `decide live`, on the same machine."""

import asyncio
import re
from collections.abc import Sequence

_WITHIN_S = 0.5
_TEXT, _OPEN_METRICS = "text/plain", "application/openmetrics-text;version=1.0.0"
_END = b"# EOF\n"
_ours = re.compile(rb"^(?:# \w+ )?decide_.*\n", re.MULTILINE).findall
"""Each process has metrics of itself besides, of the same names."""


class Jobs:
    """They show it at ``ports`` of loopback."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports

    async def below(self, text: bytes, *, open_metrics: bool) -> bytes:
        """``text`` with theirs, in the same format. Who does not answer at once is left out."""
        if not self._ports:
            return text
        theirs = await asyncio.gather(*(_read(port, _OPEN_METRICS if open_metrics else _TEXT) for port in self._ports))
        end = _END if open_metrics else b""
        return b"".join((text.removesuffix(end), *theirs, end))


async def _read(port: int, accept: str) -> bytes:
    try:
        async with asyncio.timeout(_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET /metrics HTTP/1.0\r\nAccept: {accept}\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except OSError:
        return b""
    is_whole = b"Content-Length: %d" % len(body) in head.split(b"\r\n")
    return b"".join(_ours(body)) if is_whole and b" 200 " in head else b""
