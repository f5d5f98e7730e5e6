"""What values of a trade mean: prices, sizes, times, sides, ids and symbols as venues write them, and what is refused."""

import copy
import json
import random
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.prices import exact
from app.domain.trades import Trade
from tests.kit.files import put
from tests.warm.trade_files import batches, source_of, trades
from tests.warm.trade_messages import Made, as_json, binance_event, bybit_message, match, okx_message, ticker
from tests.warm.trade_shapes import MIDNIGHT_US, SHAPES
from warm.errors import InputRefused
from warm.files.trades import lines
from warm.files.trades.batches import BadRow
from warm.files.trades.names import Options
from warm.files.trades.numbers import in_utc, moments, number, price_of, size_of
from warm.files.trades.recognise import recognise

_TARDIS = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
_ROW = "1709868896123456,1,a,buy,1,1"
_ONE = Made(1_709_868_896_123_456, "1.50", "0.25", "sell", 7)


def _of(folder: Path, name: str, content: str | bytes) -> list[Trade]:
    return trades(source_of(put(folder / name, content)))


def _refused(folder: Path, name: str, content: str | bytes) -> list[tuple[str, int | None, str | None, str | None]]:
    found = batches(source_of(put(folder / name, content)))
    return [(reason, each.row, each.column, each.value) for batch in found for reason, each in batch.refused]


@pytest.mark.parametrize(
    "written", ["0.00000001", "123456789.123456789", "1e-8", "0.123456789012345678", "7.10", "100", "1E+2", " 5.0 ", ".5", "5."]
)
def test_a_price_has_the_digits_that_it_is_written_with(written: str) -> None:
    """And is the same number, to the last sign of its text, whichever way it is read."""
    assert str(price_of(written)) == str(exact(written.strip()))


@given(st.decimals(min_value=0, max_value=10**17, places=12, allow_nan=False))
def test_the_short_way_to_a_number_gives_what_the_long_one_gives(value: Decimal) -> None:
    assert str(number(format(value, "f"), "price")) == str(exact(value))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        *((each, "missing_value") for each in ("", None, "null", "NaN")),
        *((each, "unparsable_value") for each in ("abc", "1_000", "１", "1,5", "Infinity", True)),
        *((each, "not_positive") for each in ("0", "-1")),
        *((each, "out_of_range") for each in ("1" * 39, "1e-31")),
    ],
)  # fmt: skip
def test_what_is_no_price_is_refused_with_its_reason(value: object, reason: str) -> None:
    with pytest.raises(BadRow) as refused:
        price_of(value)
    assert (refused.value.reason, refused.value.column, refused.value.value) == (reason, "price", value)


def test_a_size_may_be_zero_and_not_below() -> None:
    assert size_of("0.000") == 0
    with pytest.raises(BadRow, match="negative_size"):
        size_of("-0.1")


_MOMENT_US = 1_709_868_896_123_456
"""2024-03-08T03:34:56.123456Z"""


@pytest.mark.parametrize(
    ("written", "time_us"),
    [
        ("2024-03-08T03:34:56.123456Z", _MOMENT_US), ("2024-03-08 03:34:56.123456789", _MOMENT_US),
        ("2024-03-08T04:34:56.123456+01:00", _MOMENT_US), ("2024-03-08T04:34:56.123456+0100", _MOMENT_US),
        ("2024-03-08D03:34:56.123456999", _MOMENT_US), ("2024-03-08 03:34:56.123456 UTC", _MOMENT_US),
        ("2024-03-08T03:34:56.5Z", _MOMENT_US - 123_456 + 500_000), ("2024-03-08T03:34Z", _MOMENT_US - 56_123_456),
        ("20240308 033456.123456", _MOMENT_US), ("2024/03/08 03:34:56.123456", _MOMENT_US),
        ("20240308T033456Z", _MOMENT_US - 123_456),
        ("1709868896", _MOMENT_US - 123_456), (1709868896, _MOMENT_US - 123_456), ("1709868896.1234567", _MOMENT_US),
        ("1709868896.12", _MOMENT_US - 3456), ("1709868896123", _MOMENT_US - 456), (1709868896123, _MOMENT_US - 456),
        ("1709868896123.4569", _MOMENT_US), ("1709868896123456", _MOMENT_US), ("1709868896123456.9", _MOMENT_US),
        ("1709868896123456789", _MOMENT_US), (1709868896123456999, _MOMENT_US), ("1.709868896123456e9", _MOMENT_US),
    ],
    ids=repr,
)  # fmt: skip
def test_a_time_is_read_in_its_unit_and_cut_from_finer_ones(written: object, time_us: int) -> None:
    assert in_utc(written) == time_us


