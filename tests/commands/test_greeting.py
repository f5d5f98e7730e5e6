"""The first line of a server's log: where its data is, and what to do if there is none."""

import asyncio
import shlex
from pathlib import Path
from typing import Literal

import pytest

from app.commands.greeting import greeting
from app.options import Settings
from app.store.opening import open_store
from app.store.protocol import Store
from app.store.sqlite import EmbeddedStore
from tests.kit.records import AS_OF_MS, row, run_info, tick
from tests.kit.servers import ROOT, RedisServer


def _store(url: str) -> Store:
    return open_store(redis_url=url, store_path=Path(), key_prefix="decide:1", read_timeout_s=1.0)


def test_an_empty_store_is_told_with_what_fills_it(tmp_path: Path) -> None:
    path = tmp_path / "my store.sqlite3"
    settings = Settings(store_path=str(path))
    said = greeting(settings, EmbeddedStore(path), {})
    assert said == f"data in {path}: none yet; next: decide warm '--store-path={path}' --prices FILES --agents FILES"


def test_a_store_from_which_all_was_taken_back_is_told_as_an_empty_one(tmp_path: Path) -> None:
    """It has a run, and not one symbol of it."""
    path = tmp_path / "store.sqlite3"

    async def withdraw() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A")], run_info("r1"))
        await store.withdraw(run="run-1")
        await store.close()

    asyncio.run(withdraw())
    assert greeting(Settings(store_path=str(path)), EmbeddedStore(path), {}).startswith(f"data in {path}: none yet; next: ")


def test_the_command_means_this_store_in_whatever_folder_it_is_entered(tmp_path: Path) -> None:
    """Also where the settings have the default, which is another file in every folder."""
    said = greeting(Settings(), EmbeddedStore(tmp_path / "store.sqlite3"), {})
    path = Path(Settings().store_path).absolute()
    assert said.endswith(f"; next: {shlex.join(['decide', 'warm', f'--store-path={path}'])} --prices FILES --agents FILES")


def test_under_the_shipped_unit_its_own_unit_fills_the_store(tmp_path: Path) -> None:
    """Whoever enters a command there is not the user that the store belongs to."""
    said = greeting(Settings(), EmbeddedStore(tmp_path / "store.sqlite3"), {}, by_unit=True)
    assert said.endswith(": none yet; next: systemctl start decide-warm")
    assert ROOT.joinpath("ops/systemd/decide-warm.service").is_file()


def test_beside_a_source_nobody_is_sent_to_load_what_it_brings(tmp_path: Path) -> None:
    """Neither where there is nothing yet, nor where all of it is of long ago."""
    path = tmp_path / "store.sqlite3"
    warnings: list[str] = []

    def said() -> str:
        now_ms = AS_OF_MS + 3_000_000_000
        return greeting(Settings(), EmbeddedStore(path), {}, by_unit=True, by_source=True, now_ms=now_ms, warn=warnings.append)

    assert said().endswith(": none yet; the source brings it")

    async def publish() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("AAPL", AS_OF_MS)], run_info(symbols=1))
        await store.close()

    asyncio.run(publish())
    assert ": 1 symbols up to 2013" in said()
    assert warnings == []


def test_a_store_with_data_is_told_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"

    async def publish() -> str:
        store = EmbeddedStore(path)
        info = run_info("run-7", symbols=1)
        await store.publish_run([row("AAPL", AS_OF_MS)], info)
        await store.close()
        return info.run

    run = asyncio.run(publish())
    said = greeting(Settings(store_path=str(path)), EmbeddedStore(path), {})
    assert said.startswith(f"data in {path}: 1 symbols up to 20")
    assert said.endswith(f" UTC, run {run}")


def test_what_no_run_brought_is_told_without_one(tmp_path: Path) -> None:
    """As where prices are simulated, or a stream alone brings them."""
    path = tmp_path / "store.sqlite3"

    async def upsert() -> None:
        store = EmbeddedStore(path)
        await store.upsert([tick("AAPL")])
        await store.close()

    asyncio.run(upsert())
    said = greeting(Settings(store_path=str(path)), EmbeddedStore(path), {})
    assert said.startswith(f"data in {path}: 1 symbols up to 20")
    assert said.endswith(" UTC")


