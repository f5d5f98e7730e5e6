"""Pages of trades, and what else servers read, in every store."""

import asyncio
import random
import threading
from decimal import Decimal

from app.domain.trades import Trade, trade_key
from app.market.protocol import Batch, Cancel, Details, Gap, Reader, Symbol, TradePage, TradesWanted, Writer
from tests.market.giving import export, minutes, trade
from tests.market.places import DAY_US, MINUTE_US, NOON_US, SECOND_US, Place


async def _paged(reader: Reader, wanted: TradesWanted, pause_s: float = 0.0) -> list[Trade]:
    """All pages, one after the other."""
    found: list[Trade] = []
    while True:
        page = await reader.trades(wanted)
        found += page.trades
        if page.after is None:
            return found
        assert len(page.trades) == wanted.limit
        wanted = wanted._replace(after=page.after)
        await asyncio.sleep(pause_s)


def _write_on(writer: Writer, stop: threading.Event, seed: int, moments: range) -> int:
    """Write trades at the same moments, of ids before, between and behind those that are there; how many."""
    rng, written = random.Random(seed), 0
    while not (written and stop.is_set()):
        some = [
            trade(rng.randrange(10**6), rng.choice(moments), venue=rng.choice("UVW"), size=rng.choice(("0", "1")))
            for _ in range(20)
        ]
        written += writer.apply(Batch(trades=some)).inserted
    writer.close()
    return written


def test_pages_have_every_trade_once_that_was_there_while_others_write(place: Place) -> None:
    """With thousands of trades of one microsecond, at several venues; from both ends, by pages of any length."""
    moments = range(NOON_US, NOON_US + 3)
    there = [trade(10 * n, NOON_US + (1 if n < 2_500 else n % 3), venue="UVW"[n % 3], size=str(n % 2)) for n in range(3_000)]
    writer = place.writer()
    writer.apply(Batch(trades=there))
    expected = sorted(there, key=lambda each: each.order)

    async def check(reader: Reader) -> None:
        for limit in (7, 100, 1_000, 5_000):
            wanted = TradesWanted("A", limit)
            assert await _paged(reader, wanted) == expected
            assert await _paged(reader, wanted._replace(descending=True)) == expected[::-1]
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(None, _write_on, place.writer(), stop, 7, moments)
        known = set(expected)
        for descending in (False, True):
            found = await _paged(reader, TradesWanted("A", 150, descending=descending), 0.002)
            assert [each for each in found if each in known] == expected[:: -1 if descending else 1]
            assert len(found) == len(set(found))
        stop.set()
        assert await writing > 0

    place.read(check)


def test_a_page_of_trades_is_of_its_span_and_without_cancelled_ones(place: Place) -> None:
    """The start is included, the end is not. What the venue wrote comes out, sizes of 0 too."""
    writer = place.writer()
    ids = ["0", "007", "a-1", "9" * 30]
    there = [
        Trade("V", "A", trade_key(each), NOON_US + number, Decimal("0.00000001"), Decimal(0), each, "sell", "file")
        for number, each in enumerate(ids)
    ]
    writer.apply(Batch(trades=[*there, trade(5, NOON_US + 2), trade(6, symbol="B")], cancels=[Cancel("V", "A", trade_key("5"))]))
    found = place.read(lambda reader: reader.trades(TradesWanted("A", 10)))
    assert found == TradePage(tuple(there), None)
    found = place.read(lambda reader: reader.trades(TradesWanted("A", 10, NOON_US + 1, NOON_US + 3)))
    assert found.trades == tuple(there[1:3])
    assert place.read(lambda reader: reader.trades(TradesWanted("NONE", 10))) == TradePage((), None, is_known=False)


def test_texts_come_out_as_they_came_in(place: Place) -> None:
    """Whatever stands in them, and whether trades are known or new."""
    writer = place.writer()
    odd = ["a\tb", "a\\tb", "\\N", "\\.", "line\nline\r", "\x01", "", "'; --", "%s ?", "é€😀", "0x", "00"]
    there = [
        Trade(f"V{each}", "A", trade_key(each), NOON_US + number, Decimal(1), Decimal(1), each, "buy", f"from {each}")
        for number, each in enumerate(odd)
    ]
    for _ in range(2):
        writer.apply(Batch(trades=there))
    assert place.read(lambda reader: reader.trades(TradesWanted("A", 100))).trades == tuple(there)


def test_the_last_trade_is_the_last_one_with_a_size(place: Place) -> None:
    """Of all venues; none of a symbol without one."""
    writer = place.writer()
    last = trade(3, NOON_US + 5, "12", venue="W")
    some = [trade(1, NOON_US + 5), last, trade(9, NOON_US + 6, size="0"), trade(8, NOON_US + 7), trade(4, size="0", symbol="B")]
    writer.apply(Batch(trades=some, cancels=[Cancel("V", "A", trade_key("8"))]))
    assert place.read(lambda reader: reader.last_trades(["A", "B", "NONE"])) == {"A": last}
    assert place.read(lambda reader: reader.last_trades(["A"], NOON_US + 5)) == {"A": last}
    assert place.read(lambda reader: reader.last_trades(["A"], NOON_US + 4)) == {}


def test_details_say_what_there_is_of_a_symbol(place: Place) -> None:
    """The volume is of a day's trades, else of given minutes, else of a given day; else nobody says."""
    writer = place.writer()
    now_us = NOON_US + DAY_US
    known = Symbol("A", "Alpha", "", "USD", 2, "feed", 1)
    writer.put_symbols([known])
    writer.apply(Batch(trades=[trade(1, NOON_US, size="100"), trade(2, NOON_US + MINUTE_US, size="0.5"), trade(3, now_us - 9)]))
    writer.put_bars(export("x", minutes(10, 20)))
    writer.put_bars(export("x", minutes(10, 20), symbol="B"))
    writer.put_bars(export("y", [NOON_US + SECOND_US], symbol="C", interval="1d"))
    writer.put_bars(export("y", [NOON_US - DAY_US], symbol="D", interval="1d"))
    found = place.read(lambda reader: reader.symbols(10), now_us=now_us)
    assert found[0] == Details(known, now_us - 9, Decimal("1.5"), (("1m", "trades"), ("1m", "x")))
    assert [(each.symbol.symbol, each.last_trade_us, each.volume_day) for each in found[1:]] == [
        ("B", None, 11),
        ("C", None, 1),
        ("D", None, None),
    ]
    assert [each.symbol.symbol for each in place.read(lambda reader: reader.symbols(2, "A"))] == ["B", "C"]


def test_gaps_of_a_span_are_told(place: Place) -> None:
    """Filled ones too."""
    gaps = [Gap("V", "A", NOON_US + number * 10, NOON_US + number * 10 + 5, "ids", number) for number in range(3)]
    place.writer().apply(Batch(gaps=gaps))
    assert place.read(lambda reader: reader.gaps("A", NOON_US + 14, NOON_US + 21)) == gaps[1:]
    assert place.read(lambda reader: reader.gaps("B", 0, 2 * NOON_US)) == []


def test_a_store_without_anything_answers(place: Place) -> None:
    async def check(reader: Reader) -> None:
        await reader.ping()
        assert await reader.symbols(5) == []
        assert await reader.last_trades(["A"]) == {}

    place.read(check)
