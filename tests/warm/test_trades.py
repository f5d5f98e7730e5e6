"""Files of trades: what was written comes out, exactly, whatever wrote it and wherever reading begins."""

import random
import tracemalloc
from collections import Counter
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.trades import Side
from tests.kit.files import put
from tests.warm.trade_files import batches, batches_of, of_shape, packed, source_of, trades, written
from tests.warm.trade_messages import Made
from tests.warm.trade_shapes import DAY_US, MIDNIGHT_US, SHAPES, Shape
from tests.warm.trade_tables import parquet_floats
from warm.errors import InputRefused
from warm.files.find import find_sources
from warm.files.read import Source
from warm.files.rejects import Example, Rejects
from warm.files.trades.batches import START, Position
from warm.files.trades.building import Builder, Meaning, Named, Row
from warm.files.trades.numbers import in_utc
from warm.files.trades.recognise import recognise

_every = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
_LINES = {name: shape for name, shape in SHAPES.items() if shape.header is not None}
_every_of_lines = pytest.mark.parametrize("shape", _LINES.values(), ids=_LINES.keys())


def _text(number: Decimal, zeros: int) -> str:
    text = format(number, "f")
    return text + "0" * zeros if "." in text else text


_numbers = st.builds(
    _text,
    st.decimals(min_value=Decimal("1e-8"), max_value=Decimal(123456789), places=8).filter(lambda each: each > 0),
    st.integers(0, 3),
)
_sides: st.SearchStrategy[Side] = st.sampled_from(("buy", "sell"))
_some = st.lists(
    st.tuples(st.integers(0, 3 * 3_600_000_000), _numbers, _numbers | st.just("0"), _sides, st.integers(0, 10**22)),
    min_size=1,
    max_size=30,
)


