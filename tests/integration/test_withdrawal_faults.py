"""Taking data back where something stands in the way: what is stored, what Redis refuses, a file of an earlier version."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import redis

from app.errors import StoreError
from app.store.protocol import UNKNOWN
from tests.integration.filled import fill
from tests.integration.places import LiveStore, Place
from tests.kit.records import AS_OF_MS, make_row, raw_of, row, run_info


def test_a_record_that_is_no_record_goes_with_its_symbol_and_with_no_run(place: Place) -> None:
    good = raw_of(row("A", run="r1"), "price")
    assert good is not None
    spoilt = {
        "S1": good[:22],
        "S2": b"",
        "S3": b"\xdc" * 400,
        "S4": good[:18] + b"\xcf" + b"\xff" * 8 + good[27:],
        "S5": good[:30],
        "S6": b"r1" * 200,
        "S7": good[:36] + b"\xc0",
        "S8": good[:36] + b"\xd9",
        "S9": good[:36],
    }

    async def work(store: LiveStore) -> None:
        rows = [make_row(symbol, 0, raw, None, None) for symbol, raw in spoilt.items()]
        await store.publish_run([*rows, row("A", run="r1")], run_info("r1"))
        by_run = await store.withdraw(run="r1")
        assert (by_run.symbols, by_run.symbols_left, by_run.newest_as_of_ms) == (("A",), 9, 0)
        done = await store.withdraw(symbols=[*spoilt])
        assert (done.symbols, done.records["price"], done.runs, done.symbols_left) == (tuple(spoilt), 9, (), 0)
        assert await store.symbols() == []

    place.run(work)


def test_what_somebody_put_beside_the_universe_goes_too(redis_url: str, tmp_path: Path) -> None:
    """A record without its symbol in the set is served, so it can be taken back."""

    async def work(store: LiveStore) -> None:
        await fill(store)
        with redis.Redis.from_url(redis_url) as client:
            client.set("decide:1:{X}:price", raw_of(row("X"), "price") or b"")
            client.lpush("decide:1:{Y}:agents", "no record")
        done = await store.withdraw(symbols=["X", "Y"])
        assert (done.symbols, done.records["price"], done.records["agents"], done.unknown) == (("X", "Y"), 1, 1, ())
        assert await store.get_many(["X", "Y"]) == [UNKNOWN, UNKNOWN]

    Place(redis_url, tmp_path).run(work)


def _everything(client: "redis.Redis") -> list[object]:
    return [(key, client.dump(key)) for key in sorted(client.scan_iter("decide:1:*"))]


def _allow(client: "redis.Redis", rule: str) -> None:
    """Of the user that everybody is. The client's own function would switch it off by the way."""
    client.execute_command("ACL", "SETUSER", "default", rule)  # type: ignore[no-untyped-call]


_SPOIL: dict[str, Callable[["redis.Redis"], object]] = {
    "the feed is no stream": lambda client: (client.delete("decide:1:changes"), client.set("decide:1:changes", "x")),
    "the universe is no set": lambda client: (client.delete("decide:1:symbols"), client.set("decide:1:symbols", "x")),
    "the run is no hash": lambda client: (client.delete("decide:1:run"), client.set("decide:1:run", "x")),
    "the feed has no id left": lambda client: client.xadd("decide:1:changes", {"run": "r"}, id=f"{2**64 - 1}-{2**64 - 1}"),
    "XADD is denied": lambda client: _allow(client, "-xadd"),
    "HSET is denied": lambda client: _allow(client, "-hset"),
    "SREM is denied": lambda client: _allow(client, "-srem"),
    "DEL is denied": lambda client: _allow(client, "-del"),
}


@pytest.mark.parametrize("spoilt", _SPOIL)
def test_a_withdrawal_that_redis_refuses_has_written_nothing(spoilt: str, redis_url: str, tmp_path: Path) -> None:
    """All that can fail is looked at before the first write; the error says what it was."""

    async def work(store: LiveStore) -> None:
        await fill(store)
        with redis.Redis.from_url(redis_url) as client:
            if "denied" in spoilt and "XADD" not in spoilt and int(client.info("server")["redis_version"].split(".")[0]) < 7:
                pytest.skip("REDIS BEFORE 7: a script cannot ask there what it may do")
            try:
                _SPOIL[spoilt](client)
                before = _everything(client)
                with pytest.raises(StoreError):
                    await store.withdraw(symbols=["A"])
                assert _everything(client) == before
            finally:
                _allow(client, "+@all")

    Place(redis_url, tmp_path).run(work)


