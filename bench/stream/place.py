"""The folder of one run: log, market store and L2 in it, the processes that work on them, and what came of it."""

import csv
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from bench.addresses import HttpConnection
from bench.peers.processes import ROOT, Process, free_address, run_python
from bench.stream.producing import price_of

_BARS = 60
_SETTINGS = {"REDIS_URL": "", "DATABASE_URL": "", "HOST": "127.0.0.1", "LOG_LEVEL": "warning", "ACCESS": "off", "DRAIN_S": "0"}


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Trades that the log acknowledged, by their ids, beside what the market store has; its minutes have ``in_candles``."""

    acknowledged: int
    missing: int
    double: int
    in_candles: int

    @property
    def is_exact(self) -> bool:
        """Nothing is lost, nothing counts twice."""
        return not self.missing and not self.double and self.in_candles == self.acknowledged


class Place:
    """One folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "stream.sqlite3"
        self._market = folder / "market.sqlite3"
        paths = {"STREAM_PATH": str(self.log), "MARKET_PATH": str(self._market), "STORE_PATH": str(folder / "store.sqlite3")}
        self._settings = {**_SETTINGS, **paths}

    def warm(self, symbols: Iterable[str]) -> None:
        """Bars of the last days for each symbol, so that decisions rest on prices of now."""
        prices, today = self.folder / "prices", datetime.now(UTC).date()
        prices.mkdir()
        with (prices / "daily.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("symbol", "date", "open", "high", "low", "close", "volume"))
            for symbol in symbols:
                for number in range(_BARS):
                    close = price_of(number * 1000)
                    writer.writerow((symbol, today - timedelta(days=_BARS - number), close, close, close, close, 1000))
        run_python(self.folder, self._settings, "-m", "warm", "--prices", str(prices))

    @contextmanager
    def server(self) -> Iterator[Process]:
        """One worker."""
        address = free_address()
        server = Process([sys.executable, "-m", "app"], self.folder, address, {**self._settings, "PORT": str(address.port)})
        try:
            server.wait_ready("/readyz")
            yield server
        finally:
            server.stop()

    @contextmanager
    def consumer(self) -> Iterator[Process]:
        """``decide stream``. Whoever killed it has nothing to stop any more."""
        address = free_address()
        command = [sys.executable, "-m", "app", "stream"]
        consumer = Process(command, self.folder, address, {**self._settings, "STREAM_PORT": str(address.port)})
        try:
            consumer.wait_ready("/livez")
            yield consumer
        finally:
            consumer.stop()

    def produce(self, *arguments: object) -> None:
        """As `bench.stream.producing`, until it is done."""
        run_python(self.folder, {}, "-m", "bench.stream.producing", str(self.log), *map(str, arguments))

    @contextmanager
    def producing(self, *arguments: object) -> Iterator[None]:
        """The same meanwhile."""
        command = [sys.executable, "-m", "bench.stream.producing", str(self.log), *map(str, arguments)]
        with subprocess.Popen(command, cwd=ROOT) as producer:
            try:
                yield
            finally:
                producer.terminate()

    def ledger(self, acknowledged: int) -> Ledger:
        """Held against numbers 0 to before ``acknowledged``."""
        with closing(sqlite3.connect(self._market)) as connection:
            count, distinct, foreign = connection.execute(
                "SELECT count(*), count(DISTINCT trade_id), sum(CAST(trade_id AS INTEGER) >= ?) FROM trades_in_full",
                (acknowledged,),
            ).fetchone()
            (in_candles,) = connection.execute("SELECT coalesce(sum(trades), 0) FROM candles WHERE interval = '1m'").fetchone()
        return Ledger(
            acknowledged=acknowledged,
            missing=acknowledged - (distinct - (foreign or 0)),
            double=count - distinct,
            in_candles=in_candles,
        )


def counted(process: Process, name: str) -> float:
    """A counter of a job's, all of its labels together."""
    with closing(HttpConnection(process.address, 10.0)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    return sum(float(each) for each in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))
