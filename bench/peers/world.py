"""What all servers share: one Redis of the run's own, simulated universes that the warm job loaded into it, one reply."""

import time
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis

from bench.addresses import HttpConnection
from bench.mix import Encoder
from bench.peers import catalogue
from bench.peers.judgement import agents_key, features_of, price_key
from bench.peers.processes import ROOT, Process, run_python, start_redis
from bench.scenario import ScenarioError

BARS = 80
"""Of each symbol: enough for every indicator; a record is as large for any more."""
_FEAST_SYMBOLS = 1000


def symbols_of(count: int) -> list[str]:
    """The names that ``data/make_universe.py`` gives."""
    return [f"SIM{number:05d}" for number in range(count)]


class World:
    """Make one, `load` universes, start servers in it, `close` it."""

    def __init__(self, folder: Path) -> None:
        if not Path("/proc/self/stat").exists():
            raise ScenarioError("the scenario peers measures CPU time by /proc, which only Linux has")
        redis = start_redis(folder)
        if redis is None:
            raise ScenarioError("the scenario peers needs a redis-server on the PATH")
        self.folder = folder
        self._redis = redis
        self.redis_url = f"redis://{redis.address.host}"
        self.client: Any = Redis.from_url(self.redis_url)
        while not self._answers():
            time.sleep(0.01)
        self._reply = folder / "reply.json"

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except OSError:
            return False

    def redis_bytes(self) -> int:
        """Memory that Redis uses for its data."""
        return int(self.client.info("memory")["used_memory_dataset"])

    def redis_cpu_s(self) -> float:
        """CPU seconds of Redis so far."""
        return self._redis.cpu_s()

    @property
    def reply(self) -> bytes:
        """What Decide answered."""
        return self._reply.read_bytes()

    def record_bytes(self, symbol: str) -> int:
        """Bytes of both records of a symbol."""
        return int(self.client.strlen(price_key(symbol))) + int(self.client.strlen(agents_key(symbol)))

    def close(self) -> None:
        """Stop Redis."""
        self.client.close()
        self._redis.stop()

    def load(self, count: int, prefix: str = "decide:1") -> None:
        """Make ``count`` symbols and have the warm job publish them under ``prefix``."""
        folder = self.folder / f"universe-{count}"
        if not folder.exists():
            script = str(ROOT / "data" / "make_universe.py")
            run_python(self.folder, {}, script, "--symbols", str(count), "--bars", str(BARS), str(folder))
        settings = {"REDIS_URL": self.redis_url, "KEY_PREFIX": prefix}
        run_python(self.folder, settings, "-m", "warm", "--prices", str(folder / "prices"), "--agents", str(folder / "agents"))

    def environment(self) -> dict[str, str]:
        """What servers are told."""
        newest = self.client.hget("decide:1:run", "newest_as_of_ms")
        assert newest is not None
        return {
            "REDIS_URL": self.redis_url,
            "PEER_REDIS_URL": self.redis_url,
            "PEER_NEWEST_AS_OF_MS": newest.decode(),
            "PEER_REPLY": str(self._reply),
        }

    def start(self, server: catalogue.Server) -> Process:
        """Start ``server``."""
        return catalogue.start(server, self.folder, self.environment())

    def keep_reply(self, process: Process) -> bytes:
        """Ask Decide for a decision from L1, and let the servers of constant replies say the same."""
        request = Encoder("x").prepared("decide", (symbols_of(1)[0],))
        body = b""
        for _ in range(2):
            connection = HttpConnection(process.address, 10.0)
            connection.request("POST", "/decide", request.wire.split(b"\r\n\r\n", 1)[1], {"Content-Type": "application/json"})
            body = connection.getresponse().read()
            connection.close()
        self._reply.write_bytes(body)
        return body

    def prepare_feast(self) -> bytes:
        """Load the price features of the first symbols into Feast's store; the body of a request for one of them."""
        import polars as pl  # noqa: PLC0415 - only here

        folder = self.folder / "feast"
        folder.mkdir()
        names = symbols_of(_FEAST_SYMBOLS)
        rows = []
        for symbol in names:
            raw = self.client.get(price_key(symbol))
            assert raw is not None
            rows.append({"symbol": symbol, **features_of(symbol, raw)})
        stamp = pl.lit(time.time_ns() // 1000).cast(pl.Datetime("us", "UTC")).alias("event_timestamp")
        pl.DataFrame(rows).with_columns(stamp).write_parquet(folder / "features.parquet")
        script = str(ROOT / "bench" / "peers" / "servers" / "feast_store.py")
        run_python(self.folder, {}, script, str(folder), self._redis.address.host, python=str(catalogue.FEAST_PYTHON))
        features = [f"prices:{name}" for name in rows[0] if name != "symbol"]
        return msgspec.json.encode({"features": features, "entities": {"symbol": ["SYMBOL"]}})
