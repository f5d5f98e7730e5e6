"""What the warm job accepts as prices, what it sets aside and why, and what it refuses as a whole."""

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from tests.warm.running import HEADER, LAST_CLOSE_MS, NOW_MS, RECKONING, SAMPLE_PRICES, good_rows, warm, write_csv
from warm.calendar.sessions import open_session
from warm.errors import InputRefused
from warm.files.prices.frame import read_prices
from warm.files.prices.reader import BAR_COLUMNS, Reckoning

GOOD = "AAA,2013-03-01,10,12,9,11,500"

BAD_ROWS = {
    "no symbol": (",2013-03-01,10,12,9,11,500", "missing_value", "symbol"),
    "symbol with a space": ("A A,2013-03-01,10,12,9,11,500", "bad_symbol", "symbol"),
    "symbol with a control character": ("A\x07,2013-03-01,10,12,9,11,500", "bad_symbol", "symbol"),
    "symbol too long": (f"{'A' * 33},2013-03-01,10,12,9,11,500", "bad_symbol", "symbol"),
    "no date": ("AAA,,10,12,9,11,500", "missing_value", "date"),
    "day that does not exist": ("AAA,2013-02-30,10,12,9,11,500", "unparsable_value", "date"),
    "date of another order": ("AAA,01/03/2013,10,12,9,11,500", "unparsable_value", "date"),
    "no open": ("AAA,2013-03-01,,12,9,11,500", "missing_value", "open"),
    "word for a price": ("AAA,2013-03-01,10,12,9,eleven,500", "unparsable_value", "close"),
    "too few fields": ("AAA,2013-03-01,10,12,9", "missing_value", "close"),
    "NaN price": ("AAA,2013-03-01,10,12,NaN,11,500", "not_finite", "low"),
    "infinite price": ("AAA,2013-03-01,10,inf,9,11,500", "not_finite", "high"),
    "price beyond a float": ("AAA,2013-03-01,10,1e999,9,11,500", "not_finite", "high"),
    "price of 5,000 digits": (f"AAA,2013-03-01,10,{'9' * 5000},9,11,500", "not_finite", "high"),
    "huge price": ("AAA,2013-03-01,10,1e300,9,11,500", "out_of_range", "high"),
    "zero price": ("AAA,2013-03-01,10,12,0,11,500", "not_positive", "low"),
    "negative price": ("AAA,2013-03-01,-10,12,9,11,500", "not_positive", "open"),
    "negative volume": ("AAA,2013-03-01,10,12,9,11,-1", "negative_volume", "volume"),
    "huge volume": ("AAA,2013-03-01,10,12,9,11,1e30", "out_of_range", "volume"),
    "low above high": ("AAA,2013-03-01,10,12,13,11,500", "low_above_high", "low"),
    "low above open": ("AAA,2013-03-01,10,12,10.5,11,500", "low_above_open", "low"),
    "low above close": ("AAA,2013-03-01,11.5,12,11.2,11,500", "low_above_close", "low"),
    "high below open": ("AAA,2013-03-01,12.5,12,9,11,500", "high_below_open", "high"),
    "high below close": ("AAA,2013-03-01,10,12,9,12.5,500", "high_below_close", "high"),
    "future bar": ("AAA,2099-03-01,10,12,9,11,500", "future_bar", "date"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_set_aside_with_its_reason(case: str, tmp_path: Path) -> None:
    row, reason, column = BAD_ROWS[case]
    path = write_csv(tmp_path / "p.csv", ["AAA,2013-02-27,10,12,9,11,500", row, "AAA,2013-02-28,10,12,9,11,500"])
    bars = read_prices(path, RECKONING)
    assert bars.rejects.counts == {reason: 1}
    assert (bars.rows, bars.frame.height) == (3, 2)
    example = bars.rejects.examples[reason][0]
    assert (example.file, example.row, example.column) == ("p.csv", 3, column)
    fields = dict(zip(HEADER.strip().split(","), row.split(","), strict=False))
    assert example.value == (fields.get(column, "")[:100].replace("\x07", "�") or None)


@pytest.mark.parametrize("case", [case for case in BAD_ROWS if case != "too few fields"])
def test_parquet_rows_are_judged_alike(case: str, tmp_path: Path) -> None:
    row, reason, _ = BAD_ROWS[case]
    rows = [each.split(",") for each in (GOOD, row)]
    frame = pl.DataFrame(rows, schema=HEADER.strip().split(","), orient="row")
    frame.write_parquet(tmp_path / "p.parquet")
    bars = read_prices(tmp_path / "p.parquet", RECKONING)
    assert bars.rejects.counts == {reason: 1}
    assert bars.rejects.examples[reason][0].row == 2


def test_only_the_first_five_examples_are_kept(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "p.csv", [GOOD, *[f"AAA,2013-02-{day:02},0,12,9,11,5" for day in range(1, 20)]])
    rejects = read_prices(path, RECKONING).rejects
    assert rejects.counts == {"not_positive": 19}
    assert [example.row for example in rejects.examples["not_positive"]] == [3, 4, 5, 6, 7]


def test_duplicates_keep_the_first_read(tmp_path: Path) -> None:
    """Of rows of one symbol and session the first stays, over files in the order of their names; the others are counted."""
    write_csv(tmp_path / "a.csv", [GOOD, GOOD])
    write_csv(tmp_path / "b.csv", [GOOD.replace(",11,", ",10.5,"), "AAA,2013-02-28,10,12,9,11,500"])
    bars = read_prices(tmp_path, RECKONING)
    assert bars.rejects.counts == {"duplicate_timestamp": 2}
    assert [(each.file, each.row) for each in bars.rejects.examples["duplicate_timestamp"]] == [("a.csv", 3), ("b.csv", 2)]
    assert bars.frame.get_column("close").to_list() == [11.0, 11.0]


def test_rows_out_of_order_are_sorted_counted_and_not_rejected(tmp_path: Path) -> None:
    rows = good_rows(40, "AAA") + good_rows(40, "BBB")
    straight = read_prices(write_csv(tmp_path / "a.csv", rows), RECKONING)
    mixed = read_prices(write_csv(tmp_path / "b.csv", rows[::-1]), RECKONING)
    assert (straight.unsorted, mixed.unsorted) == (0, 78)
    assert mixed.rejects.total == 0
    assert mixed.frame.equals(straight.frame)


def test_symbols_between_each_other_are_put_together(tmp_path: Path) -> None:
    by_day = [row for pair in zip(good_rows(30, "BBB"), good_rows(30, "AAA"), strict=True) for row in pair]
    bars = read_prices(write_csv(tmp_path / "p.csv", by_day), RECKONING)
    assert bars.unsorted == 0
    assert bars.frame.get_column("symbol").to_list() == ["AAA"] * 30 + ["BBB"] * 30
    assert bars.frame.select((pl.col("as_of_ms").diff().over("symbol").drop_nulls() > 0).all()).item()


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("2013-03-01", "2013-03-01T21:00:00"),
        ("2013-07-01", "2013-07-01T20:00:00"),
        ("2013-03-01 00:00:00", "2013-03-01T21:00:00"),
        ("2013-03-01T00:00:00-05:00", "2013-03-01T21:00:00"),
        ("2013-03-01T15:30:00Z", "2013-03-01T15:30:00"),
        ("2013-03-01T15:30:00+01:00", "2013-03-01T14:30:00"),
        ("2013-03-01 15:30", "2013-03-01T20:30:00"),
    ],
)
def test_a_date_means_its_sessions_close(stamp: str, moment: str, tmp_path: Path) -> None:
    """A moment that ends a bar is itself, on the exchange's clock if it has no zone."""
    closes = msgspec.structs.replace(RECKONING, stamps="close")
    bars = read_prices(write_csv(tmp_path / "p.csv", [GOOD.replace("2013-03-01", stamp)]), closes)
    expected = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert bars.frame.get_column("as_of_ms").to_list() == [int(expected.timestamp() * 1000)]


