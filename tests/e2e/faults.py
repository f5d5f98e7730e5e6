"""Faults of Redis and of callers, what begins and ends each, and witnesses who ask all the while and know what is true."""

import asyncio
import http.client
import os
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import redis

from app.errors import StoreError
from app.store.codec import encode
from app.store.opening import open_store
from app.store.protocol import Row, Store
from tests.e2e.flood import Flood
from tests.kit.records import agent_record, agent_view, make_row, price_record, run_info
from tests.kit.servers import RedisServer
from tests.kit.toxics import ToxicProxy, Toxics

SYMBOLS = [f"S{number:03}" for number in range(40)]
SEED = int(os.environ.get("FAULT_SEED", secrets.randbelow(2**32)))
SPOILT_S, WELL_S = 3, 6
"""A fault lasts for so long, if it says nothing else; then there is so long to be as before: five seconds and one to look at."""
_PUBLISH_EVERY_S = 0.5
_LARGE_SYMBOLS, _LARGE_BYTES = 4, 10_000_000
_SERVED_S = 0.5
BAD = "bad_agent"
"""Whose word is taken back."""
_STARTED_MS = time.time_ns() // 1_000_000
_TEN_YEARS_MS = 3653 * 86_400_000


async def _publish(store: Store, number: int, ahead_ms: int = 0) -> None:
    """Publication ``number``, dated a moment ago, or so far ahead."""
    as_of_ms = _STARTED_MS + number + ahead_ms
    await store.publish_run(_rows(number, as_of_ms), run_info(f"run-{number}", as_of_ms, len(SYMBOLS)))


def _rows(number: int, as_of_ms: int) -> list[Row]:
    """Publication ``number``: both records of every symbol, of one time, with a view that is positive if the number is even."""
    run = f"run-{number}"
    view = agent_view("witness", 0.6 if number % 2 == 0 else -0.6, as_of_ms)
    return [
        make_row(
            symbol,
            as_of_ms,
            encode(price_record(symbol, as_of_ms, run)),
            as_of_ms,
            encode(agent_record(symbol, as_of_ms, run, (view,))),
        )
        for symbol in SYMBOLS
    ]


class Publisher:
    """Publishes all symbols anew twice a second, straight into Redis, unless it is told to pause."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._running = threading.Event()
        self._running.set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._number = 0
        self.published: list[tuple[float, int]] = []
        """When which number was there for certain."""
        self.bad: list[tuple[float, float]] = []
        """From when, and until when, a word of `BAD` was there."""

    def __enter__(self) -> Self:
        self._thread.start()
        while not self.published:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def pause(self) -> None:
        """What is spoilt stays so."""
        self._running.clear()

    def go_on(self) -> None:
        """After `pause`."""
        self._running.set()

    def newest_by(self, moment: float) -> int:
        """The number of the newest publication that was there at ``moment``."""
        return max(number for at, number in self.published if at <= moment)

    async def _run(self) -> None:
        store = open_store(redis_url=self._url, store_path=Path(), key_prefix="decide:1")
        while not self._over.is_set():
            if self._running.is_set():
                self._number += 1
                with suppress(StoreError):
                    await _publish(store, self._number)
                    self.published.append((time.monotonic(), self._number))
            await asyncio.sleep(_PUBLISH_EVERY_S)
        await store.close()


class Witness:
    """Asks for one symbol after the other, and knows whether an answer can be true."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.decisions = 0
        self.wrong: list[str] = []
        self.seen: list[tuple[float, int]] = []
        """When which publication was answered with."""
        self.bad: list[float] = []
        """When a word of `BAD` was."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        newest: dict[str, int] = {}
        while not self._over.is_set():
            symbol = SYMBOLS[self.decisions % len(SYMBOLS)]
            asked = time.monotonic()
            try:
                connection.request(
                    "POST",
                    "/decide",
                    msgspec.json.encode({"symbol": symbol, "explain": True}),
                    {"Content-Type": "application/json"},
                )
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(f"no answer: {error!r}")
                connection.close()
                continue
            if answer.status != 200:
                self.wrong.append(f"{answer.status}: {body!r}")
                continue
            self.decisions += 1
            self._judge(symbol, dict(msgspec.json.decode(body)), newest, asked)
            time.sleep(0.02)
        connection.close()

    def _judge(self, symbol: str, answer: dict[str, Any], newest: dict[str, int], asked: float) -> None:
        if any(view["agent"] == BAD for view in answer["views"]):
            self.bad.append(asked)
        if not answer["views"] or answer["inputs"]["price"]["status"] not in ("present", "stale"):
            return
        (view,) = answer["views"]
        if view["as_of"] != answer["as_of"]:
            self.wrong.append(f"{symbol}: torn, price of {answer['as_of']} and agents of {view['as_of']}")
        number = int(answer["cache"]["run"].removeprefix("run-"))
        if (answer["contributions"]["agents"] > 0) != (number % 2 == 0):
            self.wrong.append(f"{symbol}: decided {answer['contributions']} from {number}")
        if number < newest.get(symbol, 0):
            self.wrong.append(f"{symbol}: went back from {newest[symbol]} to {number}")
        newest[symbol] = number
        self.seen.append((asked, number))


class Fault(NamedTuple):
    """What spoils Redis or the server's peace, and what ends it. ``marks`` is whether callers must notice in their answers."""

    name: str
    begin: Callable[["Scene"], None]
    end: Callable[["Scene"], None]
    marks: bool
    spoilt_s: int = SPOILT_S


