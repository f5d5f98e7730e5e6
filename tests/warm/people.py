"""Price files as people have them, written from random bars: the shapes of vendors, brokers and libraries."""

import io
import json
import random
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from tests.kit.files import put
from tests.warm.running import Outcome, utc, warm

NOW_MS = 1_800_000_000_000
LAST_DAY = date(2023, 11, 17)
"""A Friday."""

LAST_HOUR = datetime(2023, 11, 17, 6, tzinfo=UTC)
OHLCV = ("open", "high", "low", "close", "volume")


class Bar(NamedTuple):
    """One bar; ``at`` is its session's date, or when it begins."""

    at: Any
    open: float
    high: float
    low: float
    close: float
    volume: int

    @property
    def prices(self) -> tuple[float, float, float, float]:
        """Open, high, low, close."""
        return self[1:5]

    @property
    def day_s(self) -> int:
        """Midnight, UTC, of its date, in seconds."""
        return int(datetime(self.at.year, self.at.month, self.at.day, tzinfo=UTC).timestamp())


def _bars(stamps: Sequence[Any], start: float, digits: int) -> list[Bar]:
    chance, close, made = random.Random(19), start, []
    for at in stamps:
        opened, close = close, round(close * (1 + chance.uniform(-0.02, 0.02)), digits)
        high, low = round(max(opened, close) * 1.004, digits), round(min(opened, close) * 0.996, digits)
        made.append(Bar(at, opened, high, low, close, chance.randint(1200, 8800)))
    return made


def sessions(count: int = 30, start: float = 80.0, *, weekends: bool = False) -> list[Bar]:
    """Days up to `LAST_DAY`."""
    days = [LAST_DAY - timedelta(days=number) for number in range(2 * count)]
    return _bars([day for day in days if weekends or day.weekday() < 5][:count][::-1], start, 2)


def hours(count: int = 30, start: float = 1.2, digits: int = 5) -> list[Bar]:
    """Hours up to the one that begins at `LAST_HOUR`."""
    return _bars([LAST_HOUR - timedelta(hours=number) for number in range(count)][::-1], start, digits)


def table(head: Iterable[object], rows: Iterable[Iterable[object]], separator: str = ",") -> str:
    """Lines of fields; no line for an empty head."""
    lines = [separator.join(map(str, line)) for line in (head, *rows)]
    return "".join(f"{line}\n" for line in lines if line)


def plain(made: Sequence[Bar], stamp: Callable[[Any], object] = str, head: Sequence[str] = ("date", *OHLCV)) -> str:
    """A long table of one symbol, with stamps as ``stamp`` writes them."""
    return table(head, ((stamp(bar.at), *bar[1:]) for bar in made))


def document(value: object) -> str:
    """JSON."""
    return json.dumps(value)


def zipped(name: str, text: str) -> bytes:
    """An archive of one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, text)
    return out.getvalue()


def run(folder: Path, files: dict[str, str | bytes], *more: object) -> Outcome:
    """Warm from ``files``."""
    for name, content in files.items():
        put(folder / name, content)
    return warm("--prices", folder, *more, now_ms=NOW_MS)


def read(folder: Path, files: dict[str, str | bytes], *more: object) -> dict[str, tuple[float, int]]:
    """Each symbol's last close and when it is known; it must go well, and no row be bad."""
    outcome = run(folder, files, *more)
    assert outcome.code == 0, outcome.report["error"]
    assert outcome.report["rejects"] == 0
    prices = {symbol: outcome.store.price(symbol) for symbol in outcome.store.rows}
    return {symbol: (float(price.values[0] or 0), price.as_of_ms) for symbol, price in prices.items()}


def refusal(folder: Path, files: dict[str, str | bytes], *more: object) -> str:
    """Why a run is refused; it must be, and write nothing."""
    outcome = run(folder, files, *more)
    assert (outcome.code, outcome.store.rows) == (1, {})
    return str(outcome.report["error"])


def comma(number: float) -> str:
    """As Germans write a number."""
    return f"{number:,}".replace(",", " ").replace(".", ",").replace(" ", ".")


def at_open(bar: Bar) -> int:
    """Half past nine in New York."""
    return (
        int(datetime(bar.at.year, bar.at.month, bar.at.day, 9, 30, tzinfo=UTC).timestamp())
        + (4 if bar.at < date(2023, 11, 5) else 5) * 3600
    )


def stamp(pattern: str) -> Callable[[datetime], str]:
    """What writes a moment so."""
    return lambda at: at.strftime(pattern)


def seconds(at: datetime) -> int:
    """Since 1970."""
    return int(at.timestamp())


DAYS = sessions()
WEEK = sessions(weekends=True, start=41_000.0)
HOURS = hours()
COINS = hours(start=36_500.0, digits=2)
CLOSE = utc(2023, 11, 17, 21)
MIDNIGHT = utc(2023, 11, 18)
HOUR = utc(2023, 11, 17, 7)
