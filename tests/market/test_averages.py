"""Moving averages of providers' prices, in every store: whatever order prices come in, and as SQL has them."""

import json
import random
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.averages import Average, Price
from app.domain.prices import exact, plain
from app.errors import OffsetMoved
from app.market.protocol import Batch, Move, Partition
from tests.market.places import NOON_US, Place

_ROUNDED = Context(prec=12)
_WINDOWS = {
    "sqlite": "json_group_array(price) OVER last",
    "postgres": "(json_agg(price::text) OVER last)::text",
}
_RECOMPUTED = """
SELECT symbol, provider, currency, time_us, {}, min(time_us) OVER last FROM prices
WINDOW last AS (PARTITION BY symbol, provider, currency ORDER BY time_us ROWS 4 PRECEDING) ORDER BY 1, 2, 3, 4
"""


def _price(second: int, price: str, provider: str = "yfinance", currency: str = "USD", told: int = 0) -> Price:
    return Price("A", provider, NOON_US + second * 1_000_000, exact(price), currency, told)


def _read(place: Place, limit: int = 100, provider: str = "") -> list[Average]:
    return place.read(lambda reader: reader.averages("A", limit, provider))


def _seen(place: Place, **asked: Any) -> list[tuple[int, str, int, int]]:  # noqa: ANN401 - of `_read`
    """Of each average: seconds after noon, its digits, of how many prices, since which second."""

    def second(time_us: int) -> int:
        return (time_us - NOON_US) // 1_000_000

    return [(second(each.time_us), plain(each.average), each.prices, second(each.first_us)) for each in _read(place, **asked)]


def _rows(place: Place) -> tuple[list[Any], list[Any]]:
    """All that is stored but for what tells of its arrival."""
    of = "symbol, provider, currency, time_us"
    prices = place.rows(f"SELECT {of}, price, told_us FROM prices ORDER BY {of}")  # noqa: S608 - columns of ours
    return prices, place.rows(f"SELECT {of}, average, prices, first_us FROM averages ORDER BY {of}")  # noqa: S608 - as above


def _recomputed(place: Place) -> list[tuple[Any, ...]]:
    """Averages as SQL finds the prices of each."""
    found = []
    for *of, digits, first_us in place.rows(_RECOMPUTED.format(_WINDOWS[place.database])):
        prices = [Fraction(each) for each in json.loads(digits)]
        mean = sum(prices, Fraction(0)) / len(prices)
        average = _ROUNDED.divide(Decimal(mean.numerator), Decimal(mean.denominator))
        found.append((*of, plain(average), len(prices), first_us))
    return found


def test_an_average_is_of_the_last_five_prices_or_of_those_there_are(place: Place) -> None:
    """Newest first; digit for digit."""
    prices = ["101.50", "102", "103", "104", "105", "0.123456789012345678901234567891"]
    place.writer().apply(Batch(prices=[_price(second, each) for second, each in enumerate(prices)]))
    assert _seen(place) == [
        (5, "82.8246913578", 5, 1),
        (4, "103.1", 5, 0),
        (3, "102.625", 4, 0),
        (2, "102.166666667", 3, 0),
        (1, "101.75", 2, 0),
        (0, "101.5", 1, 0),
    ]
    assert place.rows("SELECT price FROM prices ORDER BY time_us DESC LIMIT 1") == [(prices[-1],)]
    assert _seen(place, limit=1) == [(5, "82.8246913578", 5, 1)]
    assert place.rows("SELECT symbol FROM symbols") == [("A",)]


def test_a_late_price_changes_the_averages_that_reach_back_to_it(place: Place) -> None:
    writer = place.writer()
    writer.apply(Batch(prices=[_price(second, "10") for second in (0, 1, 3, 4, 5, 6, 7)]))
    writer.apply(Batch(prices=[_price(2, "15")]))
    assert [each[:3] for each in _seen(place)][:7] == [
        *((7, "10", 5), (6, "11", 5), (5, "11", 5), (4, "11", 5)),
        *((3, "11.25", 4), (2, "11.6666666667", 3), (1, "10", 2)),
    ]
    assert place.rows("SELECT revision FROM averages ORDER BY time_us") == [(1,), (1,), (1,), (2,), (2,), (2,), (2,), (1,)]