class Output:
    """A pipe in the place of the server's log, and who reads it, or does not."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # For both: whoever only reads waits for who writes.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._over = threading.Event()
        self._reads = threading.Event()
        self._reads.set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        os.close(self._descriptor)

    def block(self) -> None:
        """It is full, and nobody reads."""
        self._reads.clear()
        with suppress(BlockingIOError):
            while True:
                os.write(self._descriptor, b"\n" * 512)

    def go_on(self) -> None:
        """After `block`."""
        self._reads.set()

    def _run(self) -> None:
        while not self._over.is_set():
            if self._reads.is_set():
                with suppress(BlockingIOError):
                    os.read(self._descriptor, 65_536)
            time.sleep(0.01)


class Scene:
    """A Redis, who publishes into it, a proxy in front of it, a seed; the server's workers, its log, and who floods it."""

    workers: Sequence[int] = ()

    def __init__(self, server: RedisServer, proxy: ToxicProxy, publisher: Publisher, output: Output) -> None:
        self.output = output
        self.server = server
        self.proxy = proxy
        self.publisher = publisher
        self.random = random.Random(SEED)
        self.client = redis.Redis.from_url(server.url)
        self.flood: Flood | None = None

    def warm(self) -> None:
        """Remove what may have taken the place of records, and have them published again."""
        self.client.flushall()
        self.publisher.go_on()

    def flush(self) -> None:
        """FLUSHALL."""
        self.publisher.pause()
        self.client.flushall()

    def toxic(self, toxics: Toxics) -> None:
        """From now on."""
        self.proxy.toxics = toxics

    def overwrite(self, value: Callable[[bytes], bytes], symbols: int = len(SYMBOLS)) -> None:
        """The records of so many symbols become ``value`` of them, without a word in the feed."""
        self.publisher.pause()
        time.sleep(0.1)
        for symbol in SYMBOLS[:symbols]:
            for kind in ("price", "agents"):
                key = f"decide:1:{{{symbol}}}:{kind}"
                before = self.client.get(key)
                assert isinstance(before, bytes)
                self.client.set(key, value(before))

    def lists_for_records(self) -> None:
        """Every record is of another type."""
        self.publisher.pause()
        for key in self.client.keys("decide:1:{*}:*"):
            self.client.delete(key)
            self.client.lpush(key, "no record")

    def stamp_ahead(self) -> None:
        """A run comes of which every record is dated ten years ahead, as by a clock that is wrong."""
        self.publisher.pause()
        time.sleep(0.1)

        async def publish() -> None:
            store = open_store(redis_url=self.server.url, store_path=Path(), key_prefix="decide:1")
            try:
                await _publish(store, 0, _TEN_YEARS_MS)
            finally:
                await store.close()

        asyncio.run(publish())

    def withdraw(self) -> None:
        """A run comes with another agent's word in the place of all others, is served, and is taken back."""
        self.publisher.pause()
        time.sleep(0.1)
        number = self.publisher.published[-1][1]
        as_of_ms = _STARTED_MS + number
        view = agent_view(BAD, 0.6 if number % 2 == 0 else -0.6, as_of_ms)
        rows = [make_row(each, None, None, as_of_ms, encode(agent_record(each, as_of_ms, BAD, (view,)))) for each in SYMBOLS]

        async def publish_and_withdraw() -> None:
            store = open_store(redis_url=self.server.url, store_path=Path(), key_prefix="decide:1")
            try:
                began = time.monotonic()
                await store.publish_run(rows, run_info(BAD, as_of_ms, len(SYMBOLS)))
                await asyncio.sleep(_SERVED_S)
                await store.withdraw(run=BAD)
                self.publisher.bad.append((began, time.monotonic()))
            finally:
                await store.close()

        asyncio.run(publish_and_withdraw())

    def restart_empty(self) -> None:
        """Kill -9, and a new one without data."""
        self.publisher.pause()
        self.server.kill()
        self.server.start()
        self.client = redis.Redis.from_url(self.server.url)

    def stop(self) -> None:
        """SIGSTOP."""
        self.publisher.pause()
        self.server.pause()

    def go_on(self) -> None:
        """SIGCONT."""
        self.server.go_on()
        self.publisher.go_on()

    def kill_clients(self) -> None:
        """CLIENT KILL of every other connection."""
        self.client.client_kill_filter(_type="normal", skipme=True)

    def stop_worker(self) -> None:
        """SIGSTOP of one of them."""
        os.kill(self.workers[0], signal.SIGSTOP)

    def trim(self) -> None:
        """All of the feed's entries go, while nobody can read them."""
        self.client.xtrim("decide:1:changes", maxlen=0, approximate=False)
        self.toxic(Toxics())