def test_a_daily_bars_moment_inside_a_session_is_that_session(tmp_path: Path) -> None:
    """Late is no harm, early is: what is stamped by its open is known at its close, what is stamped by the close then, and what
    begins in the evening a day later.
    """
    rows = [GOOD.replace("2013-03-01", f"2013-02-{day}T14:30:00Z") for day in (26, 27, 28)]
    bars = read_prices(write_csv(tmp_path / "open.csv", rows), RECKONING)
    assert bars.frame.item(-1, "as_of_ms") == int(datetime(2013, 2, 28, 21, tzinfo=UTC).timestamp() * 1000)
    rows = [GOOD.replace("2013-03-01", f"2013-02-{day}T23:00:00Z") for day in (26, 27, 28)]
    bars = read_prices(write_csv(tmp_path / "evening.csv", rows), RECKONING)
    assert bars.frame.item(-1, "as_of_ms") == int(datetime(2013, 3, 1, 23, tzinfo=UTC).timestamp() * 1000)
    rows = [GOOD.replace("2013-03-01", f"2013-02-{day}T21:00:00Z") for day in (26, 27, 28)]
    bars = read_prices(write_csv(tmp_path / "close.csv", rows), RECKONING)
    assert bars.frame.item(-1, "as_of_ms") == int(datetime(2013, 2, 28, 21, tzinfo=UTC).timestamp() * 1000)