@pytest.mark.parametrize(
    "wrong", ["", None, "yesterday", "2024-13-01T00:00:00Z", "5", 6, True, "2024-03-08", "12:34:56", "-1709868896"]
)
def test_what_is_no_time_is_refused(wrong: object) -> None:
    with pytest.raises(BadRow) as refused:
        in_utc(wrong)
    assert refused.value.column == "time"


def test_a_local_time_is_the_first_of_two_in_autumn_and_none_in_the_hour_that_spring_leaves_out() -> None:
    new_york = moments(ZoneInfo("America/New_York"))
    assert new_york("2024-11-03T01:30:00") == in_utc("2024-11-03T05:30:00Z")
    assert new_york("2024-03-08T09:30:00") == in_utc("2024-03-08T14:30:00Z")
    with pytest.raises(BadRow):
        new_york("2024-03-10T02:30:00")


def test_the_taker_of_match_and_ticker_of_one_trade_is_the_same(tmp_path: Path) -> None:
    """The one names the maker's side, the other the taker's; they have one key."""
    found = _of(
        tmp_path, "feed.jsonl", "\n".join(as_json(each) for each in (match(_ONE), ticker(_ONE), match(_ONE, "last_match")))
    )
    assert len(found) == 3
    assert {(each.side, each.key) for each in found} == {("sell", "00000000000000000007")}


def test_a_buyer_who_made_the_trade_means_that_the_taker_sold(tmp_path: Path) -> None:
    found = _of(tmp_path, "BTCUSDT-trades-2024-01.csv", "1,5,2,1,1700000000000,True,True\n2,5,2,1,1700000000000,False,True\n")
    assert [each.side for each in found] == ["sell", "buy"]


def test_aggregates_never_meet_trades_of_the_same_number(tmp_path: Path) -> None:
    trade, aggregate = (_of(tmp_path, "ws.jsonl", as_json(binance_event(_ONE, event))) for event in ("trade", "aggTrade"))
    assert trade[0].trade_id == aggregate[0].trade_id == "7"
    assert aggregate[0].key == trade[0].key + "a"
    one, several = (_of(tmp_path, "ws.jsonl", as_json(okx_message(_ONE, count=count))) for count in ("1", "3"))
    assert several[0].key == one[0].key + "a"


@pytest.mark.parametrize(
    ("name", "content", "symbol"),
    [
        ("a.csv", f"{_TARDIS}\nbitmex,XBTUSD,{_ROW}", "BTC-USD:BTC"),
        ("a.csv", f"{_TARDIS}\nftx,BTC-PERP,{_ROW}", "BTC-USD:USD"),
        ("a.csv", f"{_TARDIS}\nbybit-spot,BTCUSDT,{_ROW}", "BTC-USDT"),
        ("a.csv", f"{_TARDIS}\nbybit,BTCUSDT,{_ROW}", "BTC-USDT:USDT"),
        ("a.csv", f"{_TARDIS}\nbinance-futures,BTCUSDT_240329,{_ROW}", "BTCUSDT_240329"),
        ("data/futures/um/BTCUSDT-trades-2024.csv", "1,5,2,1,1700000000000,True,True", "BTC-USDT:USDT"),
        ("XDGUSD.csv", "1700000000,0.07,100", "DOGE-USD"),
        ("ADAXBT.csv", "1700000000,0.07,100", "ADA-BTC"),
        ("mine.csv", "date,ticker,price,shares\n2024-03-08T09:30:00,ibm,180.5,100", "IBM"),
        ("BRK-B.csv", "time,price,size\n2024-03-08T09:30:00,180.5,100", "BRK.B"),
    ],
)  # fmt: skip
def test_symbols_are_spelled_as_everywhere(name: str, content: str, symbol: str, tmp_path: Path) -> None:
    put(tmp_path / name, content)
    assert [each.symbol for each in trades(source_of(tmp_path))] == [symbol]


