"""What a file's stamps say: dates of sessions or moments, in whatever of the usual ways they are written."""

from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from warm.files import Source

_EPOCHS = ((1e8, 1e10, 1000.0), (1e11, 1e13, 1.0), (1e14, 1e16, 1e-3), (1e17, 1e19, 1e-6))
"""Least and greatest value, and milliseconds, of one unit: seconds, milliseconds, microseconds, nanoseconds since 1970. Between
1973 and 2286 no number fits two of them."""

_ISO = r"^(\d{4}-\d{2}-\d{2}|\d{8})[T ](\d{2}:\d{2})(?::(\d{2})(\.\d{1,9})?)? ?(Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?$"
_DATE = r"^(\d{4}-\d{2}-\d{2}|(?:19|20)\d{6})$"

STAMP_RULE = "YYYY-MM-DD or YYYYMMDD, a moment in ISO 8601, or a time since 1970 in s, ms, µs or ns"


class Stamps(NamedTuple):
    """A column of stamps, understood.

    ``table`` has each one once: ``date`` (as it stands in the file), ``stamp_ms`` (milliseconds since 1970, UTC: of a moment, or
    of the midnight that begins a date; null if it cannot be read), ``day`` (the date that it is or is the midnight of, else
    null), ``utc_day`` (the same of midnights in UTC alone). ``zone`` says what was taken for stamps without one, None if each had
    its own or all are dates.
    """

    table: pl.DataFrame
    zone: str | None


def read_stamps(source: Source, column: pl.Series, zone: ZoneInfo, own: ZoneInfo) -> Stamps:
    """Understand ``column``. A moment without a time zone stands in ``zone``; midnight there, in its own zone, in ``own`` (the
    exchange's) or in UTC counts as the date that begins with it.

    Raises:
        InputRefused: a type that holds no stamps, or stamps with and without a time zone in one column.
    """
    unique = column.unique(maintain_order=True).rename("date")
    kind = unique.dtype
    if kind == pl.String:
        table, naive = _from_text(source, unique, zone)
    elif kind == pl.Date:
        table, naive = unique.to_frame().with_columns(pl.col("date").alias("day"), _midnight("date")), False
    elif isinstance(kind, pl.Datetime):
        naive = kind.time_zone is None
        local = pl.col("date").dt.cast_time_unit("ms")
        moment = _in_zone(local, zone) if naive else local
        table = unique.to_frame().with_columns(moment.dt.epoch("ms").alias("stamp_ms"), _if_midnight(local).alias("day"))
    elif kind.is_numeric():
        table, naive = _from_numbers(source, unique), False
    else:
        raise source.refuse(f"column 'date' holds {kind}; allowed: {STAMP_RULE}")
    if naive and table.get_column("day").null_count() == table.get_column("stamp_ms").null_count():
        naive = False
    return Stamps(_with_midnights(table, own), zone.key if naive else None)


def _midnight(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Datetime("ms")).dt.epoch("ms").alias("stamp_ms")


def _if_midnight(moment: pl.Expr) -> pl.Expr:
    """The date of a moment that is midnight."""
    return pl.when(moment.dt.time() == pl.time(0)).then(moment.dt.date())


def _in_zone(naive: pl.Expr, zone: ZoneInfo) -> pl.Expr:
    """A local time as a moment: of two in autumn the earlier, and none for an hour that spring leaves out."""
    return naive.dt.replace_time_zone(zone.key, ambiguous="earliest", non_existent="null")


def _with_midnights(table: pl.DataFrame, own: ZoneInfo) -> pl.DataFrame:
    """``day`` also for midnight at the exchange, then for midnight in UTC."""
    moment = pl.from_epoch("stamp_ms", "ms").dt.replace_time_zone("UTC")
    local = moment.dt.convert_time_zone(own.key)
    utc_day = _if_midnight(moment)
    return table.with_columns(pl.coalesce("day", _if_midnight(local), utc_day).alias("day"), utc_day.alias("utc_day")).select(
        "date", "stamp_ms", "day", "utc_day"
    )


