"""What a file's stamps say: dates of sessions or moments, in whatever of the usual ways they are written."""

import re
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from warm.files.read import Source

EPOCHS = ((1e8, 1e10, 1000.0), (1e11, 1e13, 1.0), (1e14, 1e16, 1e-3), (1e17, 1e19, 1e-6))
"""Least and greatest value, and milliseconds, of one unit: seconds, milliseconds, microseconds, nanoseconds since 1970. Between
1973 and 2286 no number fits two of them."""

_ISO = r"^(\d{4}-\d{2}-\d{2}|\d{8})[T ](\d{2}:\d{2})(?::(\d{2})(\.\d{1,9})?)? ?(Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?$"
_DATE = r"^(\d{4}-\d{2}-\d{2}|(?:19|20)\d{6})$"

STAMP_RULE = "a date, a moment, or a time since 1970 in s, ms, µs or ns"

DateOrder = Literal["dmy", "mdy"]
"""Whether the day stands before the month in a date like 3/8/2024."""

_COMPACT = r"^(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[ T_]?(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?$"
_CLOCK = r"(?:,?[ T]+(\d{1,2}):?(\d{2})(?::?(\d{2})(\.\d{1,9})?)? ?([AaPp][Mm])?(?: ?(Z|UTC|GMT)?([+-]\d{2}:?\d{2})?)?)?$"
_SPELLINGS = (
    r"^(?<y>\d{4})[./年-](?<m>\d{1,2})[./月-](?<d>\d{1,2})日?" + _CLOCK,
    r"^(?<y>\d{4})(?<m>\d{2})(?<d>\d{2})(?:[ T_]?(\d{2})(\d{2})(\d{2})?)()()()()$",
    r"^(?<a>\d{1,2})[./-](?<b>\d{1,2})[./-](?<y>\d{4}|\d{2})" + _CLOCK,
    r"^(?:[A-Za-z]{3,9},? +)?(?<n>[A-Za-z]{3})[a-z]*\.? +(?<d>\d{1,2})(?:st|nd|rd|th)?,? +(?<y>\d{4})" + _CLOCK,
    r"^(?<d>\d{1,2})[ .-]+(?<n>[A-Za-z]{3})[a-z]*[ .,-]+(?<y>\d{4}|\d{2})" + _CLOCK,
    r"^(?<y>\d{4})[ -](?<n>[A-Za-z]{3})[a-z]*[ -](?<d>\d{1,2})" + _CLOCK,
)
"""Dates that are not ISO 8601, by year, month, day (or ``a`` and ``b``, whose order the whole column tells, or a month's name);
then hours, minutes, seconds, their fraction, a half of the day, a zone and its distance."""

_MONTHS = {
    name: at for at, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}


class Stamps(NamedTuple):
    """A column of stamps, understood.

    ``table`` has each one once: ``date`` (as it stands in the file), ``stamp_ms`` (milliseconds since 1970, UTC: of a moment, or
    of the midnight that begins a date; null if it cannot be read), ``day`` (the date that it is or is the midnight of, else
    null), ``utc_day`` (the same of midnights in UTC alone). ``zone`` says what was taken for stamps without one, None if each had
    its own or all are dates.
    """

    table: pl.DataFrame
    zone: str | None


def read_stamps(source: Source, column: pl.Series, zone: ZoneInfo, own: ZoneInfo, order: DateOrder | None = None) -> Stamps:
    """Understand ``column``. A moment without a time zone stands in ``zone``; midnight there, in its own zone, in ``own`` (the
    exchange's) or in UTC counts as the date that begins with it. ``order`` is for dates whose own column does not tell it.

    Raises:
        InputRefused: a type that holds no stamps, stamps with and without a time zone in one column, or dates that can be read in
            two ways.
    """
    unique = column.unique(maintain_order=True).rename("date")
    kind = unique.dtype
    if kind == pl.String:
        table, naive = _from_any_text(source, unique, zone, order)
    elif kind == pl.Date:
        table, naive = unique.to_frame().with_columns(pl.col("date").alias("day"), _midnight("date")), False
    elif isinstance(kind, pl.Datetime):
        naive = kind.time_zone is None
        local = pl.col("date").dt.cast_time_unit("ms")
        moment = _in_zone(local, zone) if naive else local
        table = unique.to_frame().with_columns(moment.dt.epoch("ms").alias("stamp_ms"), _if_midnight(local).alias("day"))
    elif kind.is_integer() and unique.len() and unique.drop_nulls().cast(pl.String).str.contains(_COMPACT).all():
        table, naive = _from_any_text(source, unique.cast(pl.String), zone, order)
        table = table.with_columns(unique)
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
    unit = next((each for each in EPOCHS if isinstance(largest, float) and each[0] <= largest < each[1]), None)
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


