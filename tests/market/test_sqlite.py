"""What is the embedded market store's own: its file, its deadlines, and what is left of it when its writer is killed."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.errors import MarketError
from app.market.migrating import migrations
from app.market.protocol import Batch, CandlePage, CandlesWanted, Export, Symbol, TradesWanted
from app.market.queries import Calendars, candles, trades
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_opening import connect, migrate
from app.market.sqlite_reader import EmbeddedReader
from tests.kit.servers import ROOT
from tests.kit.settle import until
from tests.market.giving import bar, export, sessions, trade
from tests.market.places import MINUTE_US, NOON_US, Place

_KILLS = 10
_WRITE = """
import sys
from pathlib import Path
from app.market.protocol import Batch, Gap, Move, Partition
from app.market.sqlite import EmbeddedWriter
from tests.market.giving import trade
from tests.market.places import NOON_US

writer = EmbeddedWriter(Path(sys.argv[1]))
partition = Partition("log", "trades", "1", 0)
at = writer.offsets("log").get(partition)
while True:
    first = at or 0
    # Some of them came before; each batch leaves a gap of its own.
    trades = [trade(n, NOON_US + n * 50_000, str(10 + n % 7)) for n in range(max(0, first - 20), first + 300)]
    gap = Gap("V", "A", first + 1, first + 2, "ids")
    writer.apply(Batch(trades=trades, gaps=[gap], moves=[Move(partition, at, first + 300)]))
    at = first + 300
    print(at, flush=True)