def test_late_prices_far_from_each_other_change_what_is_behind_each(place: Place) -> None:
    writer = place.writer()
    writer.apply(Batch(prices=[_price(second, str(second + 1)) for second in range(0, 100, 2)]))
    writer.apply(Batch(prices=[_price(second, "1000") for second in (97, 1, 51, 3, 120)]))
    assert _rows(place)[1] == _recomputed(place)
    assert place.rows("SELECT count(*) FROM averages WHERE revision = 2") == [(5 + 4 + 1,)]


def test_of_two_prices_for_one_time_the_one_that_was_told_later_counts(place: Place) -> None:
    """In whichever order they come; of those that were told together the higher one."""
    writer = place.writer()
    writer.apply(Batch(prices=[_price(0, "10", told=5), _price(0, "8", told=7), _price(0, "12", told=6)]))
    assert _seen(place) == [(0, "8", 1, 0)]
    writer.apply(Batch(prices=[_price(0, "9", told=7), _price(0, "8", told=7), _price(0, "100", told=1)]))
    assert _seen(place) == [(0, "9", 1, 0)]
    assert place.rows("SELECT told_us, revision FROM prices") == [(7, 2)]
    writer.apply(Batch(prices=[_price(0, "9", told=9)]))
    assert place.rows("SELECT told_us, revision FROM prices") == [(9, 2)]


def test_providers_and_currencies_are_not_mixed(place: Place) -> None:
    """Pence and pounds have no mean."""
    given_prices = [_price(0, "1"), _price(1, "3", "coinbase"), _price(2, "100", currency="GBp"), _price(3, "2")]
    place.writer().apply(Batch(prices=given_prices))
    assert [(each.provider, each.currency, str(each.average)) for each in _read(place)] == [
        *(("yfinance", "USD", "1.5"), ("yfinance", "GBp", "100")),
        *(("coinbase", "USD", "3"), ("yfinance", "USD", "1")),
    ]
    assert [each.provider for each in _read(place, provider="coinbase")] == ["coinbase"]
    assert place.read(lambda reader: reader.averages("B", 1)) == []


def test_prices_come_with_the_offsets_or_not_at_all(place: Place) -> None:
    writer = place.writer()
    with pytest.raises(OffsetMoved):
        writer.apply(Batch(prices=[_price(0, "1")], moves=[Move(Partition("log", "name", "topic", 0), 7, 8)]))
    assert _rows(place) == ([], [])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (_price(0, "0"), "price of A by yfinance: price is 0; allowed: above 0"),
        (_price(0, "1")._replace(time_us=-1), "time_us is -1; allowed: from 0, before the year 9000"),
    ],
)
def test_a_price_that_cannot_be_is_refused_and_nothing_is_written(place: Place, wrong: Price, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        place.writer().apply(Batch(prices=[_price(1, "1"), wrong]))
    place.writer().apply(Batch())
    assert _rows(place) == ([], [])


def test_a_page_of_averages_has_a_limit(place: Place) -> None:
    with pytest.raises(ValueError, match="limit is 0; allowed: 1 to 10000"):
        _read(place, limit=0)


def _batches(rng: random.Random, prices: Sequence[Price]) -> list[Sequence[Price]]:
    """All of them and some once more, in any order and any parts."""
    shuffled = [*prices, *rng.choices(prices, k=len(prices) // 3)]
    rng.shuffle(shuffled)
    cuts = sorted(rng.randint(0, len(shuffled)) for _ in range(rng.randint(0, 4)))
    return [shuffled[first:last] for first, last in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_stored_does_not_depend_on_how_prices_came_and_sql_has_the_same(
    make_place: Callable[[], Place], seed: int
) -> None:
    rng = random.Random(seed)
    prices = [
        _price(
            rng.randint(0, 20),
            f"{rng.choice(['0', '7', '123456789'])}.{rng.randint(1, 10 ** rng.choice([1, 12]))}",
            rng.choice(["one", "two"]),
            rng.choice(["USD", "USD", ""]),
            rng.randint(0, 3),
        )
        for _ in range(rng.randint(1, 40))
    ]
    with closing(make_place()) as place:
        place.writer().apply(Batch(prices=prices))
        expected = _rows(place)
        assert expected[1] == _recomputed(place)
    with closing(make_place()) as place:
        writer = place.writer()
        for batch in _batches(rng, prices):
            writer.apply(Batch(prices=batch))
        assert _rows(place) == expected