def _from_numbers(source: Source, unique: pl.Series) -> pl.DataFrame:
    """Times since 1970; all of one unit, told by the largest, for a column has one."""
    values = unique.cast(pl.Float64, strict=False)
    largest = values.filter(values.is_finite()).max()
    unit = next((each for each in _EPOCHS if isinstance(largest, float) and each[0] <= largest < each[1]), None)
    if unit is None:
        raise source.refuse(f"column 'date' holds {unique.dtype} such as {largest!r}; allowed: {STAMP_RULE}")
    least, greatest, factor = unit
    fits = pl.col("date").is_between(least, greatest)
    # In 64 bits: milliseconds of a small type's seconds would not fit it.
    whole = pl.col("date").cast(pl.Int64, strict=False)
    scaled = whole * int(factor) if factor >= 1 else whole // round(1 / factor)
    return unique.to_frame().with_columns(
        pl.when(fits).then(scaled).cast(pl.Int64).alias("stamp_ms"), pl.lit(None, dtype=pl.Date).alias("day")
    )


def _from_text(source: Source, unique: pl.Series, zone: ZoneInfo) -> tuple[pl.DataFrame, bool]:
    """Text: dates, moments and times since 1970, and whether any moment has no time zone."""
    text = pl.col("date").str.strip_chars()
    digits = unique.str.strip_chars().drop_nulls()
    digits = digits.filter(digits.str.len_bytes() > 0)
    if digits.len() and digits.str.contains(r"^\d{9,19}(\.\d+)?$").all():
        # Through 64 bits: a float has too few digits for nanoseconds.
        number = pl.coalesce(text.cast(pl.Int64, strict=False), text.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False))
        table = _from_numbers(source, unique.to_frame().select(number).to_series())
        return table.with_columns(unique.alias("date")), False
    plain = text.str.extract(_DATE, 1).str.replace_all("-", "")
    groups = [text.str.extract(_ISO, number) for number in range(1, 6)]
    clock = pl.concat_str(
        groups[0].str.replace_all("-", ""), groups[1], groups[2].fill_null("00"), groups[3].fill_null(""), separator=" "
    )
    offset = groups[4].str.replace(":", "")
    hours, minutes = offset.str.slice(0, 3).cast(pl.Int64, strict=False), offset.str.slice(3).cast(pl.Int64, strict=False)
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    in_utc = offset.is_in(["Z", "z", "UTC"])
    ahead_ms = pl.when(in_utc).then(0).otherwise((hours.abs() * 60 + minutes.fill_null(0)) * sign * 60_000)
    table = (
        unique.to_frame()
        .with_columns(
            plain.str.to_date("%Y%m%d", strict=False).alias("day"),
            clock.str.to_datetime("%Y%m%d %H:%M %S %.f", time_unit="ms", strict=False).alias("local"),
            offset.alias("offset"),
            ahead_ms.alias("ahead_ms"),
        )
        .with_columns(pl.when(pl.col("offset").is_null()).then(_in_zone(pl.col("local"), zone).dt.epoch("ms")).alias("zoned_ms"))
    )
    moments = table.filter(pl.col("local").is_not_null())
    naive = moments.filter(pl.col("offset").is_null())
    if 0 < naive.height < moments.height:
        raise source.refuse(
            f"column 'date' has moments with a time zone and without one ({naive.item(0, 'date')!r}); allowed: all or none"
        )
    return table.select(
        "date",
        pl.coalesce(
            pl.col("day").cast(pl.Datetime("ms")).dt.epoch("ms"),
            "zoned_ms",
            pl.when(pl.col("offset").is_not_null()).then(pl.col("local").dt.epoch("ms") - pl.col("ahead_ms")),
        ).alias("stamp_ms"),
        pl.coalesce("day", _if_midnight(pl.col("local"))).alias("day"),
    ), naive.height > 0