def test_contracts_of_bybit_are_told_from_pairs(tmp_path: Path) -> None:
    """By what only they have; those settled in USDC have a name of their own."""
    message = bybit_message(_ONE)
    spot, usdc = copy.deepcopy(message), copy.deepcopy(message)
    del spot["data"][0]["L"]
    usdc["data"][0]["s"] = "BTCPERP"
    found = _of(tmp_path, "ws.jsonl", "\n".join(map(as_json, (message, spot, usdc))))
    assert [each.symbol for each in found] == ["BTC-USDT:USDT", "BTC-USDT", "BTC-USDC:USDC"]


def test_times_without_a_zone_are_on_the_exchanges_clock_unless_somebody_says_which(tmp_path: Path) -> None:
    """Of what never closes they are in UTC."""
    text = (
        "time,symbol,price,size\n2024-03-08T09:30:00,IBM,1,1\n2024-03-08T09:30:00,SAP.DE,1,1\n2024-03-08T09:30:00,BTC-USD,1,1\n"
    )
    source = source_of(put(tmp_path / "mine.csv", text))
    told = [in_utc(f"2024-03-08T{each}:30:00Z") for each in ("14", "08", "09")]
    assert [each.time_us for each in trades(source)] == told
    found = recognise(source, Options(zone=ZoneInfo("Asia/Tokyo"), venue="iex"))
    assert found is not None
    ((batch),) = found.read()
    assert {(each.time_us, each.venue) for each in batch.trades} == {(in_utc("2024-03-08T00:30:00Z"), "iex")}


def test_a_day_and_a_time_of_day_may_stand_in_two_columns(tmp_path: Path) -> None:
    text = "Date,Time,Price,Volume\n2024-03-08,09:30:00.5,180.25,100\n2024-03-08,lunch,180.25,100\n"
    assert [each.time_us for each in _of(tmp_path, "IBM.csv", text)] == [in_utc("2024-03-08T14:30:00.5Z")]
    assert _refused(tmp_path, "IBM.csv", text) == [("unparsable_value", 3, "time", "2024-03-08 lunch")]


def test_leans_ticks_are_reckoned_from_midnight_in_new_york_and_scaled(tmp_path: Path) -> None:
    """In winter as in summer, to the microsecond; suspicious ones and prices that are not scaled are refused."""
    rows = ("34200000.0015,1818500,111,N,1,0", "34200001,1818500,5,B,0,1", "34200001,181.85,5,Q,0,0", "90000000,1818500,5,Q,0,0")
    text = "\n".join(rows)
    (first,) = _of(tmp_path, "20240108_ibm_Trade_Tick.csv", text)
    assert (first.time_us, first.price, first.venue) == (in_utc("2024-01-08T14:30:00.000001Z"), Decimal("181.85"), "nyse")
    (summer,) = _of(tmp_path / "2", "20240708_ibm_Trade_Tick.csv", text)
    assert summer.time_us == in_utc("2024-07-08T13:30:00.000001Z")
    assert _refused(tmp_path / "2", "20240708_ibm_Trade_Tick.csv", text) == [
        ("suspicious", 2, "suspicious", "1"), ("not_whole", 3, "price", "181.85"), ("out_of_range", 4, "time", "90000000"),
    ]  # fmt: skip