def _from_any_text(source: Source, unique: pl.Series, zone: ZoneInfo, order: DateOrder | None) -> tuple[pl.DataFrame, bool]:
    """Text in ISO 8601 and times since 1970; what is neither is spelled so first."""
    texts = unique.str.strip_chars().drop_nulls()
    if texts.is_empty() or not texts.str.contains(_COMPACT).all():
        table, naive = _from_text(source, unique, zone)
        unread = table.filter(pl.col("stamp_ms").is_null() & (pl.col("date").str.strip_chars().str.len_bytes() > 0))
        if not unread.get_column("date").str.contains(r"\d").any():
            return table, naive
    spelled = _spelled(source, unique, order)
    table, naive = _from_text(source, spelled, zone)
    return table.with_columns(unique), naive


def _spelled(source: Source, unique: pl.Series, order: DateOrder | None) -> pl.Series:
    """Dates and moments of `_SPELLINGS` in ISO 8601; what is none of them as it is."""
    text = pl.col("date").str.strip_chars()
    written = unique.to_frame()
    first, second = _order(source, written, order)
    iso = []
    for pattern in _SPELLINGS:
        names = re.findall(r"\?<(\w)>", pattern)
        groups = text.str.extract_groups(re.sub(r"\?<\w>", "", pattern))
        part = {name: groups.struct.field(str(at)) for at, name in enumerate([*names, *"HMSfpzo"], 1)}
        if "n" in part:
            part["m"] = part["n"].str.to_lowercase().replace_strict(_MONTHS, default=None, return_dtype=pl.Int64).cast(pl.String)
        if "a" in part:
            if not first:
                continue
            part |= {first: part["a"], second: part["b"]}
        year = pl.when(part["y"].str.len_bytes() == 2).then("20" + part["y"]).otherwise(part["y"])  # noqa: PLR2004
        day = pl.concat_str(year, part["m"].str.zfill(2), part["d"].str.zfill(2), separator="-")
        half = part["p"].str.to_lowercase()
        hour = part["H"].cast(pl.Int64, strict=False)
        hour = (
            pl.when(half.is_null() | (half == "")).then(hour).otherwise(hour % 12 + pl.when(half == "pm").then(12).otherwise(0))
        )
        away = pl.when(part["o"].fill_null("") != "").then(part["o"]).when(part["z"].fill_null("") != "").then(pl.lit("Z"))
        clock = pl.concat_str(hour.cast(pl.String).str.zfill(2), pl.lit(":"), part["M"], pl.lit(":"), _or(part["S"], "00"))
        moment = pl.concat_str(day, pl.lit(" "), clock, _or(part["f"], ""), away.fill_null(""))
        iso.append(pl.when(part["H"].fill_null("") == "").then(day).otherwise(moment))
    return written.select(pl.coalesce(*iso, text).alias("date")).to_series()


def _or(text: pl.Expr, otherwise: str) -> pl.Expr:
    return pl.when(text.fill_null("") == "").then(pl.lit(otherwise)).otherwise(text)


def _order(source: Source, written: pl.DataFrame, order: DateOrder | None) -> tuple[str, str]:
    """Whether of dates like 3/8/2024 the day or the month is first: told by the rows that can be only one of them, else said.
    Neither where most stamps are of another kind.

    Raises:
        InputRefused: rows tell both, or none does and nobody says it; or a year of two digits may stand first.
    """
    text = pl.col("date").str.strip_chars().str.extract_groups(r"^(\d{1,2})([./-])(\d{1,2})[./-](\d{4}|\d{2})(?:\D|$)")
    parts = written.select(text).unnest("date").drop_nulls().rename({"1": "a", "2": "sign", "3": "b", "4": "y"})
    if 2 * parts.height <= written.get_column("date").drop_nulls().len() and order is None:
        return "", ""
    if parts.is_empty():
        return "", ""
    example = parts.select(pl.format("{}{}{}{}{}", "a", "sign", "b", "sign", "y")).item(0, 0)
    days = parts.select((pl.col("a").cast(pl.Int64) > 12).any(), (pl.col("b").cast(pl.Int64) > 12).any()).row(0)  # noqa: PLR2004
    short = parts.filter(pl.col("y").str.len_bytes() == 2)  # noqa: PLR2004
    if days == (True, True) or (short.height and not days[1] and short["y"].n_unique() >= short["a"].n_unique()):
        raise source.refuse(f"dates such as {example!r} have no order that fits all; allowed: YYYY-MM-DD")
    if order is None and not any(days) and parts.item(0, "sign") != ".":
        raise source.refuse(
            f"dates such as {example!r} can have the month or the day first in every row; --date-order mdy or dmy says it"
        )
    return ("m", "d") if (days[1] if any(days) else order == "mdy") else ("d", "m")


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
