"""What is the SQLite log's own: its file, what is left of it when its writers are killed, and how long it keeps messages."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from app.market.protocol import Partition
from tests.kit.servers import ROOT
from tests.stream.places import TOPIC, Place, drain, values
from tests.stream.writing import BATCH
from warm.stream.log import LogError, Message, OffsetOutOfRange, Outgoing, Position, Watermarks, partition_of
from warm.stream.sqlite_log import EmbeddedLog
from warm.stream.sqlite_reader import EmbeddedReader

_KILLS = 10
_LONG_S = 100.0
_MANY, _BATCHES = 10**9, 500


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "log.sqlite3"


def _writer(path: Path, name: str, first: int, last: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.stream.writing", str(path), name, str(first), str(last)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True)


def _begin(job: "subprocess.Popen[str]") -> None:
    assert job.stdin is not None
    job.stdin.write("\n")
    job.stdin.flush()


def _check_order(messages: list[Message]) -> None:
    """No partition has a hole, or tells of a writer's later batch before an earlier one."""
    for partition in {each.partition for each in messages}:
        part = [each for each in messages if each.partition == partition]
        assert [each.offset for each in part] == list(range(part[0].offset, part[0].offset + len(part)))
        for name in {_batch(each)[0] for each in part}:
            numbers = [_batch(each)[1] for each in part if _batch(each)[0] == name]
            assert numbers == sorted(numbers)


def _batch(message: Message) -> tuple[str, int]:
    name, number = (message.value or b"").decode().split()
    return name, int(number)


