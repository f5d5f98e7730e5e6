"""Which symbols may be meant by one that is not loaded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.nearest import found_in, nearest, neighbours_of, root_of

_UNIVERSE = sorted(
    [
        "AAPL",
        "AMD",
        "A",
        "BRK.B",
        "BTC-USDT",
        "BTC-USDC",
        "ETH-USD:USD",
        "600519.SH",
        "000001.SZ",
        "0700.HK",
        "00005.HK",
        "XYZ.UK",
        "^GSPC",
        "SAP.DE",
        "MSFT",
    ]
)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("XYZ", ("XYZ.UK",)),
        ("AAPL.US", ("AAPL",)),
        ("600519", ("600519.SH",)),
        ("600519.SHH", ("600519.SH",)),
        ("BTC-USD", ("BTC-USDC", "BTC-USDT")),
        ("BTC", ("BTC-USDC", "BTC-USDT")),
        ("ETH-USD", ("ETH-USD:USD",)),
        ("SAP", ("SAP.DE",)),
        ("NASDAQ:MSFT", ("MSFT",)),
        ("APPL", ("AAPL",)),
        ("AAPPL", ("AAPL",)),
        ("ALPA", ()),
        ("APAL", ("AAPL",)),
        ("AAPK", ("AAPL",)),
        ("AAL", ("AAPL",)),
        ("AAPLE", ("AAPL",)),
        ("MSF", ("MSFT",)),
        ("GSPC", ("^GSPC",)),
        ("^MSFT", ("MSFT",)),
        ("700.HK", ("0700.HK",)),
        ("00700.HK", ("0700.HK",)),
        ("HK.00700", ("0700.HK",)),
        ("0005.HK", ("00005.HK",)),
        ("NOPE", ()),
        ("B", ()),
        ("X", ()),
    ],
)
def test_the_same_root_or_one_slip_is_meant(asked: str, meant: tuple[str, ...]) -> None:
    assert nearest(asked, _UNIVERSE) == meant


@given(st.data())
def test_neighbours_of_parts_are_chosen_among_as_all_symbols_are(data: st.DataObject) -> None:
    """Of universes that two stores hold, however many begin alike."""
    symbols = st.text("AB.-1", min_size=1, max_size=5)
    parts = [sorted(data.draw(st.sets(symbols, max_size=200))) for _ in range(2)]
    asked = data.draw(symbols)
    found = {each for part in parts for each in found_in(part, neighbours_of(asked))}
    assert nearest(asked, sorted(found)) == nearest(asked, sorted({*parts[0], *parts[1]}))


def test_few_are_named_pairs_for_a_pair_and_the_shortest_way_first() -> None:
    """Whoever asks for a pair means one."""
    universe = sorted(["BTC", "BTC-EUR", "BTC-USDT", "BTC-USDT:USDT", "BTC.X"])
    assert nearest("BTC-USD", universe) == ("BTC-EUR", "BTC-USDT", "BTC-USDT:USDT")
    assert nearest("BTC.Y", universe) == ("BTC.X", "BTC", "BTC-EUR")
    assert nearest("BTC-USD", universe, 1) == ("BTC-EUR",)


def test_a_root_is_what_stands_before_an_ending() -> None:
    assert [root_of(each) for each in ("XYZ.UK", "EURUSD=X", ".X", "A", "")] == ["XYZ", "EURUSD", ".X", "A", ""]


class _Counting(list[str]):
    """Counts the look-ups in it."""

    looked = 0

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401
        self.looked += len(range(*at.indices(len(self)))) if isinstance(at, slice) else 1
        return super().__getitem__(at)


_MANY = _Counting(f"AA{number:06}" for number in range(200_000))


@given(st.from_regex(r"AA[A-Z0-9._:/=^-]{0,30}", fullmatch=True))
def test_what_is_looked_at_is_bounded_whatever_is_asked_for(asked: str) -> None:
    """In a universe of 200,000 symbols that begin alike."""
    _MANY.looked = 0
    found = nearest(asked, _MANY)
    assert len(found) <= 3
    assert asked not in found
    assert _MANY.looked < (28 * 6 + 2 * 32 + 4) * 20 + 2 * 64