def test_a_full_redis_takes_data_back(redis_url: str, tmp_path: Path) -> None:
    """It has no room for a publication, and a withdrawal makes some."""

    async def work(store: LiveStore) -> None:
        position = await fill(store)
        with redis.Redis.from_url(redis_url) as client:
            client.config_set("maxmemory", "1kb")
            try:
                with pytest.raises(StoreError, match=r"OutOfMemory|OOM"):
                    await store.publish_run([row("N")], run_info("r3"))
                assert (await store.withdraw(symbols=["A"])).symbols == ("A",)
            finally:
                client.config_set("maxmemory", "0")
        assert (await store.changes(position, 0.0)).withdrawn == ("A",)

    Place(redis_url, tmp_path).run(work)


@pytest.mark.parametrize("state", ["damaged", "missing"])
def test_a_run_that_cannot_be_read_keeps_no_data_from_being_taken_back(state: str, place: Place) -> None:
    async def work(store: LiveStore) -> None:
        await fill(store)
        if place.url:
            with redis.Redis.from_url(place.url) as client:
                client.delete("decide:1:run")
                if state == "damaged":
                    client.hset("decide:1:run", "run", "\udcff".encode("utf-8", "surrogateescape"))
        else:
            connection = sqlite3.connect(place.path)
            with connection:
                connection.execute(
                    "UPDATE run SET info = ?" if state == "damaged" else "DELETE FROM run WHERE info <> ?", (b"\xc1",)
                )
            connection.close()
        assert (await store.withdraw(symbols=["A"])).symbols == ("A",)
        assert await store.get_many(["B", "C"]) != []
        if state == "missing":
            assert await store.run_info() is None

    place.run(work)


def test_rows_of_the_wrong_kind_stop_no_withdrawal(tmp_path: Path) -> None:
    place = Place("", tmp_path / "store.sqlite3")

    async def work(store: LiveStore) -> None:
        await fill(store)
        connection = sqlite3.connect(place.path)
        with connection:
            connection.execute("INSERT INTO records (symbol, price) VALUES (CAST(x'ff' AS TEXT), 7), (7, x'00'), ('N', 'text')")
            connection.execute("UPDATE run SET info = 'text'")
        connection.close()
        assert (await store.withdraw(symbols=["A", "N"])).symbols == ("A", "N")
        assert (await store.withdraw(run="r1")).symbols == ("B", "C")
        assert (await store.get_many(["A", "N", "C"]))[1:] == [UNKNOWN, UNKNOWN]

    place.run(work)


def test_a_file_of_the_version_before_is_completed_and_its_readers_go_on(tmp_path: Path) -> None:
    """They see a withdrawal as a change of its symbols; what they write themselves is no withdrawal."""
    place = Place("", tmp_path / "store.sqlite3")

    async def work(store: LiveStore) -> None:
        await fill(store)
        connection = sqlite3.connect(place.path)
        with connection:
            connection.execute("DROP TABLE change_withdrawals")
        later = place.open()
        position = await later.feed_position()
        await later.withdraw(symbols=["A"])
        before = "SELECT id, symbols, at_ms FROM changes LEFT JOIN change_times USING (id) WHERE id > ? ORDER BY id LIMIT 100"
        ((change_id, symbols, at_ms),) = connection.execute(before, (int(position),)).fetchall()
        assert (symbols, at_ms > 0) == ("A", True)
        with connection:
            connection.execute("INSERT INTO changes (run, symbols) VALUES ('old', 'B')")
        connection.close()
        changes = await later.changes(position, 0.0)
        assert (changes.symbols, changes.withdrawn, int(changes.last_id)) == (("A", "B"), ("A",), change_id + 1)
        await later.close()

    place.run(work)


def test_entries_of_withdrawals_are_trimmed_with_the_feed(tmp_path: Path) -> None:
    """Else that table alone would grow for ever."""
    place = Place("", tmp_path / "store.sqlite3")

    async def work(store: LiveStore) -> None:
        await fill(store)
        await store.withdraw(symbols=["A"])
        connection = sqlite3.connect(place.path)
        with connection:
            connection.execute("UPDATE sqlite_sequence SET seq = 20000 WHERE name = 'changes'")
        await store.withdraw(symbols=["B"])
        rows = [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("changes", "change_withdrawals")]  # noqa: S608
        connection.close()
        assert rows == [(1,), (1,)]

    place.run(work)


def test_the_headers_time_counts_and_not_the_columns(tmp_path: Path) -> None:
    """A time in the file that no record can have is not the newest of what is left."""
    place = Place("", tmp_path / "store.sqlite3")

    async def work(store: LiveStore) -> None:
        await fill(store)
        connection = sqlite3.connect(place.path)
        with connection:
            connection.execute("UPDATE records SET price_as_of_ms = ? WHERE symbol = 'C'", (2**62,))
        connection.close()
        done = await store.withdraw(symbols=["A", "B"])
        assert (done.newest_as_of_ms, done.newest_symbol) == (AS_OF_MS - 1, "C")
        info = await store.run_info()
        assert info is not None
        assert msgspec.structs.asdict(info)["newest_as_of_ms"] == AS_OF_MS - 1

    place.run(work)
