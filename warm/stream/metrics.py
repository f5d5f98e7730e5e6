"""What the consumer and a source count, and where a job shows it: a port of its own, with /metrics and /livez."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from threading import Thread
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from app.domain.status import SOURCES_MAX
from app.errors import SettingsError
from app.market.protocol import Applied, Partition
from app.unix_sockets import socket_path
from warm.stream.log import Outgoing
from warm.stream.messages import is_trade

# As in the server.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0, 2.5, 5.0, 10.0, 60.0)
_MESSAGES = (1, 5, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000)
_PARTITION = ("topic", "partition")
_NAMES_MAX = 1_000
_REASONS = ("market_error", "market_timeout", "log_error", "log_busy", "offset_moved")


class ConsumerMeters:
    """On a registry of their own."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self.registry = registry = CollectorRegistry()
        self._now_s, self._sources = now_s, dict[str, str]()

        def counter(name: str, what: str) -> Counter:
            return Counter(f"decide_stream_{name}", what, registry=registry)

        self.ingested = Counter(
            "decide_trades_ingested", "Trades that the log brought, by source.", ["source"], registry=registry
        )
        self.last_ingestion = Gauge(
            "decide_last_ingestion_timestamp_seconds",
            "When trades were last written to the market store; 0: not since the start.",
            registry=registry,
        )
        self.messages = counter("messages", "Messages read from the log.")
        self.trades = counter("trades", "Trades written to the market store.")
        self.duplicates = counter("duplicates", "Trades that the market store had.")
        self.late = counter("late_trades", "Trades more than 2 s before the newest message of their symbol.")
        self.prices = counter("prices", "Prices of providers read from the log.")
        self.too_old = counter("too_old_trades", "Trades of a time of which the market store keeps none any more.")
        self.dead = counter("dead_letters", "Messages put among the dead letters.")
        self.lost = counter("lost_messages", "Messages that the log removed before they were read.")
        self.gaps = counter("gaps", "Gaps found: ids that are missing, messages that are gone, or as a source says.")
        self.ticks = counter("ticks", "Tick records written to L2.")
        self.feature_rows = counter("feature_rows", "Rows of features published.")
        self.late_for_features = counter("late_for_features_trades", "Trades later than the row of features of their second.")
        self.price_records = counter("price_records", "Price records computed anew, at the end of a bar or by a late trade.")
        self.short_of_history = Gauge(
            "decide_stream_short_of_history_symbols",
            "Symbols whose price record stays, since the market store has not the bars to carry it on.",
            registry=registry,
        )
        self.failures = Counter("decide_stream_failures", "Times that it began anew.", ["reason"], registry=registry)
        for reason in _REASONS:
            # A series that begins with its first event hides that from rates.
            self.failures.labels(reason)
        self.batch = Histogram("decide_stream_batch_messages", "Messages of a batch.", buckets=_MESSAGES, registry=registry)
        self.transaction = Histogram(
            "decide_stream_transaction_seconds", "Time of a transaction of the market store.", buckets=_SECONDS, registry=registry
        )
        self.to_log = Histogram(
            "decide_stream_tick_to_log_seconds",
            "From when a batch's first message came to its source until the log had it.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.to_record = Histogram(
            "decide_stream_tick_to_record_seconds",
            "From when a batch's first message came to its source until its tick records were written.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._lag = Gauge("decide_stream_lag_messages", "Messages that were not read yet.", _PARTITION, registry=registry)
        self._lag_s = Gauge(
            "decide_stream_lag_seconds",
            "Age of the last message read; 0 where all were read.",
            _PARTITION,
            registry=registry,
        )
        _of_process(registry)

    def applied(self, applied: Applied, seconds: float) -> None:
        """A batch was written."""
        if applied.inserted:
            self.last_ingestion.set(self._now_s())
        self.trades.inc(applied.inserted)
        self.duplicates.inc(applied.duplicate)
        self.too_old.inc(applied.too_old)
        self.dead.inc(applied.dead)
        self.transaction.observe(seconds)

    def heard(self, trades: Mapping[str, int]) -> None:
        """So many trades came of each source. Some names are told apart, and no more: anybody may write them."""
        for source, count in trades.items():
            if source not in self._sources:
                self._sources[source] = (source or "none") if len(self._sources) < SOURCES_MAX else "other"
            self.ingested.labels(self._sources[source]).inc(count)
            if len(self._sources) > _NAMES_MAX:
                self._sources.popitem()

    def lag(self, lags: Mapping[Partition, tuple[int, float]]) -> None:
        """Messages and seconds of all partitions that are read."""
        for gauge in (self._lag, self._lag_s):
            gauge.clear()
        for partition, (messages, seconds) in lags.items():
            labels = partition.topic, str(partition.partition)
            self._lag.labels(*labels).set(messages)
            self._lag_s.labels(*labels).set(seconds)


class IngestMeters:
    """Of ``source``, on a registry of their own."""

    def __init__(self, source: str, now_s: Callable[[], float] = time.time) -> None:
        self.registry = registry = CollectorRegistry()
        self._now_s = now_s

        def counter(name: str, what: str) -> Counter:
            return Counter(f"decide_ingest_{name}", what, ["source"], registry=registry).labels(source)

        self._messages = counter("messages", "Messages that a source put into the log.")
        self._trades = counter("trades", "Trades among them.")
        self.waiting = Gauge("decide_ingest_waiting_messages", "Messages that wait for the log.", registry=registry)
        self.failures = Counter("decide_ingest_append_failures", "Appends to the log that failed.", registry=registry)
        self._append = Histogram(
            "decide_ingest_append_seconds", "Time of an append to the log.", buckets=_SECONDS, registry=registry
        )
        self._last = Gauge(
            "decide_ingest_last_append_timestamp_seconds",
            "When a source last put messages into the log; before the first ones, when it began.",
            registry=registry,
        )
        self._last.set(now_s())
        _of_process(registry)

    def appended(self, messages: Sequence[Outgoing], seconds: float) -> None:
        """The log has them."""
        self._messages.inc(len(messages))
        self._trades.inc(sum(is_trade(each.value) for each in messages))
        self._append.observe(seconds)
        self._last.set(self._now_s())


def _of_process(registry: CollectorRegistry) -> None:
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)


@contextmanager
def served(registry: CollectorRegistry, host: str, port: int, setting: str) -> Iterator[None]:
    """/metrics and /livez meanwhile, at HOST, or on loopback where that is a Unix socket; ``port`` 0: nowhere. Liveness asks
    nobody.

    Raises:
        SettingsError: it cannot listen there; the port is that of ``setting``.
    """
    if not port:
        yield
        return
    host = "127.0.0.1" if socket_path(host) is not None else host

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            """Either of the two."""
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, encode(registry), content_type)
            elif path == "/livez":
                self._answer(200, b'{"status":"ok"}', "application/json")
            else:
                self._answer(404, b'{"status":"there are /metrics and /livez"}', "application/json")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:  # noqa: ANN401 - its base's
            """Nothing: probes come all the time."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = AF_INET6 if ":" in host else AF_INET

        def handle_error(self, *_: Any) -> None:  # noqa: ANN401 - its base's
            """Nothing: who asked left."""

    try:
        server = Server((host, port), Handler)
    except OSError as error:
        raise SettingsError([f"{setting} is {port}, at {host}: {error}; allowed: a free port, or 0"]) from error
    with server:
        thread = Thread(target=server.serve_forever, name="decide-metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
