"""All that a market store on PostgreSQL holds, for whoever checks it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from app.errors import MarketError
from app.market.contents import Contents
from app.market.postgres_opening import CONNECT_S, connect, target_of


@contextmanager
def contents_of(url: str, password: str = "") -> Iterator[Contents]:
    """At ``url``, as it is now: one transaction that sees one moment.

    Raises:
        MarketError: it cannot be reached or read, or is not migrated.
    """
    target = target_of(url, password)
    try:
        connection = connect(target, migrates=False, within_s=CONNECT_S)
        try:
            connection.link.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.link.read_only = True
            yield Contents(connection)
        finally:
            connection.link.close()
    except psycopg.Error as error:
        raise MarketError("market_error", f"{target.place}: {error}") from error