@pytest.mark.parametrize(
    ("age_s", "clock", "said"),
    [
        (86_400, "wall", None),
        (700_000, "wall", "all inputs are stale"),
        (3_000_000, "wall", "all inputs are stale, and too old to be used"),
        (3_000_000, "replay", None),
    ],
)
def test_data_that_is_all_too_old_is_warned_of_with_what_to_do(
    age_s: int, clock: Literal["wall", "replay"], said: str | None, tmp_path: Path
) -> None:
    """By the wall clock; the other is the data's own. The command loads this very store."""
    path = tmp_path / "store.sqlite3"

    async def publish() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("AAPL", AS_OF_MS)], run_info(as_of_ms=AS_OF_MS))
        await store.close()

    asyncio.run(publish())
    settings = Settings(store_path=str(path), clock=clock)
    warnings: list[str] = []
    told = greeting(settings, EmbeddedStore(path), {}, now_ms=AS_OF_MS + age_s * 1000, warn=warnings.append)
    assert told.startswith(f"data in {path}: 1 symbols up to 2013")
    ways = "load newer data, or have it served as if it were live by CLOCK=replay"
    command = f"decide warm --store-path={path} --prices FILES --agents FILES"
    assert warnings == ([] if said is None else [f"{said}: {ways}; next: {command}"])


def test_a_store_that_does_not_answer_is_told_as_that(tmp_path: Path) -> None:
    """The server starts all the same: an outage is to be lived with."""
    path = tmp_path / "store.sqlite3"
    path.write_bytes(b"no database at all" * 100)
    said = greeting(Settings(store_path=str(path)), EmbeddedStore(path), {})
    assert said.startswith(f"data in {path}: it does not answer now (")


def test_redis_is_told_without_its_password(redis_url: str) -> None:
    port = redis_url.partition("127.0.0.1:")[2]
    settings = Settings(redis_url=f"redis://:sesame@127.0.0.1:{port}")
    said = greeting(settings, _store(redis_url), {})
    assert (
        said == f"data in Redis at 127.0.0.1:{port}, keys decide:1:*: none yet; next, with the same REDIS_URL:"
        " decide warm --key-prefix=decide:1 --prices FILES --agents FILES"
    )


def test_the_command_names_a_redis_by_its_files_from_wherever_it_is_entered(redis_url: str) -> None:
    """With the prefix of the keys, which may stand in a .env of this folder; files of what the warm job does not take are left
    out.
    """
    files = {"api_key_secret": Path("/keys"), "redis_url": Path("/a/my url"), "redis_password": Path("/a/password")}
    settings = Settings(redis_url=redis_url, redis_password="sesame", api_key_secret="x" * 32, key_prefix="mine")
    said = greeting(settings, _store(redis_url), files)
    words = ["--redis-url-file=/a/my url", "--redis-password-file=/a/password", "--key-prefix=mine"]
    assert said.endswith(f": none yet; next: {shlex.join(['decide', 'warm', *words])} --prices FILES --agents FILES")


@pytest.mark.parametrize(
    ("files", "same", "word"),
    [
        ({}, "REDIS_URL and REDIS_PASSWORD", ""),
        ({"redis_url": Path("/url")}, "REDIS_PASSWORD", "--redis-url-file=/url "),
        ({"redis_password": Path("/password")}, "REDIS_URL", "--redis-password-file=/password "),
    ],
)
def test_secrets_that_come_from_no_file_are_named_before_the_command(
    redis_url: str, files: dict[str, Path], same: str, word: str
) -> None:
    """So that what stands behind the colon can be pasted."""
    said = greeting(Settings(redis_url=redis_url, redis_password="sesame"), _store(redis_url), files)
    assert said.endswith(f"; next, with the same {same}: decide warm {word}--key-prefix=decide:1 --prices FILES --agents FILES")


def test_a_redis_that_is_away_holds_nothing_up() -> None:
    url = "redis://127.0.0.1:1/0"
    assert "it does not answer now (" in greeting(Settings(redis_url=url), _store(url), {})


def test_a_redis_that_hangs_holds_the_start_up_for_a_second(redis_server: RedisServer) -> None:
    redis_server.pause()
    try:
        said = greeting(Settings(redis_url=redis_server.url), _store(redis_server.url), {})
    finally:
        redis_server.go_on()
    assert "it does not answer now (" in said
    assert "()" not in said


def test_nothing_of_a_malformed_url_is_told_but_the_place() -> None:
    """What stands before the last @ or behind a ? may be a password, as the client reads it."""
    for url in ("redis://user:sesame@cache:7000/2", "redis://cache:7000/2?password=sesame", "redis://:ses@me@cache:7000/2"):
        said = greeting(Settings(redis_url=url), _store("redis://127.0.0.1:1"), {})
        assert said.startswith("data in Redis at cache:7000/2, keys decide:1:*: "), said