def test_a_close_at_24_is_the_end_of_the_day(tmp_path: Path) -> None:
    bars = read_prices(
        write_csv(tmp_path / "p.csv", [GOOD]), Reckoning(session=open_session("UTC", "24:00", "1d"), now_ms=NOW_MS)
    )
    assert bars.frame.get_column("as_of_ms").to_list() == [int(datetime(2013, 3, 2, tzinfo=UTC).timestamp() * 1000)]


@pytest.mark.parametrize("stamp", [date(2013, 3, 1), datetime(2013, 3, 1, 21, tzinfo=UTC)])
def test_parquet_dates_and_moments_are_understood(stamp: date, tmp_path: Path) -> None:
    prices = {"open": [10], "high": [12], "low": [9], "close": [11]}
    frame = pl.DataFrame({"symbol": ["AAA"], "date": [stamp], **prices, "volume": [5]})
    frame.write_parquet(tmp_path / "p.parquet")
    assert read_prices(tmp_path, RECKONING).frame.get_column("as_of_ms").to_list() == [LAST_CLOSE_MS]


def test_the_sources_own_spelling_of_columns_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    header = "Adj Close,Note,Ticker,Date,OPEN,High,Low,Close,Volume"
    path.write_text(f"{header}\n5.5,x,AAA,2013-03-01,10,12,9,11,500\n", encoding="utf-8")
    frame = read_prices(path, RECKONING).frame
    assert tuple(frame.columns) == BAR_COLUMNS
    assert frame.row(0)[2:] == (10.0, 12.0, 9.0, 11.0, 500.0)


def test_splits_are_adjusted_to_the_scale_of_the_last_bar(tmp_path: Path) -> None:
    """A 2:1 split makes no return; volume stays as it was."""
    header = HEADER.strip() + ",adj_close\n"
    rows = ["AAA,2013-02-28,100,110,90,100,7,25", "AAA,2013-03-01,50,55,45,50,14,25"]
    frame = read_prices(write_csv(tmp_path / "p.csv", rows, header), RECKONING).frame
    assert frame.rows() == [
        ("AAA", LAST_CLOSE_MS - 86_400_000, 50.0, 55.0, 45.0, 50.0, 7.0),
        ("AAA", LAST_CLOSE_MS, 50.0, 55.0, 45.0, 50.0, 14.0),
    ]


def test_an_unusable_adjusted_close_is_rejected(tmp_path: Path) -> None:
    """Without a factor a row cannot be put on the scale of the others."""
    header = HEADER.strip() + ",adj_close\n"
    rows = [f"{GOOD},5", *[f"AAA,2013-02-2{day},10,12,9,11,500,{text}" for day, text in enumerate(["", "x", "0", "nan"])]]
    rejects = read_prices(write_csv(tmp_path / "p.csv", rows, header), RECKONING).rejects
    assert rejects.counts == {"missing_value": 1, "unparsable_value": 1, "not_positive": 1, "not_finite": 1}


def test_rounding_of_prices_adjusted_elsewhere_is_no_fault(tmp_path: Path) -> None:
    """A low above the open by less than a billionth is rounding."""
    path = write_csv(tmp_path / "p.csv", ["AAA,2013-03-01,10,12,10.000000000000002,11,500"])
    assert read_prices(path, RECKONING).rejects.total == 0


def test_the_sample_is_clean() -> None:
    bars = read_prices(SAMPLE_PRICES, RECKONING)
    assert (bars.rows, bars.frame.height, bars.rejects.total) == (12_154, 12_154, 0)
    assert bars.frame.group_by("symbol").last().get_column("as_of_ms").unique().to_list() == [LAST_CLOSE_MS]


