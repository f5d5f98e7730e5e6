"""What is asked of the servers of market data, and whether they answer the same."""

import json
import random
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bench.addresses import Address, HttpConnection
from bench.market import made
from bench.mix import Prepared
from bench.scenario import ScenarioError

LIMIT = 100
"""Rows of a page."""
_DAY = 1440
_OK = 200
_TIMES = ("start_time", "end_time", "time")


class Question(NamedTuple):
    """The same page for each: ``by_offset`` for the peer; ``ours`` for Decide, where it is asked in another way."""

    by_offset: str
    ours: str


def path(route: str, **query: object) -> str:
    """With this query."""
    return f"/{route}?{urlencode({**query, 'limit': LIMIT})}"


def newest(symbols: Sequence[str]) -> list[Question]:
    """The newest bars of each symbol."""
    paths = [path("candles", symbol=symbol, interval="1m") for symbol in symbols]
    return [Question(each, each) for each in paths]


def within_a_day(symbols: Sequence[str], bars: int, count: int) -> list[Question]:
    """Any page of any day, by offset: the one of a symbol that has so many ``bars``."""
    rng = random.Random(1)
    found = []
    day = min(_DAY, bars)
    for _ in range(count):
        first = rng.randrange(max(1, bars - day + 1))
        start_us = made.FIRST_US + first * made.MINUTE_US
        span = {"start": made.iso(start_us), "end": made.iso(start_us + day * made.MINUTE_US)}
        offset = rng.randrange(-(-day // LIMIT)) * LIMIT
        asked = path("candles", symbol=rng.choice(symbols), interval="1m", **span, offset=offset)
        found.append(Question(asked, asked))
    return found


def deep(address: Address, route: str, query: dict[str, object], pages: int) -> list[Question]:
    """The pages of a whole history but for the first, by cursor and by offset: ``pages`` of them are walked at most.

    Raises:
        ScenarioError: an answer is not what it must be.
    """
    found = []
    asked = path(route, **query)
    for number in range(1, pages + 1):
        cursor = fetch(address, asked)["pagination"]["next_cursor"]
        if cursor is None:
            break
        asked = path(route, **query, cursor=cursor)
        found.append(Question(path(route, **query, offset=number * LIMIT), asked))
    return found


def prepared(address: Address, asked: str) -> Prepared:
    """A GET, ready to be sent."""
    return Prepared("decide", (), f"GET {asked} HTTP/1.1\r\nHost: {address.host}\r\n\r\n".encode("ascii"))


def fetch(address: Address, asked: str) -> Any:  # noqa: ANN401 - JSON
    """An answer; its numbers are exact.

    Raises:
        ScenarioError: it is none of 200, or no JSON.
    """
    connection = HttpConnection(address, 30.0)
    try:
        connection.request("GET", asked)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != _OK:
        raise ScenarioError(f"{address.url(asked)} answered {response.status}: {body[:300]!r}")
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


def difference(ours: Any, theirs: Any) -> str | None:  # noqa: ANN401 - JSON
    """In what Decide's answer is another than the peer's, in the fields that the peer's has; None if in nothing."""
    if len(ours["data"]) != len(theirs["data"]):
        return f"{len(ours['data'])} rows, the peer has {len(theirs['data'])}"
    for number, (our, their) in enumerate(zip(ours["data"], theirs["data"], strict=True)):
        for name, value in their.items():
            if _plain(name, our.get(name)) != _plain(name, value):
                return f"row {number}: {name} is {our.get(name)}, the peer has {value}"
    total, wanted = ours["pagination"].get("total"), theirs["pagination"]["total"]
    return None if total in (None, wanted) else f"total is {total}, the peer has {wanted}"


def _plain(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    return datetime.fromisoformat(value) if name in _TIMES and isinstance(value, str) else value