def test_nobody_else_may_read_the_file_its_log_or_its_folder(path: Path) -> None:
    with closing(EmbeddedLog(path)) as log:
        log.create(TOPIC, 1)
        found = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        assert found == {"log.sqlite3": 0o600, "log.sqlite3-wal": 0o600, "log.sqlite3-shm": 0o600}
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_killed_writer_leaves_whole_appends_and_no_hole(path: Path) -> None:
    """At random moments, while somebody reads: what was acknowledged is there once, in order."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng, acknowledged, found = random.Random(seed), -1, list[Message]()
    with closing(Place(path)) as place:
        reader = place.reader()
        for _ in range(_KILLS):
            first = 1 + max((_batch(each)[1] for each in found), default=-1)
            job = _writer(path, "w", first, _MANY)
            _begin(job)
            assert job.stdout is not None
            acknowledged = int(job.stdout.readline())
            until = time.monotonic() + rng.uniform(0, 0.05)
            while time.monotonic() < until:
                found += reader.poll(100, 0.001)
            job.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, job.stdout.read().split())])
            job.communicate()
            while messages := reader.poll(1_000, 0):
                found += messages
            batches = Counter(_batch(each)[1] for each in found)
            assert set(batches.values()) == {BATCH}
            assert acknowledged <= max(batches) <= acknowledged + 1
            assert sorted(batches) == list(range(max(batches) + 1))
    _check_order(found)


def test_two_processes_that_write_lose_nothing_and_write_nothing_twice(path: Path) -> None:
    """While a reader reads; another one reads the same afterwards."""
    jobs = [_writer(path, name, 0, _BATCHES) for name in "ab"]
    with closing(Place(path)) as place:
        place.log().create(TOPIC, 3)
        for job in jobs:
            _begin(job)
        for reader in (place.reader(), place.reader()):
            found = list[Message]()
            while len(found) < 2 * _BATCHES * BATCH:
                messages = reader.poll(500, _LONG_S)
                assert messages
                found += messages
            assert reader.poll(1, 0) == []
            assert set(Counter(_batch(each) for each in found).values()) == {BATCH}
            _check_order(found)
    for job in jobs:
        job.communicate()
        assert job.returncode == 0


def test_a_file_that_was_removed_is_noticed_by_writers_and_readers(path: Path) -> None:
    """Its topics are not there any more, and those that are made anew are others."""
    with closing(Place(path)) as place:
        log, reader = place.log(), place.reader()
        log.create(TOPIC, 1)
        log.append(TOPIC, values(1, 2))
        assert drain(reader) == [b"1", b"2"]
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink()
        with pytest.raises(LogError, match="is not in the log"):
            log.append(TOPIC, values(3))
        assert drain(reader) == []
        assert reader.positions == {}
        log.create(TOPIC, 1)
        log.append(TOPIC, values(4, 5, 6))
        assert drain(reader) == [b"4", b"5", b"6"]


def test_an_append_into_a_file_that_is_removed_meanwhile_is_not_acknowledged(path: Path) -> None:
    def remove() -> int:
        path.unlink()
        return 1

    with closing(EmbeddedLog(path, clock_ms=remove)) as log:
        log.create(TOPIC, 1)
        with pytest.raises(LogError, match="was removed, or another took its place"):
            log.append(TOPIC, values(1))


def test_another_log_in_the_place_is_read_from_where_its_reader_is_told(path: Path) -> None:
    """Also if it is an older copy of the same: then what it lacks is said."""
    copy, stored = path.with_name("copy"), dict[Partition, int]()
    with closing(Place(path)) as place:
        log, reader = place.log(), place.reader(begin=stored.get)
        log.create(TOPIC, 1)
        log.append(TOPIC, values(1, 2))
        with closing(sqlite3.connect(path)) as there, closing(sqlite3.connect(copy)) as backup:
            there.backup(backup)
        log.append(TOPIC, values(3))
        assert drain(reader) == [b"1", b"2", b"3"]
        stored |= reader.positions
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink()
        copy.replace(path)
        with pytest.raises(OffsetOutOfRange) as caught:
            reader.poll(10, 0)
        assert (caught.value.offset, caught.value.watermarks) == (3, Watermarks(0, 2))
        reader.seek(caught.value.partition, 2)
        assert log.append(TOPIC, values(4)) == [Position(0, 2)]
        assert drain(reader) == [b"4"]


def test_a_writer_that_finds_the_log_locked_says_busy_and_goes_on_later(path: Path) -> None:
    """Readers go on meanwhile."""
    with closing(EmbeddedLog(path, busy_s=0.01)) as log, closing(log.reader([TOPIC], lambda _: None)) as reader:
        log.create(TOPIC, 1)
        log.append(TOPIC, values(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("DELETE FROM batches")
            with pytest.raises(LogError, match="locked") as caught:
                log.append(TOPIC, values(2))
            assert caught.value.reason == "log_busy"
            assert drain(reader) == [b"1"]
        log.append(TOPIC, values(3))
        assert drain(reader) == [b"3"]


def test_what_is_no_log_is_an_error_and_no_silence(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with closing(Place(path)) as place:
        calls = (
            lambda: place.log().append(TOPIC, values(1)),
            lambda: place.log().watermarks(TOPIC),
            lambda: place.reader().poll(1, 0),
        )
        for call in calls:
            with pytest.raises(LogError, match="file is not a database") as caught:
                call()
            assert caught.value.reason == "log_error"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such folders")
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with closing(EmbeddedLog(tmp_path / "file" / "log.sqlite3")) as log, pytest.raises(LogError, match="SQLite at"):
        log.create(TOPIC, 1)


def test_a_log_of_a_later_version_is_left_alone(path: Path) -> None:
    with closing(EmbeddedLog(path)) as log:
        log.create(TOPIC, 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (2, '0002_later.sql', '', 0)")
    with closing(EmbeddedLog(path)) as log, pytest.raises(LogError, match=r"0002_later\.sql was applied to it"):
        log.append(TOPIC, values(1))


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM batches WHERE next = 2", "UPDATE batches SET messages = x'c1' WHERE next = 2", "UPDATE batches SET count = 2"],
    ids=["batch is missing", "no messages", "too few messages"],
)
def test_a_damaged_partition_is_an_error_and_costs_others_nothing(path: Path, damage: str) -> None:
    """What was read of these in the same poll is read again."""
    other = next(key for key in (b"B", b"C", b"D") if partition_of(key, 2) != partition_of(b"A", 2))
    with closing(Place(path)) as place:
        log = place.log()
        log.create(TOPIC, 2)
        for number in range(3):
            log.append(TOPIC, values(number))
        (number,) = {each.partition for each in log.append(TOPIC, values(3))}
        (damaged,) = (each for each in log.watermarks(TOPIC) if each.partition == number)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(damage)
        log.append(TOPIC, values("other", key=other))
        reader = place.reader()
        # Either of the two has its turn as the first.
        for _ in range(2):
            with pytest.raises(LogError):
                reader.poll(100, 0)
        log.trim(damaged, 4)
        with pytest.raises(OffsetOutOfRange):
            reader.poll(100, 0)
        reader.seek(damaged, 4)
        assert drain(reader) == [b"other"]


def test_old_messages_go_when_new_ones_come(path: Path) -> None:
    """Some at a time, of topics that ask for it, in partitions that are written to."""
    now_ms = 0
    with closing(EmbeddedLog(path, clock_ms=lambda: now_ms)) as log:
        log.create(TOPIC, 1, retention_ms=1_000)
        log.create("kept", 1)
        for now_ms in range(100):  # noqa: B007 - the clock's
            log.append(TOPIC, values(1, 2))
            log.append("kept", values(1))
        now_ms = 1_050
        log.append(TOPIC, values(3))
        assert list(log.watermarks(TOPIC).values()) == [Watermarks(100, 201)]
        now_ms = 5_000
        log.append(TOPIC, values(4))
        now_ms = 6_000
        log.append(TOPIC, values(5))
        assert list(log.watermarks(TOPIC).values()) == [Watermarks(201, 203)]
        log.append("kept", values(1))
        assert list(log.watermarks("kept").values()) == [Watermarks(0, 101)]
        with closing(log.reader([TOPIC], lambda _: None)) as reader:
            assert drain(reader) == [b"4", b"5"]
        log.create(TOPIC, 1, retention_ms=1)
        log.append(TOPIC, values(6))
        assert list(log.watermarks(TOPIC).values()) == [Watermarks(202, 204)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM batches WHERE number = 1").fetchone() == (2,)


def test_a_writer_that_wakes_nobody_is_heard_all_the_same(path: Path) -> None:
    """One that was killed before it could, say."""
    with closing(Place(path)) as place:
        log, reader = place.log(), place.reader()
        log.create(TOPIC, 1)
        assert reader.poll(1, 0) == []

        def write() -> None:
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("INSERT INTO batches VALUES (1, 1, 1, 5, x'9193c40141c4013190')")
                connection.execute("UPDATE partitions SET high = 1")

        thread = threading.Thread(target=write)
        thread.start()
        (message,) = reader.poll(1, _LONG_S)
        thread.join()
        assert Outgoing(message.key, message.value, message.headers) == Outgoing(b"A", b"1")


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_a_writer_wakes_a_reader_that_looks_by_itself_only_after_hours(path: Path) -> None:
    """Wherever the file is another one since."""
    with closing(EmbeddedLog(path)) as log, closing(EmbeddedReader(path, [TOPIC], lambda _: None, look_s=10_000.0)) as reader:
        assert reader.poll(1, 0) == []
        for _ in range(2):
            log.create(TOPIC, 1)
            assert reader.poll(1, 0) == []
            thread = threading.Timer(0.01, lambda: log.append(TOPIC, values(1)))
            thread.start()
            assert len(reader.poll(1, _LONG_S)) == 1
            thread.join()
            path.unlink()
            assert reader.poll(1, 0) == []


def test_a_poll_reads_nothing_while_nobody_writes(path: Path) -> None:
    """And looks no more often than it is told to: a reader that waits costs little."""
    with closing(Place(path)) as place:
        log, reader = place.log(), EmbeddedReader(path, [TOPIC], lambda _: None, look_s=10_000.0)
        log.create(TOPIC, 1)
        assert drain(reader) == []
        log.append(TOPIC, values(1))
        assert drain(reader) == [b"1"]
        said: list[str] = []
        reader._file.connection().set_trace_callback(said.append)
        assert reader.poll(1, 0.05) == []
        assert said == ["PRAGMA data_version"] * 2
        log.append(TOPIC, values(2))
        assert drain(reader) == [b"2"]
        reader.close()