def _made(drawn: list[tuple[int, str, str, Side, int]]) -> list[Made]:
    """In order of time, from ten in the morning of the day of Lean's example; some of one time, and some equal but for the id."""
    kept = [Made(MIDNIGHT_US + DAY_US // 2 + each[0] // 7 * 7, *each[1:]) for each in sorted(drawn)]
    return [each._replace(number=number * 10**3) for number, each in enumerate(kept, 1) for _ in range(1 + number % 2)]


def _numbered(made: list[Made]) -> list[Made]:
    """Each with an id of its own."""
    return [each._replace(number=each.number + number) for number, each in enumerate(made)]


@_every
@settings(max_examples=15)
@given(drawn=_some, size=st.integers(1, 400))
def test_what_was_written_comes_out_digit_for_digit_in_batches_of_any_size(
    shape: Shape, drawn: list[tuple[int, str, str, Side, int]], size: int
) -> None:
    made = _numbered(_made(drawn))
    if shape.scaled:
        made = [each._replace(price=f"{max(Decimal(each.price), Decimal('0.0001')):.4f}") for each in made]
    with TemporaryDirectory() as folder:
        source = written(Path(folder), shape, made)
        found = batches(source, size=size)
        assert [refused for batch in found for refused in batch.refused] == []
        expected = of_shape(shape, made)
        assert [trade for batch in found for trade in batch.trades] == expected
        assert [str(trade.price) for batch in found for trade in batch.trades] == [str(each.price) for each in expected]
        assert trades(source) == of_shape(shape, made)


@_every
def test_reading_goes_on_exactly_where_a_batch_ended(shape: Shape, tmp_path: Path) -> None:
    """With the same ids where a trade has none of its own, though equal ones lie on both sides."""
    rng = random.Random(7)
    times = sorted(MIDNIGHT_US + DAY_US // 2 + rng.randrange(5) * 1000 for _ in range(40))
    made = [Made(at, rng.choice(("1.5", "2")), "0.1", "buy", number) for number, at in enumerate(times, 1)]
    source = written(tmp_path, shape, made)
    whole = batches(source, size=90 if shape.text else 7)
    assert sum(len(batch.trades) for batch in whole) == 40
    for number, batch in enumerate(whole):
        rest = [trade for each in whole[number + 1 :] for trade in each.trades]
        assert trades(source, batch.position) == rest
        assert trades(source, batch.position, size=50) == rest


@_every_of_lines
def test_bad_rows_are_refused_with_their_line_wherever_they_are_and_the_rest_goes_on(shape: Shape, tmp_path: Path) -> None:
    noon_us = MIDNIGHT_US + DAY_US // 2
    made = [Made(noon_us + number * 1000, f"{100 + number}.5", "0.25", "buy", number) for number in range(1, 21)]
    source = written(tmp_path, shape, made)
    lines = source.path.read_bytes().split(b"\n")
    assert shape.header is not None
    for seed in range(5):
        rng = random.Random(seed)
        bad, mixed = [], lines[: shape.header]
        for line in lines[shape.header : -1]:
            while rng.random() < 0.3 and len(mixed) > shape.header:
                mixed.append(rng.choice([line[: len(line) // 3], b"\xff\xfe,;{", b'{"type": "match', line.replace(b"5", b"x")]))
                bad.append(len(mixed))
            mixed.append(line)
        source.path.write_bytes(b"\n".join(mixed) + b"\n")
        source = source_of(tmp_path)
        found = batches(source, size=300)
        assert [trade for batch in found for trade in batch.trades] == of_shape(shape, made)
        refused = [example for batch in found for _, example in batch.refused]
        assert [example.row for example in refused] == bad
        rejects = Rejects()
        for batch in found:
            batch.add_to(rejects)
        assert rejects.total == len(bad)
        assert all(example.file == source.label for example in refused)


@pytest.mark.parametrize(("how", "suffix"), [("gz", ".gz"), ("zip", ".zip"), ("zst", ".zst")])
@pytest.mark.parametrize("name", ["tardis", "Kraken's archive", "cryptofeed's recording", "Coinbase's REST", "Parquet"])
def test_a_packed_file_gives_the_same_trades(name: str, how: str, suffix: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    if how == "zst" and not shape.text:
        return
    made = [Made(MIDNIGHT_US + number * 1000, "7.10", "3", "sell", number) for number in range(1, 60)]
    file, content = packed(shape.write(made), shape.file, how)
    source = source_of(put(tmp_path / file, content))
    assert source.path.name.endswith(suffix)
    assert trades(source) == of_shape(shape, made)
    middle = batches(source, size=10 if shape.header is None else 200)[1].position
    assert trades(source, middle) == of_shape(shape, made)[len(made) - len(trades(source, middle)) :]


@pytest.mark.parametrize("name", ["tardis", "plain table", "Coinbase's matches", "Kraken's archive"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_text_in_another_encoding_and_with_other_ends_of_lines_gives_the_same_trades(
    name: str, encoding: str, tmp_path: Path
) -> None:
    shape = SHAPES[name]
    made = [Made(MIDNIGHT_US + number * 1000, "7.10", "3", "sell", number) for number in range(1, 60)]
    text = shape.write(made).decode().replace("\n", "\r\n")
    source = source_of(put(tmp_path / shape.file, text.encode(encoding)))
    assert trades(source) == of_shape(shape, made)
    found = batches(source, size=200)
    for number, batch in enumerate(found):
        assert trades(source, batch.position) == [trade for each in found[number + 1 :] for trade in each.trades]


def _keys(folder: Path, name: str, made: list[Made]) -> list[tuple[str, str, str]]:
    source = written(folder, SHAPES[name], made)
    return [(each.venue, each.symbol, each.key) for each in trades(source)]


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if not shape.ids])
def test_trades_without_ids_have_the_same_keys_when_read_again_or_from_two_halves(name: str, tmp_path: Path) -> None:
    """Wherever a file is cut, but between trades that are equal, or between equal ones; and equal ones are several trades."""
    rng = random.Random(3)
    times = sorted(MIDNIGHT_US + DAY_US // 2 + rng.randrange(4) * 1000 for _ in range(24))
    made = [Made(at, rng.choice(("1.5", "2")), rng.choice(("0.1", "0.2")), "buy", 1) for at in times]
    keys = _keys(tmp_path, name, made)
    assert len({*keys}) == len(made)
    assert _keys(tmp_path, name, made) == keys
    cuts = 0
    for at in range(1, len(made)):
        if not {*made[:at]} & {*made[at:]}:
            cuts += 1
            assert _keys(tmp_path, name, made[:at]) + _keys(tmp_path, name, made[at:]) == keys
    assert cuts >= 3


def test_equal_trades_are_counted_in_a_file_that_is_not_in_order(tmp_path: Path) -> None:
    made = [Made(MIDNIGHT_US + (number % 3) * 1_000_000, "5", "1", "buy", 1) for number in range(30)]
    keys = _keys(tmp_path, "Kraken's archive", made)
    assert Counter(key.rpartition("/")[2] for _, _, key in keys) == {str(number): 3 for number in range(10)}


def test_floats_of_parquet_are_their_shortest_decimals(tmp_path: Path) -> None:
    rng = random.Random(1)
    prices = [repr(rng.random() * 10 ** rng.randint(-9, 9)) for _ in range(500)]
    made = [Made(MIDNIGHT_US + number, price, "0.1", "buy", number) for number, price in enumerate(prices)]
    source = source_of(put(tmp_path / "trades.parquet", parquet_floats(made)))
    assert trades(source) == of_shape(SHAPES["Parquet"], made)


def _peak_bytes(source: Source, size: int) -> tuple[int, int]:
    """Trades, and the most memory that was taken while they were read in batches of which none is kept."""
    found = recognise(source)
    assert found is not None
    tracemalloc.start()
    try:
        count = sum(len(batch.trades) for batch in found.read(size=size))
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["tardis", "OKX's archive", "Coinbase's matches"])
def test_memory_does_not_grow_with_the_file(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]

    def taken(count: int) -> tuple[int, int]:
        made = [
            Made(MIDNIGHT_US + number // 3 * 1000, f"{number % 50}.5", "0.25", "buy", number) for number in range(1, count + 1)
        ]
        source = source_of(put(tmp_path / str(count) / Path(shape.file).name, shape.write(made)))
        return _peak_bytes(source, 20_000)

    few, many = taken(3_000), taken(24_000)
    assert (few[0], many[0]) == (3_000, 24_000)
    assert many[1] < few[1] * 3


def test_so_many_trades_are_remembered_and_no_more() -> None:
    named = Named("venue", "BTC-USD", in_utc)
    builder = Builder("any", Meaning("table", lambda *_: named))
    refused: list[tuple[str, Example]] = []
    for start in range(0, 150_000, 50_000):
        rows = ((at, Row("BTC-USD", 1_700_000_000_000 + at, "1", "1")) for at in range(start, start + 50_000))
        assert len(builder.build(rows, refused)) == 50_000
    assert not refused
    assert len(builder._now) + len(builder._before) <= 65_536


def _until_refused(path: Path) -> tuple[Position, int, str]:
    """How far a file can be read, how many trades that are, and why no further."""
    position, read = START, 0
    try:
        for source in find_sources(path)[0]:
            if source.fault is not None:
                return position, read, source.fault
            for batch in batches_of(source, size=20_000):
                position, read = batch.position, read + len(batch.trades)
    except InputRefused as refused:
        return position, read, str(refused)
    return position, read, ""


@pytest.mark.parametrize(("how", "what"), [("gz", "gzip file"), ("zip", "zip archive"), ("zst", "zstd file")])
def test_a_packed_file_that_is_cut_short_gives_what_it_has_and_is_then_refused(how: str, what: str, tmp_path: Path) -> None:
    """With the position of what was read, so that reading goes on once the file is whole; a cut archive has no directory left."""
    shape = SHAPES["tardis"]
    rng = random.Random(2)
    made = [Made(MIDNIGHT_US + number, f"{rng.random():.12f}9", "3", "sell", number) for number in range(1, 8_000)]
    file, content = packed(shape.write(made), shape.file, how)
    path = put(tmp_path / file, content[: len(content) * 2 // 3])
    position, read, why = _until_refused(path)
    assert f"no readable {what}" in why
    assert read > 0 or how != "gz"
    put(path, content)
    assert trades(source_of(path), position) == of_shape(shape, made)[read:]