GOOD_FILE = (HEADER + GOOD + "\n").encode()

FINE_FILES = {
    "Excel's Unicode text": GOOD_FILE.decode().replace(",", "\t").encode("utf-16"),
    "UTF-16, the other end first": b"\xfe\xff" + GOOD_FILE.decode().encode("utf-16-be"),
    "Excel's own": GOOD_FILE.decode().replace("open", "Eröffnung", 1).replace("date", "Datum", 1).encode("cp1252"),
    "GBK": GOOD_FILE.decode().replace("date", "日期", 1).encode("gbk"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD_FILE,
    "Windows line ends": GOOD_FILE.replace(b"\n", b"\r\n"),
    "no line end at the end": GOOD_FILE.rstrip(),
    "blank lines": GOOD_FILE + b"\n\n",
    "quoted fields": GOOD_FILE.replace(b"AAA", b'"AAA"'),
}


@pytest.mark.parametrize("case", FINE_FILES)
def test_harmless_differences_between_files_do_not_matter(case: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(FINE_FILES[case])
    bars = read_prices(tmp_path, RECKONING)
    assert (bars.rows, bars.frame.height, bars.rejects.total) == (1, 1, 0)


HOSTILE_FILES = {
    "empty": ("p.csv", b"", "empty"),
    "only blank lines": ("p.csv", b"\n\n\n\n\n", "empty"),
    "only a header": ("p.csv", HEADER.encode(), "no usable bar"),
    "missing column": ("p.csv", GOOD_FILE.replace(b"close", b"clothes"), "column 'close' is missing"),
    "two columns of one meaning": ("p.csv", GOOD_FILE.replace(b"volume", b"ticker"), "two columns mean 'symbol'"),
    "a column twice": ("p.csv", GOOD_FILE.replace(b"volume", b"close"), "two columns mean 'close'"),
    "half of UTF-16": ("p.csv", GOOD_FILE.decode().encode("utf-16")[:-1], "not UTF-16"),
    "Latin-1": ("p.csv", GOOD_FILE.replace(b"AAA", b"\xc4AA"), "bad_symbol"),
    "Cyrillic": ("p.csv", GOOD_FILE.decode().replace("AAA", "дата").encode("cp1251"), "not UTF-8"),
    "too many fields": ("p.csv", GOOD_FILE + GOOD.encode() + b",1,2,3\n", "cannot be read"),
    "open quote": ("p.csv", GOOD_FILE + b'"AAA,2013-03-01,10,12,9,11,500\n', "cannot be read"),
    "not gzip": ("p.csv.gz", GOOD_FILE, "no readable gzip file"),
    "truncated gzip": ("p.csv.gz", gzip.compress(GOOD_FILE * 50)[:-12], "no readable gzip file"),
    "empty gzip": ("p.csv.gz", gzip.compress(b""), "empty"),
    "not Parquet": ("p.parquet", b"PAR1 nothing PAR1", "cannot be read"),
    "empty Parquet": ("p.parquet", b"", "cannot be read"),
    "binary": ("p.csv", bytes(range(256)) * 20, "p.csv"),
    "another kind": ("p.xlsx", b"PK", "ends in"),
}


@pytest.mark.parametrize("case", HOSTILE_FILES)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    name, content, expected = HOSTILE_FILES[case]
    (tmp_path / name).write_bytes(content)
    outcome = warm("--prices", tmp_path)
    assert outcome.code == 1
    assert expected in outcome.report["error"]
    assert str(tmp_path) in outcome.report["error"]
    assert "\n" not in outcome.report["error"]
    assert outcome.store.calls["publish_run"] == 0


def test_a_date_column_of_numbers_is_refused(tmp_path: Path) -> None:
    """Numbers could be seconds, milliseconds or days: nobody guesses."""
    frame = pl.DataFrame({"symbol": ["A"], "date": [20130301], "open": [1], "high": [1], "low": [1], "close": [1], "volume": [1]})
    frame.write_parquet(tmp_path / "p.parquet")
    with pytest.raises(InputRefused, match="column 'date' holds Int64"):
        read_prices(tmp_path, RECKONING)


def test_nothing_at_the_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no such file"):
        read_prices(tmp_path / "nowhere", RECKONING)
