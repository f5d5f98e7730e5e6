"""GET /trades: pages of trades, digit for digit."""

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.trades import Trade
from app.market.protocol import Batch, TradesWanted
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_reader import EmbeddedReader
from app.market_payloads import TradesResponse
from tests.kit.market import FakeReader
from tests.kit.serving import Served, decoded, problem_of
from tests.market.giving import trade
from tests.market.places import NOON_US

_DIGITS = ("0.00000001", "123456789.123456789", "1e-8", "0.123456789012345678")
_AT_ONCE = [trade(number, NOON_US, venue="UVW"[number % 3], size=str(number % 2)) for number in range(150)]
_THERE = sorted(
    [*_AT_ONCE, *(trade(1000 + number, NOON_US + 7 * number) for number in range(1, 50))], key=lambda each: each.order
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store: of A many trades of one microsecond at several venues, of D.X what providers write."""
    found = tmp_path_factory.mktemp("market") / "market.sqlite3"
    with closing(EmbeddedWriter(found)) as writer:
        writer.apply(Batch(trades=_THERE))
        writer.apply(Batch(trades=[trade(n, NOON_US + n, text, text, symbol="D.X") for n, text in enumerate(_DIGITS)]))
    return found


@pytest.fixture(scope="module")
def real(path: Path) -> Iterator[Served]:
    """The application on it."""
    with Served(open_reader=lambda: EmbeddedReader(path, deadline_s=60.0)) as running:
        yield running
        running.runner.run(running.parts.market.close())


def _ids(rows: list[dict[str, object]]) -> list[object]:
    return [row["trade_id"] for row in rows]


def test_a_request_for_trades_is_handed_on_as_it_was_meant() -> None:
    reader = FakeReader("AAPL")
    with Served(open_reader=lambda: reader) as served:
        served.get("/trades?symbol=aapl&start=1700049600&end=2023-11-16&limit=7&order=desc")
        served.get("/trades?symbol=aapl")
        span = NOON_US, NOON_US + 43_200_000_000
        assert reader.wanted == [TradesWanted("AAPL", 7, *span, None, True), TradesWanted("AAPL", 100, None, None, None, True)]  # noqa: FBT003 - in a row
        for query, field in [("symbol=A&offset=1", "offset"), ("symbol=A&limit=0", "limit"), ("symbol=A&cursor=x", "cursor")]:
            problem_of(served.get(f"/trades?{query}"), 422, "invalid-request", field)
        assert len(reader.wanted) == 2


def test_a_trade_is_told_as_its_venue_wrote_it(real: Served) -> None:
    answer = real.get("/trades?symbol=D.X&start=0")
    found = decoded(answer, TradesResponse)
    assert [bytes(each.price).decode() for each in found.data] == [
        *("0.00000001", "123456789.123456789", "0.00000001", "0.123456789012345678"),
    ]
    rows = json.loads(answer.content, parse_float=Decimal)["data"]
    assert [(row["price"], row["size"]) for row in rows] == [(Decimal(each), Decimal(each)) for each in _DIGITS]
    assert {name: value for name, value in rows[1].items() if name not in ("price", "size")} == {
        "symbol": "D.X", "trade_id": "1", "time": "2023-11-15T12:00:00.000001Z", "side": "buy", "venue": "V", "source": "feed",
    }  # fmt: skip
    assert found.pagination.next_cursor is None


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_pages_of_trades_are_together_one_large_page(data: st.DataObject, real: Served) -> None:
    """Also where a hundred have one time."""
    order = data.draw(st.sampled_from(["asc", "desc"]))
    start = data.draw(st.sampled_from(["", "&start=0"]))
    query, more = f"symbol=A&order={order}{start}", ""
    pages = list[list[dict[str, object]]]()
    while True:
        found = real.get(f"/trades?{query}&limit={data.draw(st.sampled_from([20, 33, 150]))}{more}").json()
        pages.append(found["data"])
        if found["pagination"]["next_cursor"] is None:
            break
        more = f"&cursor={found['pagination']['next_cursor']}"
    if not start and order == "asc":
        pages = pages[::-1]
    rows = [row for page in pages for row in page]
    assert rows == real.get(f"/trades?{query}&limit=1000").json()["data"]
    assert _ids(rows) == [each.trade_id for each in (_THERE if order == "asc" else _THERE[::-1])]


def test_without_a_start_the_newest_trades_come(real: Served) -> None:
    assert _ids(real.get("/trades?symbol=A&limit=3").json()["data"]) == ["1047", "1048", "1049"]
    assert _ids(real.get("/trades?symbol=A&limit=2&order=desc").json()["data"]) == ["1049", "1048"]
    assert _ids(real.get("/trades?symbol=A&limit=2&end=2023-11-15T12:00:00.000014Z").json()["data"])[1] == "1001"


def test_cursor_pages_have_every_trade_once_that_was_there_while_others_come(tmp_path: Path) -> None:
    """At the very same time, before and behind where the page ends."""
    path = tmp_path / "market.sqlite3"
    there = {each.trade_id for each in _AT_ONCE}
    with (
        closing(EmbeddedWriter(path)) as writer,
        Served(open_reader=lambda: EmbeddedReader(path, deadline_s=60.0)) as served,
    ):
        writer.apply(Batch(trades=_AT_ONCE))
        for number, order in enumerate(("asc&start=0", "desc&start=0", "asc", "desc")):
            seen, more = list[tuple[object, ...]](), ""
            for at in range(100):
                found = served.get(f"/trades?symbol=A&order={order}&limit=9{more}").json()
                seen += [(row["venue"], row["trade_id"]) for row in found["data"]]
                if found["pagination"]["next_cursor"] is None:
                    break
                more = f"&cursor={found['pagination']['next_cursor']}"
                new: list[Trade] = [trade(10_000 + 1_000 * number + at, NOON_US, venue=venue) for venue in "TUX"]
                writer.apply(Batch(trades=new))
            assert len(set(seen)) == len(seen)
            assert there <= {trade_id for _, trade_id in seen}
        served.runner.run(served.parts.market.close())
