"""What a bar's stamp stands for, where its format says nothing: the moment or day on which it begins, or on which it ends."""

from calendar import day_name

import polars as pl

from app.domain.intervals import DAY_S, INTERVALS
from app.domain.symbols import COINS
from warm.calendar.sessions import NEVER_CLOSES, Session
from warm.files.prices.reading import Stamp

_MINUTE_MS = 60_000
_SATURDAY, _SUNDAY = 6, 7
_WEEKEND_SHARE = 0.2
_BARE_COINS = COINS | frozenset({
    "XRP", "ADA", "DOGE", "LTC", "BCH", "DOT", "LINK", "AVAX", "MATIC", "POL", "SHIB", "TRX", "UNI", "XLM", "ATOM", "XMR", "ETC",
    "FIL", "APT", "ARB", "OP", "NEAR", "PEPE", "SUI", "TON", "AAVE", "ALGO", "XTZ", "EOS",
})  # fmt: skip


def _local(session: Session) -> pl.Expr:
    """A stamp on the exchange's clock; where sessions open the evening before, so much later that each lies in its own day."""
    local = pl.from_epoch("stamp_ms", "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(session.timezone.key)
    return local.dt.replace_time_zone(None) + pl.duration(minutes=_evening(session))


def _evening(session: Session) -> int:
    return session.exchange.evening_minutes if session.exchange else 0


def on_sessions(stamps: pl.DataFrame, session: Session) -> pl.DataFrame:
    """``stamps`` (`Stamps.table`) with ``day`` for each, if all are of one time of day on the exchange, up to its close: days
    that are stamped by when their sessions open, as TradingView and Yahoo have it.
    """
    if are_dates(stamps):
        return stamps
    local = _local(session)
    moments = stamps.filter(pl.col("stamp_ms").is_not_null()).select(local.dt.date().alias("day"), local.dt.time().alias("time"))
    times = moments.get_column("time").unique()
    if times.len() != 1 or moments.get_column("day").n_unique() < 2:  # noqa: PLR2004
        return stamps
    minutes = moments.select((pl.col("time").dt.hour().cast(pl.Int64) * 60 + pl.col("time").dt.minute()).first()).item()
    return stamps.with_columns(local.dt.date().alias("day")) if minutes <= session.close_minutes + _evening(session) else stamps


def are_dates(stamps: pl.DataFrame) -> bool:
    """Whether all of ``stamps`` that could be read are dates, or midnights that mean one."""
    return stamps.get_column("day").null_count() == stamps.get_column("stamp_ms").null_count()


def closing(stamps: pl.DataFrame, interval: str, session: Session) -> tuple[Stamp | None, str | None]:
    """What a market's stamps themselves say of being beginnings or ends, and what is to be said where they leave it open.

    The last second or millisecond of a minute ends a bar, and so does the weekday of the last session that labels a week.
    """
    moments = stamps.get_column("stamp_ms").drop_nulls()
    if not are_dates(stamps):
        ending = moments.len() > 0 and any(bool(((moments + before) % _MINUTE_MS == 0).all()) for before in (1, 1000))
        return ("close" if ending else None), None
    weekday = stamps.get_column("day").drop_nulls().dt.weekday().mode().max()
    if interval != "1w" or not isinstance(weekday, int):
        return None, None
    always = session is NEVER_CLOSES
    if not always and not session.days.has_sessions(weekday % 7):
        return "close", None
    if weekday == _SUNDAY or not (always or session.days.has_sessions(weekday - 1)):
        name = day_name[weekday - 1]
        return None, f"weeks are labelled by {name}s, taken for their first days: --stamps close if they are their last"
    return None, None


def ends(stamps: pl.DataFrame, interval: str, kind: Stamp, session: Session) -> pl.DataFrame:
    """Each stamp's (``date``) end of bar, ``as_of_ms``, in milliseconds, on an exchange or where it never closes.

    A date is its session's close; of a bar of several days that it opens, the close of the last of them. A moment opens its bar
    unless it is of the other ``kind``, or is about the close of its session; one of a day or more that stands before that close
    is of that session.
    """
    seconds = INTERVALS[interval]
    opened_ms = 0 if kind == "close" else seconds * 1000
    moments = stamps.with_columns((pl.col("stamp_ms") + opened_ms).alias("moment_ms"))
    if seconds < DAY_S:
        return moments.select("date", pl.col("moment_ms").alias("as_of_ms"))
    last = pl.col("day")
    if kind != "close":
        last = last.dt.month_end() if interval == "1M" else last.dt.offset_by(f"{seconds // DAY_S - 1}d")
    if session is NEVER_CLOSES:
        days = moments.select(pl.col("utc_day").alias("day")).unique().drop_nulls()
    else:
        moments = moments.with_columns(pl.coalesce("day", _local(session).dt.date()).alias("session_day"))
        days = moments.select(pl.col("session_day").alias("day")).unique().drop_nulls()
    closes = days.with_columns(last.alias("last"))
    closes = closes.select(
        "day",
        pl.Series("own_close", [session.close_ms(each) for each in closes.get_column("day")], dtype=pl.Int64),
        pl.Series("usual_close", [session.usual_close_ms(each) for each in closes.get_column("day")], dtype=pl.Int64),
        pl.Series("last_close", [session.close_ms(each) for each in closes.get_column("last")], dtype=pl.Int64),
    )
    if session is NEVER_CLOSES:
        moments = moments.join(closes, left_on="utc_day", right_on="day", how="left", maintain_order="left")
        return moments.select("date", pl.coalesce("last_close", "moment_ms").alias("as_of_ms"))
    moments = moments.join(closes, left_on="session_day", right_on="day", how="left", maintain_order="left")
    stamp = pl.col("stamp_ms")
    at_own, at_usual = (stamp.is_between(name, pl.col(name) + _LATE_MS) for name in ("own_close", "usual_close"))
    end = (
        pl.when(pl.col("day").is_not_null())
        .then("last_close")
        .when(at_own)
        .then("stamp_ms")
        .when(at_usual)
        .then("own_close")
        .when((stamp < pl.col("own_close")) & pl.lit(kind != "close"))
        .then("last_close")
        .otherwise("moment_ms")
    )
    return moments.select("date", end.alias("as_of_ms"))


_LATE_MS = 300_000
"""How long after a session's close its last trade may be reported."""


def never_rest(stamps: pl.DataFrame) -> bool:
    """Whether there are bars on Saturdays and on Sundays, as no exchange of shares has them."""
    weekdays = pl.from_epoch(stamps.get_column("stamp_ms").drop_nulls(), "ms").dt.weekday()
    weekend = weekdays.filter(weekdays >= _SATURDAY)
    return weekend.n_unique() == 2 and weekend.len() >= _WEEKEND_SHARE * weekdays.len()  # noqa: PLR2004


def is_coin(symbol: str | None) -> bool:
    """Whether a symbol that is no pair is a coin's name, if its market never rests; BTC is also a fund's."""
    return symbol in _BARE_COINS


def may_be_days(interval: str | None) -> bool:
    """Whether bars of which a file says ``interval``, or nothing, may be sessions."""
    return interval is None or INTERVALS[interval] >= DAY_S
