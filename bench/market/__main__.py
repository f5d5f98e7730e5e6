"""``python -m bench --scenario market``: what both market stores take in; pages of candles and trades beside the stack that most
people would build, FastAPI + SQLAlchemy + psycopg with OFFSET and a total.

It starts a PostgreSQL of its own, unless ``--database-url`` names one where databases may be made; Decide on it and on SQLite;
and the peer. All have the same data, and the same answers, which is checked. The whole takes about a quarter of an hour and
writes its section of ``bench/RESULTS.md``; ``--quick`` stores a tenth, and writes under ``bench/results``; ``--smoke`` only
sees that everything runs.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app.arguments import number
from bench import machine, sections
from bench.market import findings, page
from bench.market.database import OURS, PEERS, Database
from bench.market.findings import MarketFindings, Writing
from bench.market.reading import Experiments, Pace, Server
from bench.market.writing import URL, Written
from bench.peers import catalogue
from bench.peers.processes import run_python
from bench.scenario import ScenarioError

_MILLION = 1_000_000
WHOLE = Pace(
    candles=10 * _MILLION,
    trades=_MILLION,
    written=10 * _MILLION,
    resent=500_000,
    rounds=5,
    seconds=4.0,
    walked=1000,
    compared=100,
)
QUICK = msgspec.structs.replace(
    WHOLE, candles=_MILLION, trades=200_000, written=2 * _MILLION, resent=100_000, rounds=3, seconds=2.0, walked=300
)
SMOKE = msgspec.structs.replace(
    QUICK, candles=5000, trades=5000, written=20_000, resent=10_000, rounds=1, seconds=0.3, walked=10, compared=10
)
PACKAGES = ("granian", "psycopg", "fastapi", "sqlalchemy", "uvicorn", "pydantic")
WRITING, CANDLES, TRADES = ALONE = ("writing", "candles", "trades")
_FAILED = 1
_PEER = "FastAPI + SQLAlchemy + psycopg"
_TITLES = {"sqlite": "Decide, SQLite", "postgres": "Decide, PostgreSQL"}
Progress = Callable[[str], None]


def write_trades(name: str, database: Database, folder: Path, pace: Pace) -> Writing:
    """One store, in a process of its own."""
    url = database.url(OURS) if name == "postgres" else ""
    before_s = database.cpu_s()
    arguments = (str(folder / "written.sqlite3"), str(pace.written), str(pace.resent))
    found = msgspec.json.decode(run_python(folder, {URL: url}, "-m", "bench.market.writing", *arguments), type=Written)
    after_s = database.cpu_s()
    if found.wrong:
        raise ScenarioError(f"{_TITLES[name]}: {found.wrong}")
    spent_s = None if name == "sqlite" or before_s is None or after_s is None else after_s - before_s
    middle, end = found.memory_mb[(len(found.memory_mb) - 1) // 2], found.memory_mb[-1]
    return Writing(
        name=name,
        title=_TITLES[name],
        trades=found.trades,
        trades_per_s=found.trades / found.wall_s,
        cpu_us=found.cpu_s / found.trades * 1e6,
        database_us=None if spent_s is None else spent_s / (found.trades + found.resent) * 1e6,
        resent_per_s=found.resent / found.resent_wall_s,
        memory_mb=(middle, end),
    )


def load(database: Database, folder: Path, pace: Pace) -> None:
    """The same candles and trades for all, beside each other."""
    places = (("decide", ""), ("decide", database.url(OURS)), ("peer", database.url(PEERS)))

    def run(way: str, url: str) -> None:
        arguments = (way, str(folder / "market.sqlite3"), str(pace.candles), str(pace.trades))
        run_python(folder, {URL: url}, "-m", "bench.market.loading", *arguments)

    with ThreadPoolExecutor(len(places)) as threads:
        for done in [threads.submit(run, *each) for each in places]:
            done.result()
    database.settle()


@contextmanager
def servers(database: Database, folder: Path) -> Iterator[list[Server]]:
    """Decide on both stores, and the peer, all started."""
    market = {"postgres": {"DATABASE_URL": database.url(OURS)}, "sqlite": {"MARKET_PATH": str(folder / "market.sqlite3")}}
    ours = [
        msgspec.structs.replace(catalogue.decide(name, title, **market[name]), ready="/livez")
        for name, title in reversed(_TITLES.items())
    ]
    peer = catalogue.uvicorn("peer", _PEER, "bench.peers.servers.fastapi_market:app")
    started = list[Server]()
    try:
        for server in (*ours, peer):
            place = folder / server.name
            place.mkdir()
            process = catalogue.start(server, place, {"PEER_DATABASE_URL": database.url(PEERS)})
            started.append(Server(server.name, server.title, process, None if server.name == "sqlite" else database))
        yield started
    finally:
        for each in started:
            each.process.stop()


def measure(chosen: Sequence[str], pace: Pace, url: str, margin: float, progress: Progress) -> MarketFindings:
    """What is ``chosen`` of `ALONE`."""
    if not Path("/proc/self/stat").exists():
        raise ScenarioError("the scenario market measures CPU time by /proc, which only Linux has")
    started_at, started, load_1 = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter(), os.getloadavg()[0]
    writing, pages = list[Writing](), []
    with tempfile.TemporaryDirectory(prefix="decide-market-") as name, closing(Database(url)) as database:
        folder = Path(name)
        if WRITING in chosen:
            for store, title in _TITLES.items():
                progress(f"{title}: {pace.written:,} trades")
                writing.append(write_trades(store, database, folder, pace))
            database.clear()
        if set(chosen) - {WRITING}:
            progress(f"loading {pace.candles:,} candles and {pace.trades:,} trades, everywhere")
            load(database, folder, pace)
            with servers(database, folder) as running:
                experiments = Experiments(running, pace, progress)
                pages += experiments.candles() if CANDLES in chosen else []
                pages += experiments.trades() if TRADES in chosen else []
    return MarketFindings(
        started_at=started_at,
        took_s=round(time.perf_counter() - started, 1),
        commit=machine.commit(),
        machine=machine.machine(),
        versions=machine.versions(PACKAGES),
        postgres_version=database.version,
        load=round(load_1, 1),
        candles=pace.candles,
        trades=pace.trades,
        writing=writing,
        pages=pages,
        goals=findings.judge(writing, pages, margin),
    )


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 every goal is met, or it is a smoke run; 1 one is missed; 2 something needed is not there, or an answer is
    another than the peer's; 130 interrupted.
    """
    parser = sections.options_of("market", __doc__, ALONE)
    parser.add_argument("--candles", type=number(least=1000, most=1e9), help="so many are stored (default 10,000,000)")
    parser.add_argument("--database-url", default="", help="a PostgreSQL where databases may be made (default: one of its own)")
    options = parser.parse_args(arguments)
    pace = SMOKE if options.smoke else QUICK if options.quick else WHOLE
    if options.candles is not None:
        pace = msgspec.structs.replace(pace, candles=int(options.candles))
    chosen = ALONE if options.only is None else (options.only,)

    def measured(progress: Progress) -> MarketFindings:
        return measure(chosen, pace, options.database_url, options.margin, progress)

    found = sections.run("market", options, measured, page.markdown, is_whole=pace is WHOLE)
    if isinstance(found, int):
        return found
    return _FAILED if not options.smoke and not all(goal.met for goal in found.goals) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