"""


def _reader(path: Path, **options: Any) -> EmbeddedReader:  # noqa: ANN401 - as it has them
    """One whose deadline no machine comes to that is only slow."""
    return EmbeddedReader(path, deadline_s=60.0, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "market.sqlite3"


def test_nobody_else_may_read_the_file_its_log_or_its_folder(path: Path) -> None:
    """Whoever opens it first."""
    reader = _reader(path)
    asyncio.run(reader.ping())
    writer = EmbeddedWriter(path)
    writer.apply(Batch(trades=[trade(1)]))
    found = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert found == {"market.sqlite3": 0o600, "market.sqlite3-wal": 0o600, "market.sqlite3-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    writer.close()
    asyncio.run(reader.close())


def test_a_killed_writer_leaves_whole_batches(path: Path) -> None:
    """At random moments: trades, bars, gaps and offset are of the same batches, and what was acknowledged is there."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng, acknowledged, place = random.Random(seed), 0, Place(path)
    for _ in range(_KILLS):
        job = subprocess.Popen([sys.executable, "-c", _WRITE, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
        assert job.stdout is not None
        acknowledged = int(job.stdout.readline())
        time.sleep(rng.uniform(0, 0.05))
        job.send_signal(signal.SIGKILL)
        # Not by communicate: what was read along with the first line stands in the buffer.
        acknowledged = max([acknowledged, *map(int, job.stdout.read().split())])
        job.communicate()
        ((following,),) = place.rows("SELECT next FROM offsets")
        assert acknowledged <= following <= acknowledged + 300
        assert place.rows("SELECT count(*), count(DISTINCT trade_key) FROM trades") == [(following, following)]
        assert place.rows("SELECT sum(trades) FROM candles") == [(following,)]
        assert place.rows("SELECT count(*) FROM gaps") == [(following // 300,)]
    assert place.bars_of_trades() == [(*row[:-1], pytest.approx(row[-1], rel=1e-12)) for row in place.recomputed()]


def _fill(path: Path, minutes: int = 3_000) -> None:
    writer = EmbeddedWriter(path)
    writer.apply(Batch(trades=[trade(number, NOON_US + number * MINUTE_US) for number in range(minutes)]))
    writer.close()


def test_a_file_that_is_not_there_yet_is_an_empty_store_and_reading_makes_none(path: Path) -> None:
    """Of two servers one may not have read before the file went away: the other must go on to be told so."""
    first, second = _reader(path), _reader(path)
    wanted = CandlesWanted("A", "1m", 1)
    with asyncio.Runner() as runner:
        for reader in (first, second):
            assert runner.run(reader.candles(wanted)) == CandlePage((), None, is_known=False)
        assert not path.parent.exists()
        _fill(path)
        assert runner.run(first.candles(wanted)).is_known
        path.unlink()
        runner.run(second.ping())
        with pytest.raises(MarketError, match="the file is gone"):
            runner.run(first.candles(wanted))
        for reader in (first, second):
            runner.run(reader.close())


def test_a_file_that_is_gone_is_told_and_not_made_anew(path: Path) -> None:
    """An empty store would say that there is nothing. Put back it answers."""
    _fill(path)
    reader, away = _reader(path), path.with_name("away")
    wanted = CandlesWanted("A", "1m", 1)
    with asyncio.Runner() as runner:
        page = runner.run(reader.candles(wanted))
        path.rename(away)
        for _ in range(2):
            with pytest.raises(MarketError, match="the file is gone"):
                runner.run(reader.candles(wanted))
        path.touch()
        with pytest.raises(MarketError, match="is not applied to it yet"):
            runner.run(reader.candles(wanted))
        away.replace(path)
        assert runner.run(reader.candles(wanted)) == page
        runner.run(reader.close())


def test_a_read_ends_at_its_deadline(path: Path) -> None:
    """Inside of it: the clock jumps while it reads. The next one is answered."""
    _fill(path)
    now = [0.0]

    def clock() -> float:
        now[0] += 10.0
        return now[0]

    reader = _reader(path, clock=clock)

    async def check() -> None:
        with pytest.raises(MarketError, match="no answer within 60 s") as caught:
            await reader.candles(CandlesWanted("A", "1m", 3_000))
        assert caught.value.reason == "market_timeout"
        await reader.ping()
        await reader.close()

    asyncio.run(check())


def test_who_comes_while_too_many_wait_is_refused_at_once(path: Path) -> None:
    """And whoever waited is answered; a caller who leaves leaves nothing behind."""
    held, entered = threading.Event(), threading.Event()

    def clock() -> float:
        if threading.current_thread() is not threading.main_thread():
            entered.set()
            held.wait(20)
        return 0.0

    reader = _reader(path, threads=1, waiting_max=1, clock=clock)

    async def check() -> None:
        reads = [asyncio.create_task(reader.names(10, "", ())) for _ in range(2)]
        await asyncio.to_thread(entered.wait, 20)
        with pytest.raises(MarketError, match="2 reads are under way or waiting") as caught:
            await reader.names(10, "", ())
        assert caught.value.reason == "market_busy"
        reads[1].cancel()
        held.set()
        await reads[0]
        await until(lambda: reader._under_way == 0)
        await reader.names(10, "", ())
        await reader.close()

    asyncio.run(check())


def test_a_caller_leaves_a_read_that_does_not_notice_its_deadline(path: Path) -> None:
    """A disk that hangs holds the thread, and not its caller."""
    held = threading.Event()

    def clock() -> float:
        if threading.current_thread() is not threading.main_thread():
            held.wait(20)
        return 0.0

    reader = EmbeddedReader(path, threads=1, deadline_s=0.01, clock=clock)

    async def check() -> None:
        with pytest.raises(MarketError, match="no answer within"):
            await reader.ping()
        held.set()
        await reader.close()

    asyncio.run(check())


def test_a_read_that_waited_past_its_deadline_is_not_begun(path: Path) -> None:
    """It would only delay others."""

    def clock() -> float:
        return 0.0 if threading.current_thread() is threading.main_thread() else 5.0

    async def check() -> None:
        reader = EmbeddedReader(path, deadline_s=1.0, clock=clock)
        with pytest.raises(MarketError, match="no answer within 1 s"):
            await reader.ping()
        await reader.close()

    asyncio.run(check())
    assert not path.exists()


def test_a_file_that_takes_the_place_of_another_is_read_and_written(path: Path) -> None:
    """As when a backup is put back while both run."""
    writer, reader = EmbeddedWriter(path), _reader(path)

    async def count() -> int:
        return len((await reader.trades(TradesWanted("A", 10))).trades)

    writer.apply(Batch(trades=[trade(1), trade(2)]))
    assert asyncio.run(count()) == 2
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()
    with pytest.raises(MarketError, match="the file is gone"):
        asyncio.run(count())
    assert writer.apply(Batch(trades=[trade(1)])).inserted == 1
    assert asyncio.run(count()) == 1
    writer.close()
    asyncio.run(reader.close())


def test_a_file_of_an_older_version_that_takes_the_place_of_another_is_migrated(path: Path, tmp_path: Path) -> None:
    """A backup, copied back."""
    old, reader = tmp_path / "old.sqlite3", _reader(path)
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        migrate(connection, migrations("sqlite")[:1], "here")
    with closing(EmbeddedWriter(path)) as writer:
        writer.apply(Batch(trades=[trade(1)]))

    async def count() -> int:
        return len((await reader.trades(TradesWanted("A", 10))).trades)

    async def check() -> None:
        assert await count() == 1
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink()
        old.replace(path)
        assert await count() == 0
        await reader.close()

    asyncio.run(check())


def test_sessions_and_symbols_of_another_file_are_not_those_of_the_one_before(tmp_path: Path) -> None:
    """Though either has changed as often."""
    path, other = tmp_path / "market.sqlite3", tmp_path / "other.sqlite3"
    for each, length_min, symbol in ((path, 390, "B"), (other, 210, "C")):
        with closing(EmbeddedWriter(each, clock_us=lambda: NOON_US)) as writer:
            writer.put_symbols([Symbol("A", market="X"), Symbol(symbol)])
            writer.put_sessions("X", sessions(date(2023, 11, 15), [length_min]))
            writer.put_bars(export("y", [1_700_006_400_000_000], interval="1d"))
    reader, others = _reader(path), ["B"]

    async def check() -> tuple[int, int]:
        (bar,) = (await reader.candles(CandlesWanted("A", "1d", 1))).bars
        return (bar.end_us - bar.start_us) // MINUTE_US, (await reader.names(9, "", others)).beside

    with asyncio.Runner() as runner:
        assert runner.run(check()) == (390, 1)
        other.replace(path)
        assert runner.run(check()) == (210, 2)
        runner.run(reader.close())


def test_what_is_no_store_is_an_error_and_no_empty_answer(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(MarketError, match="file is not a database"):
        EmbeddedWriter(path).apply(Batch())

    async def check() -> None:
        reader = _reader(path)
        with pytest.raises(MarketError, match="file is not a database"):
            await reader.ping()
        await reader.close()

    asyncio.run(check())


@pytest.mark.parametrize("damage", ["close = 'ten'", "open_key = '[1'"])
def test_damaged_numbers_are_an_error(path: Path, damage: str) -> None:
    """To whoever reads them, be it to write."""
    _fill(path, 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE candles SET {damage}")  # noqa: S608 - of the test
    with closing(EmbeddedWriter(path)) as writer, pytest.raises(MarketError, match="SQLite at"):
        writer.apply(Batch(trades=[trade(99)]))
    if damage.startswith("open_key"):
        return

    async def check() -> None:
        reader = _reader(path)
        with pytest.raises(MarketError):
            await reader.candles(CandlesWanted("A", "1m", 1))
        await reader.close()

    asyncio.run(check())


def test_a_writer_that_finds_the_store_locked_says_busy_and_goes_on_later(path: Path) -> None:
    writer = EmbeddedWriter(path, busy_s=0.01)
    writer.apply(Batch())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MarketError, match="locked") as caught:
            writer.apply(Batch(trades=[trade(1)]))
        assert caught.value.reason == "market_busy"
    assert writer.apply(Batch(trades=[trade(1)])).inserted == 1
    writer.close()


def test_readers_go_on_while_a_writer_holds_its_transaction(path: Path) -> None:
    _fill(path, 5)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM candles")
        page = Place(path).read(lambda reader: reader.candles(CandlesWanted("A", "1m", 10)))
    assert len(page.bars) == 5


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such folders")
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(MarketError, match="SQLite at"):
        EmbeddedWriter(tmp_path / "file" / "market.sqlite3").apply(Batch())


def _steps_of(path: Path, page: Callable[[sqlite3.Connection], object]) -> int:
    """How many steps SQLite's machine makes."""
    connection, steps = connect(path, 1.0), [0]

    def step() -> int:
        steps[0] += 1
        return 0

    page(connection)
    connection.set_progress_handler(step, 1)
    page(connection)
    connection.close()
    return steps[0]


def test_a_page_costs_the_same_however_much_is_stored(tmp_path: Path) -> None:
    """Of minutes, of hours and of trades, at the end of what is there."""
    costs: list[dict[str, int]] = []
    for hours in (20, 400):
        path = tmp_path / str(hours) / "market.sqlite3"
        writer = EmbeddedWriter(path)
        count = hours * 60
        writer.apply(Batch(trades=[trade(number, NOON_US + number * MINUTE_US) for number in range(count)]))
        writer.put_bars(Export("A", "1m", "x", [bar(NOON_US + number * MINUTE_US) for number in range(count)]))
        writer.close()
        last = trade(count - 20, NOON_US + (count - 20) * MINUTE_US).order
        asked = {
            "1m": CandlesWanted("A", "1m", 10, after_us=NOON_US + (count - 20) * MINUTE_US),
            "1h": CandlesWanted("A", "1h", 10, descending=True),
        }
        pages: dict[str, Callable[[sqlite3.Connection], object]] = {
            name: lambda connection, wanted=wanted: candles(connection, wanted, Calendars(), (), NOON_US)  # type: ignore[misc]
            for name, wanted in asked.items()
        }
        pages["trades"] = lambda connection, last=last: trades(connection, TradesWanted("A", 10, after=last))  # type: ignore[misc]
        costs.append({name: _steps_of(path, page) for name, page in pages.items()})
    few, many = costs
    assert {name: steps for name, steps in many.items() if steps > 1.3 * few[name]} == {}