def test_a_closing_print_of_leans_is_marked_as_one(tmp_path: Path) -> None:
    """By its flag; older files have letters there, which say nothing."""
    conditions = ("00000001", "00000080", "800000A1", "6", "80")
    text = "\n".join(f"5760000{at},1818500,1,N,{each},0" for at, each in enumerate(conditions))
    found = _of(tmp_path, "20240108_ibm_Trade_Tick.csv", text)
    assert [each.closing for each in found] == [False, True, True, False, False]


@pytest.mark.parametrize("time", ["1931-01-08 10:00", "9999-01-08 10:00"])
def test_a_trade_of_a_time_that_no_store_takes_is_refused(time: str, tmp_path: Path) -> None:
    text = f"time,symbol,price,size\n2024-01-08 10:00,BTC-USD,1,1\n{time},BTC-USD,1,1\n"
    assert len(_of(tmp_path, "mine.csv", text)) == 1
    assert _refused(tmp_path, "mine.csv", text) == [("out_of_range", 3, "time", time)]


def test_bybits_numbers_of_rows_are_no_ids(tmp_path: Path) -> None:
    """They begin anew in each file, and trades of two days would be one."""
    text = "id,timestamp,price,volume,side,rpi\n1,{},5,2,buy,0\n"
    keys = {_of(tmp_path, f"BTCUSDT_2024-01-0{day}.csv", text.format(1_704_067_200_000 + day))[0].key for day in (1, 2)}
    assert len(keys) == 2


def test_an_id_that_no_database_can_keep_is_refused_by_its_row(tmp_path: Path) -> None:
    rows = "\n".join(
        f'{{"time": 1700000000, "symbol": "BTC-USD", "price": 1, "size": 1, "id": "{each}"}}' for each in ("a", "b\\u0000c")
    )
    assert _refused(tmp_path, "mine.jsonl", rows) == [("unparsable_value", 2, "trade_id", "b\ufffdc")]


def test_a_number_of_a_trade_that_a_library_took_for_a_float_is_the_number(tmp_path: Path) -> None:
    text = "time,symbol,price,size,id\n1700000000,BTC-USD,1,1,42.0\n1700000000,BTC-USD,1,1,42\n1700000000,BTC-USD,1,1,nan\n"
    assert [each.trade_id for each in _of(tmp_path, "mine.csv", text)] == ["42", "42", "1700000000000000/1/1/unknown/0"]


def test_a_side_that_is_none_is_refused_and_one_that_is_not_told_is_unknown(tmp_path: Path) -> None:
    text = "time,symbol,price,size,side\n" + "".join(f"1700000000,BTC-USD,1,1,{side}\n" for side in ("Buy", "", "bid", "up"))
    assert [each.side for each in _of(tmp_path, "mine.csv", text)] == ["buy", "unknown", "unknown"]
    assert _refused(tmp_path, "mine.csv", text) == [("unparsable_value", 5, "side", "up")]


def test_a_line_without_an_end_takes_no_more_memory_than_a_line_may(tmp_path: Path) -> None:
    """It is refused by its number, and the next ones are read; also in a batch that begins behind it."""
    line = as_json(match(_ONE)).encode()
    content = line + b"\n" + b"{" * (lines.LINE_BYTES_MAX + 3 * lines.PART_BYTES) + b"\n" + line + b"\n" + line
    source = source_of(put(tmp_path / "feed.jsonl", content))
    found = batches(source)
    assert sum(len(batch.trades) for batch in found) == 3
    assert [(reason, each.row) for batch in found for reason, each in batch.refused] == [("unreadable_json", 2)]
    assert found[-1].position.offset == len(content)
    for at, batch in enumerate(found):
        assert len(trades(source, batch.position)) == sum(len(each.trades) for each in found[at + 1 :])


