"""Test data into real stores, from outside the server as the warm job does it."""

import asyncio
import os
import re
import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from app.market.protocol import Batch
from app.market.sqlite import EmbeddedWriter
from app.store.opening import open_store
from app.store.protocol import Record, Row, RunInfo
from tests.kit.records import row, run_info
from tests.kit.servers import DecideServer
from tests.market.giving import trade
from tests.market.places import MINUTE_US, NOON_US

UNIVERSE = ("AAPL", "IBM", "MSFT")
_WORKER = re.compile(r"Spawning worker-\d+ with PID: (\d+)")


def publish(target: Path | str, rows: Sequence[Row], info: RunInfo) -> None:
    """Publish into the SQLite file or the Redis at ``target``."""
    url, path = (target, Path()) if isinstance(target, str) else ("", target)

    async def write() -> None:
        store = open_store(redis_url=url, store_path=path, key_prefix="decide:1", read_timeout_s=60.0)
        await store.publish_run(rows, info)
        await store.close()

    asyncio.run(write())


def publish_universe(target: Path | str, symbols: Sequence[str] = UNIVERSE) -> None:
    """Publish plain records of ``symbols``."""
    publish(target, [row(symbol) for symbol in symbols], run_info(symbols=len(symbols)))


def publish_market(target: Path, *symbols: str) -> None:
    """Write a day of trades of each of ``symbols``, one a minute, and their bars."""
    with closing(EmbeddedWriter(target)) as writer:
        for symbol in symbols:
            some = [trade(number, NOON_US + number * MINUTE_US, str(number + 1), symbol=symbol) for number in range(1440)]
            writer.apply(Batch(trades=some))


def upsert(target: Path | str, records: Sequence[Record]) -> None:
    """Write single records into the SQLite file or the Redis at ``target``."""
    url, path = (target, Path()) if isinstance(target, str) else ("", target)

    async def write() -> None:
        store = open_store(redis_url=url, store_path=path, key_prefix="decide:1", read_timeout_s=60.0)
        await store.upsert(records)
        await store.close()

    asyncio.run(write())


def withdraw(target: Path, *symbols: str) -> None:
    """Take these back from the SQLite file at ``target``."""

    async def write() -> None:
        store = open_store(redis_url="", store_path=target, key_prefix="decide:1", read_timeout_s=60.0)
        await store.withdraw(symbols=symbols)
        await store.close()

    asyncio.run(write())


def workers(server: DecideServer) -> list[int]:
    """Pids of the workers that were ever started, as the log has them."""
    return [int(pid) for pid in _WORKER.findall(server.log_path.read_text(encoding="utf-8"))]


def is_alive(pid: int) -> bool:
    """Whether there is such a process. One that has ended is none, though perhaps nobody has asked how (a container's first)."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/status")
        return not status.exists() or "State:\tZ" not in status.read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False


def stop_and_read_log(server: DecideServer) -> tuple[int, str]:
    """End the server; its exit code and all that it logged."""
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    code = server.process.wait(30)
    return code, server.log_path.read_text(encoding="utf-8")
