"""The record of a last trade: the digits that its venue wrote, where it stands among others, and what cannot be one."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.prices import DIGITS_MAX, PLACES_MAX, exact, plain
from app.domain.records import TICK
from app.domain.ticks import TICK_FIELDS, TICK_SCHEMA, TickRecord, tick_of, tick_record_fault
from app.domain.trades import Trade
from app.domain.vector import AS_OF_MAX_MS, DUE_MAX_MS
from app.store.codec import decode, encode
from tests.kit.records import AS_OF_MS, tick_record


def _trade(**changed: Any) -> Trade:  # noqa: ANN401 - of whatever field
    plain_one = Trade("coinbase", "BTC-USD", "42", 1_700_000_000_123_456, Decimal("1.5"), Decimal(2), "42", "sell", "a-file")
    return msgspec.structs.replace(plain_one, **changed)


@st.composite
def _written(draw: st.DrawFn) -> str:
    """A number above 0 as a venue may write it, within the digits that count as exact."""
    places = draw(st.integers(0, PLACES_MAX))
    whole = draw(st.integers(1, 10 ** min(DIGITS_MAX, 30) - 1))
    number = Decimal(f"{whole}E-{places}")
    return draw(st.sampled_from([f"{number:f}", str(number), f"{number:E}", f"{number:f}" + ("0" if places else "")]))


@given(_written(), _written())
def test_the_digits_that_a_venue_wrote_come_out_of_a_stored_tick(price: str, size: str) -> None:
    record = tick_of(_trade(price=exact(price), size=exact(size)), loaded_at_ms=1)
    found = decode(TICK, encode(record), "BTC-USD")
    assert (found.price, found.size) == (plain(exact(price)), plain(exact(size)))
    assert (Decimal(found.price), Decimal(found.size)) == (Decimal(price), Decimal(size))
    assert msgspec.json.encode(msgspec.Raw(found.price.encode())).decode() == found.price


def test_a_tick_has_what_its_trade_says_and_what_is_known_beside() -> None:
    found = tick_of(_trade(), loaded_at_ms=7, coverage="quiet", currency="USD", closed_ms=(1_700_000_100_000, 1_700_000_200_000))
    assert found == TickRecord(
        TICK_SCHEMA,
        1_700_000_000_123,
        7,
        "",
        456,
        "BTC-USD",
        1_700_000_000_123_456,
        "1.5",
        "2",
        "sell",
        "coinbase",
        "a-file",
        "USD",
        "quiet",
        (1_700_000_100_000, 1_700_000_200_000),
    )
    assert TickRecord.__struct_fields__ == ("schema", *TICK_FIELDS)


@pytest.mark.parametrize(
    ("made_at", "now", "is_open", "is_old"),
    [
        (0, 10, True, False),
        (0, 11, True, True),
        (0, 99, True, True),
        (0, 100, False, False),
        (0, 199, False, False),
        (0, 210, True, False),
        (0, 211, True, True),
        (150, 199, False, False),
        (195, 210, True, False),
        (195, 211, True, True),
    ],
)
def test_an_age_counts_while_the_market_is_open_and_from_its_opening_anew(
    made_at: int, now: int, *, is_open: bool, is_old: bool
) -> None:
    """Closed from 100 to 200, old past 10."""
    tick = tick_record(as_of_ms=AS_OF_MS + made_at, closed_ms=(AS_OF_MS + 100, AS_OF_MS + 200))
    assert (tick.is_open(AS_OF_MS + now), tick.is_old(AS_OF_MS + now, 10.0)) == (is_open, is_old)


def test_a_market_that_never_closes_makes_every_tick_old() -> None:
    tick = tick_record()
    assert [(tick.is_open(AS_OF_MS + age_ms), tick.is_old(AS_OF_MS + age_ms, 10.0)) for age_ms in (10, 11)] == [
        (True, False),
        (True, True),
    ]


def test_a_tick_may_be_as_of_newer_news_of_its_symbol_than_its_trade() -> None:
    found = tick_of(_trade(), loaded_at_ms=7, as_of_us=1_700_000_009_000_001)
    assert (found.as_of_ms, found.sequence, found.time_us) == (1_700_000_009_000, 1, 1_700_000_000_123_456)
    assert tick_record_fault(found) is None
    with pytest.raises(ValueError, match="makes no tick: time_us is 1700000000123456, after as_of_ms, 1700000000123"):
        tick_of(_trade(), loaded_at_ms=7, as_of_us=1_700_000_000_123_455)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_ticks_stand_in_the_order_of_their_trades_to_the_microsecond(one: int, other: int) -> None:
    """By what stores and memory order records by."""
    first, second = (tick_of(_trade(time_us=time_us), loaded_at_ms=1) for time_us in (one, other))
    assert ((first.as_of_ms, first.sequence) < (second.as_of_ms, second.sequence)) == (one < other)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"price": Decimal(0)}, "price is 0; allowed: above 0"),
        ({"price": Decimal("-1.5")}, "price is -1.5; allowed: above 0"),
        ({"size": Decimal(-1)}, "size is -1; allowed: 0 and above"),
        ({"size": Decimal(0)}, "size is 0; allowed: above 0"),
        ({"time_us": -1}, "as_of_ms is -1, outside"),
    ],
)
def test_a_trade_that_moves_no_price_makes_no_tick(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^a trade of 'BTC-USD' makes no tick: {says}"):
        tick_of(_trade(**changed), loaded_at_ms=1)


def test_names_that_are_too_long_are_cut_and_stop_no_tick() -> None:
    tick = tick_of(_trade(venue="v" * 65, source="s" * 65), loaded_at_ms=1)
    assert (tick.venue, tick.source) == ("v" * 64, "s" * 64)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"price": "1e5"}, "price is '1e5', no plain"),
        ({"price": "01"}, "price is '01', no plain"),
        ({"price": "1.50"}, "price is '1.50', no plain"),
        ({"price": "-1"}, "price is '-1', no plain"),
        ({"price": "1,\n"}, "price is"),
        ({"price": '1,"x":2'}, "price is"),
        ({"price": "0"}, "price is '0'"),
        ({"price": "NaN"}, "price is 'NaN'"),
        ({"size": ""}, "size is ''"),
        ({"size": "\u0661"}, "size is"),
        ({"as_of_ms": AS_OF_MAX_MS, "time_us": AS_OF_MAX_MS * 1000}, "outside the years"),
        ({"time_us": AS_OF_MS * 1000 + 1}, "time_us is"),
        ({"time_us": -1}, "time_us is"),
        ({"closed_ms": (AS_OF_MS - 1, AS_OF_MS)}, "closed_ms is"),
        ({"closed_ms": (AS_OF_MS + 1, AS_OF_MS + 1)}, "closed_ms is"),
        ({"closed_ms": (-1, AS_OF_MS + 1)}, "closed_ms is"),
        ({"closed_ms": (AS_OF_MS, AS_OF_MS + DUE_MAX_MS + 1)}, "closed_ms is"),
        ({"ingested_us": -1}, "ingested_us is"),
        ({"ingested_us": AS_OF_MAX_MS * 1000}, "ingested_us is"),
        ({"source": "s" * 65}, "longer than 64"),
        ({"currency": "c" * 65}, "longer than 64"),
    ],
)
def test_a_stored_tick_that_cannot_be_is_told(changed: dict[str, Any], says: str) -> None:
    """Its numbers go into answers as they stand, so that nothing else may stand there."""
    fault = tick_record_fault(msgspec.structs.replace(tick_record(), **changed))
    assert fault is not None
    assert says in fault
