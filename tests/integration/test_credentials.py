"""Redis with a password: who has it, who does not, and what they are told."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from app.commands.greeting import greeting
from app.errors import StoreRefused
from app.options import Settings
from app.store.opening import open_store
from app.store.protocol import Store
from tests.kit.servers import ROOT, clean_environment, decide_server, free_port

_PASSWORD = "the-right-password"


@pytest.fixture
def locked(redis_url: str) -> Iterator[str]:
    """URL of an empty Redis that wants `_PASSWORD`."""
    client = redis.Redis.from_url(redis_url)
    client.config_set("requirepass", _PASSWORD)
    yield redis_url
    client.config_set("requirepass", "")
    client.close()


def _store(url: str, password: str = "") -> Store:
    return open_store(redis_url=url, redis_password=password, store_path=Path(), key_prefix="decide:1")


def test_the_right_password_is_accepted(locked: str) -> None:
    for store in (_store(locked, _PASSWORD), _store(locked.replace("redis://", f"redis://:{_PASSWORD}@"))):
        assert "none yet" in greeting(Settings(redis_url=locked), store, {})


@pytest.mark.parametrize("password", ["", "a-wrong-one"])
def test_a_wrong_or_missing_password_is_refused_by_name(locked: str, password: str) -> None:
    with pytest.raises(StoreRefused) as refused:
        greeting(Settings(redis_url=locked), _store(locked, password), {})
    said = refused.value.detail
    assert "Redis does not accept the credentials in REDIS_URL, REDIS_PASSWORD or their files" in said
    assert "a-wrong-one" not in said


def test_every_command_says_that_it_was_refused(locked: str) -> None:
    """Not that Redis is down: the one heals by itself, the other does not."""

    async def read() -> None:
        store = _store(locked)
        try:
            await store.get_many(["AAPL"])
        finally:
            await store.close()

    with pytest.raises(StoreRefused):
        asyncio.run(read())


def test_a_redis_that_is_not_there_has_refused_nothing() -> None:
    """A server starts without its L2, and lives with it."""
    url = f"redis://127.0.0.1:{free_port()}"
    assert "it does not answer now (" in greeting(Settings(redis_url=url), _store(url, "whatever"), {})


def test_the_server_does_not_start_with_a_wrong_password(locked: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a-wrong-one\n", encoding="utf-8")
    settings = {"REDIS_URL": locked, "REDIS_PASSWORD_FILE": str(secret), "PORT": str(free_port()), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=tmp_path,
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("settings: Redis does not accept the credentials")
    assert "a-wrong-one" not in done.stderr
    secret.write_text(_PASSWORD, encoding="utf-8")
    with decide_server(tmp_path, REDIS_URL=locked, REDIS_PASSWORD_FILE=str(secret)) as server:
        assert server.status_of("/livez") == 200


def test_the_warm_job_ends_with_3_and_the_reason(locked: str, tmp_path: Path) -> None:
    settings = {"REDIS_URL": locked, "REDIS_PASSWORD": "a-wrong-one", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "warm", "--prices", str(ROOT / "data/prices")],
        cwd=tmp_path,
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 3
    assert "Redis does not accept the credentials" in done.stderr
    assert "a-wrong-one" not in done.stderr