def _flood(house: Scene) -> None:
    assert house.flood is not None
    house.flood.begin()


def _ebb(house: Scene) -> None:
    assert house.flood is not None
    house.flood.end()


def _well(house: Scene) -> None:
    house.toxic(Toxics())


def _silent(house: Scene) -> None:
    house.toxic(Toxics(timeout=True))


FAULTS = (
    Fault("latency of 50 ± 20 ms", lambda house: house.toxic(Toxics(latency_s=0.05, jitter_s=0.02)), _well, marks=False),
    Fault("answers in slices of 3 bytes", lambda house: house.toxic(Toxics(slice_bytes=3)), _well, marks=False),
    Fault("connections reset", lambda house: house.toxic(Toxics(reset=True)), _well, marks=True),
    Fault("connections end after 2 kB", lambda house: house.toxic(Toxics(limit_bytes=2048)), _well, marks=False),
    Fault("no answer at all", _silent, _well, marks=True),
    Fault("the feed trimmed while it cannot be read", _silent, Scene.trim, marks=True),
    Fault("connections cut", lambda house: house.proxy.cut(), lambda _: None, marks=False),
    Fault("CLIENT KILL", Scene.kill_clients, lambda _: None, marks=False),
    Fault("SIGSTOP for 10 s", Scene.stop, Scene.go_on, marks=True, spoilt_s=10),
    Fault("FLUSHALL", Scene.flush, Scene.warm, marks=True),
    Fault("kill -9, back empty", Scene.restart_empty, Scene.warm, marks=True),
    Fault("records of another type", Scene.lists_for_records, Scene.warm, marks=True),
    Fault("records dated ten years ahead", Scene.stamp_ahead, Scene.warm, marks=True),
    Fault("a run withdrawn", Scene.withdraw, lambda house: house.publisher.go_on(), marks=True),
    Fault("truncated records", lambda house: house.overwrite(lambda old: old[: len(old) // 2]), Scene.warm, marks=True),
    Fault("random bytes", lambda house: house.overwrite(lambda old: house.random.randbytes(len(old))), Scene.warm, marks=True),
    Fault(
        f"records of 10 MB in {_LARGE_SYMBOLS} of {len(SYMBOLS)} symbols",
        lambda house: house.overwrite(lambda _: b"\xdc" * _LARGE_BYTES, _LARGE_SYMBOLS),
        Scene.warm,
        marks=True,
    ),
    Fault("a flood of open routes", _flood, _ebb, marks=False),
    Fault("a blocked stdout", lambda house: house.output.block(), lambda house: house.output.go_on(), marks=False),
)
FAULTS_OF_WORKERS = (Fault("a stuck worker, of two", Scene.stop_worker, lambda _: None, marks=False, spoilt_s=13),)
"""What was under way in it is lost with it; nobody else may notice."""
