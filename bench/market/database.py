"""The databases of a run: one for Decide and one for the peer, in a PostgreSQL of its own or in one whose URL is given."""

from urllib.parse import urlsplit, urlunsplit

from psycopg import Connection, Error

from bench.market.postgres import Postgres
from bench.scenario import ScenarioError

OURS, PEERS = "decide_bench", "decide_bench_peer"
"""They are made, and removed at the end."""


class Database:
    """Make one, `close` it. ``url``: of a server where databases may be made; empty: one is started.

    Raises:
        ScenarioError: there is none, or it does not do what is asked.
    """

    def __init__(self, url: str = "") -> None:
        self._server = None if url else Postgres()
        self._url, self.version = url if self._server is None else self._server.url, ""
        try:
            self.clear()
        except BaseException:
            self._stop()
            raise

    def url(self, name: str) -> str:
        """Of the database ``name``."""
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))

    def clear(self) -> None:
        """Make both databases, anew if they are there."""
        self._remove()
        with self._connect() as connection:
            for name in (OURS, PEERS):
                connection.execute(f"CREATE DATABASE {name}".encode())
            self.version = f"{connection.info.server_version // 10_000}.{connection.info.server_version % 10_000}"

    def cpu_s(self) -> float | None:
        """CPU seconds of all its processes so far; None of one that was not started here."""
        return None if self._server is None else self._server.cpu_s()

    def settle(self) -> None:
        """Do now what its background work would do during a measurement."""
        for name in (OURS, PEERS):
            with self._connect(name) as connection:
                connection.execute("VACUUM ANALYZE")
                connection.execute("CHECKPOINT")

    def close(self) -> None:
        """Remove what was made."""
        try:
            self._remove()
        finally:
            self._stop()

    def _remove(self) -> None:
        with self._connect() as connection:
            for name in (OURS, PEERS):
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def _connect(self, name: str = "") -> Connection:
        try:
            return Connection.connect(self.url(name) if name else self._url, autocommit=True)
        except Error as error:
            raise ScenarioError(f"PostgreSQL: {error}") from error

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