@pytest.mark.parametrize("place", [b'"7"', b'"1.50"', b'"0.25"', b'"1709868896123"', b'"buy"'])
def test_a_number_of_ever_so_many_digits_is_refused_at_once(place: bytes, tmp_path: Path) -> None:
    """Its digits are not even looked at."""
    line = as_json(okx_message(_ONE._replace(side="buy"))).encode()
    assert place in line
    for many in (b"1" + b"0" * 1_000_000, b'"1' + b"0" * 1_000_000 + b'"'):
        found = batches(source_of(put(tmp_path / "ws.jsonl", line + b"\n" + line.replace(place, many) + b"\n" + line)))
        assert sum(len(batch.trades) for batch in found) == 2
        assert all(each.row == 2 for batch in found for _, each in batch.refused)


_JSON = {name: shape for name, shape in SHAPES.items() if shape.file.endswith("l") and shape.header is not None}
_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 10**30, "", "x", "1e9999", [], [1], {}, {"a": 1}, [[]], "{", '{"a": 1}', "\ud83d", 1.5, "1" + "0" * 5000]
)


def _changed(message: Any, rng: random.Random, value: object) -> Any:  # noqa: ANN401
    """``message`` with ``value`` in one of its places, however deep."""
    if not isinstance(message, dict | list) or not message or rng.random() < 0.1:
        return value
    key = rng.choice(list(message)) if isinstance(message, dict) else rng.randrange(len(message))
    found = copy.copy(message)
    inner = found[key]
    if isinstance(inner, str) and inner.startswith("{") and rng.random() < 0.8:
        found[key] = json.dumps(_changed(json.loads(inner), rng, value))
    else:
        found[key] = _changed(inner, rng, value)
    return found


@pytest.mark.parametrize("name", _JSON)
@settings(max_examples=60)
@given(seed=st.integers(0, 10**9), value=_VALUES)
def test_a_message_with_anything_in_any_place_stops_nothing(
    name: str, seed: int, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is a trade still, of another kind, or refused with its line."""
    shape, rng = SHAPES[name], random.Random(seed)
    made = [_ONE._replace(time_us=MIDNIGHT_US + number, number=number) for number in range(1, 6)]
    good = shape.write(made).decode().splitlines()
    stamp, colon, message = good[-1].rpartition(": {") if good[0].startswith("configuration") else ("", "", good[-1])
    changed = _changed(json.loads(message if not colon else f"{{{message}"), rng, value)
    bad = (f"{stamp}: " if colon else "") + json.dumps(changed)
    source = source_of(put(tmp_path_factory.getbasetemp() / shape.file, "\n".join([*good, bad, good[-1]])))
    found = batches(source)
    kept = sum(len(batch.trades) for batch in found)
    assert kept in (6, 7)
    assert {each.row for batch in found for _, each in batch.refused} <= {len(good) + 1}


_DOCUMENTS = {name: shape for name, shape in SHAPES.items() if shape.file.endswith(".json")}


@pytest.mark.parametrize("name", _DOCUMENTS)
@settings(max_examples=60)
@given(seed=st.integers(0, 10**9), value=_VALUES)
def test_a_document_with_anything_in_any_place_has_its_other_trades(
    name: str, seed: int, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Unless it is none of trades any more, or no JSON."""
    shape = SHAPES[name]
    made = [_ONE._replace(time_us=MIDNIGHT_US + number, number=number) for number in range(1, 6)]
    changed = _changed(json.loads(shape.write(made)), random.Random(seed), value)
    source = source_of(put(tmp_path_factory.getbasetemp() / shape.file, json.dumps(changed, indent=1)))
    with suppress(InputRefused):
        if (found := recognise(source)) is not None:
            told = list(found.read())
            assert sum(len(batch.trades) + len(batch.refused) for batch in told) in (1, 4, 5)
