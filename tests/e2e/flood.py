"""Strangers who ask for what anybody may ask for, as fast as they are answered; in a process of their own."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.kit.servers import ROOT

OPEN_ROUTES = ("/metrics", "/health", "/livez", "/readyz", "/", "/docs", "/openapi.json", "/console/console.js", "/nothing")


class Flood:
    """So many ``connections`` to a server of this machine, each asking for ``paths`` in turn from a beginning of its own."""

    def __init__(self, port: int, connections: int, paths: tuple[str, ...] = OPEN_ROUTES) -> None:
        self._command = [sys.executable, "-m", "tests.e2e.flood", str(port), str(connections), *paths]
        self._process: subprocess.Popen[str] | None = None
        self.statuses: dict[int, int] = {}
        """Once it is over: how many answers there were."""

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def begin(self) -> None:
        """Returns once the first is answered."""
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "begun\n"

    def end(self) -> None:
        """After `begin`."""
        if self._process is None:
            return
        output, _ = self._process.communicate("end\n", timeout=30)
        self._process = None
        self.statuses = {int(status): count for status, count in json.loads(output).items()}


async def _ask(port: int, paths: list[str], answered: "Counter[int]", begun: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        at = 0
        while True:
            writer.write(f"GET {paths[at % len(paths)]} HTTP/1.1\r\nHost: decide.test\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = (line[16:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
            await reader.readexactly(int(length))
            answered[int(head[9:12])] += 1
            begun.set()
            at += 1
    finally:
        writer.close()


async def _flood(port: int, connections: int, paths: list[str]) -> None:
    answered: Counter[int] = Counter()
    begun = asyncio.Event()
    tasks = []
    for number in range(connections):
        turned = paths[number % len(paths) :] + paths[: number % len(paths)]
        tasks.append(asyncio.create_task(_ask(port, turned, answered, begun)))
    await begun.wait()
    print("begun", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    print(json.dumps(answered))


if __name__ == "__main__":
    asyncio.run(_flood(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
