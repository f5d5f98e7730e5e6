"""``decide sample trades``: write simulated trades, made from a seed, to a file that `decide market load` reads.

Nobody made these trades: their venue is `simulated`, whatever the symbols are called, and so is their market, which never closes.
With the same options, --end among them, a file is the same to the byte, and a symbol's trades are the same whichever others are
in it. The file is there when all of it is written, and not before.
Exit codes: 0 written, 1 it could not be written, 2 wrong usage, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.arguments import PathAction, new_parser, number, parse
from app.domain.candles import MINUTE_US
from app.domain.symbols import canonical_symbol
from app.domain.vector import is_symbol
from app.market.protocol import TIME_MAX_US
from warm.arguments import MOMENT_RULE, moment_of
from warm.stream.synthetic.process import SYMBOLS
from warm.stream.synthetic.processes import PROCESSES

ENDINGS = (".csv", ".jsonl", ".parquet")
_DAYS_MAX = 3_650
_SYMBOLS_MAX = 1_000
_DAY_MINUTES = 1440
_EXAMPLES = """\
Examples:
  decide sample trades --days 10 --out simulated.csv
  decide sample trades --symbols BTC-USD,ETH-USD --days 30 --seed 7 --end 2026-11-01 --out simulated.parquet
Keep them apart from real trades, in a market store of their own (`decide market load simulated.csv --market-path sim.sqlite3`).
"""


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    made = new_parser(
        "decide sample",
        "trades --out FILE [--OPTION VALUE ...]",
        description=__doc__,
        epilog=_EXAMPLES,
    )
    made.add_argument("what", choices=("trades",), help="what to make")
    made.add_argument(
        "--out", type=Path, action=PathAction, required=True, metavar="FILE", help=f"what to write; ends in {', '.join(ENDINGS)}"
    )
    made.add_argument("--symbols", default=",".join(SYMBOLS), help=f"separated by commas (default {','.join(SYMBOLS)})")
    made.add_argument(
        "--days", type=number(above=0, most=_DAYS_MAX), default=1, help="so many, rounded to minutes; day and night (default 1)"
    )
    made.add_argument(
        "--seed", type=number(least=0, most=2**32 - 1, whole=True), default=0, help="another one makes other trades (default 0)"
    )
    made.add_argument(
        "--process",
        choices=tuple(PROCESSES),
        default="stochastic-volatility",
        help="stochastic-volatility (default): volatility clusters and trades come as on a market; random-walk: a step of up to "
        "2 %% every 3 s",
    )
    made.add_argument("--end", help=f"up to then, in whole minutes (default: the last midnight of UTC; {MOMENT_RULE})")
    return made


def main(given: Sequence[str] | None = None) -> int:
    """Write; the exit code."""
    parser = make_parser()
    arguments = parse(parser, sys.argv[1:] if given is None else given)
    symbols = symbols_of(parser, arguments.symbols)
    end_us = _end_us(parser, arguments.end)
    minutes = max(1, round(arguments.days * _DAY_MINUTES))
    out = arguments.out
    if out.suffix.lower() not in ENDINGS:
        parser.error(f"--out {out}: ends in {out.suffix!r}; allowed: {', '.join(ENDINGS)}")
    if not out.parent.is_dir():
        parser.error(f"--out {out}: no such folder")
    if out.is_dir():
        parser.error(f"--out {out}: it is a folder; allowed: a file")
    if end_us < minutes * MINUTE_US:
        parser.error(f"--days {arguments.days:g} before --end begin before 1970; allowed: from 1970 on")
    from warm.stream.sampling import Sample, write_sample  # noqa: PLC0415 - help needs none of it

    return write_sample(Sample(out, arguments.process, arguments.seed, symbols, end_us - minutes * MINUTE_US, minutes))


def symbols_of(parser: argparse.ArgumentParser, text: str) -> list[str]:
    """The symbols that ``text`` lists by commas; ends the process with code 2 where it lists something else."""
    symbols = [canonical_symbol(each.strip()) for each in text.split(",")]
    for at, each in enumerate(symbols):
        if not is_symbol(each):
            parser.error(f"--symbols: {each[:40]!r} is no symbol; allowed: names as AAPL or BTC-USD, separated by commas")
        if each in symbols[:at]:
            parser.error(f"--symbols: {each} is there twice; allowed: once")
    if len(symbols) > _SYMBOLS_MAX:
        parser.error(f"--symbols: {len(symbols):,} are given; allowed: at most {_SYMBOLS_MAX:,}")
    return symbols


def _end_us(parser: argparse.ArgumentParser, text: str | None) -> int:
    """When the first minute begins that is not written."""
    if text is None:
        text = datetime.now(UTC).date().isoformat()
    end_us = moment_of(parser, "--end", text) // 60 * MINUTE_US
    if not 0 < end_us < TIME_MAX_US:
        parser.error(f"--end {text} is beyond what is kept; allowed: after 1970 and before {_year(TIME_MAX_US)}")
    return end_us


def _year(time_us: int) -> int:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).year
