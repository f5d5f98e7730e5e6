"""``decide features``: write rows of features of the market store's trades to a file, for training models.

A row is of a symbol and a second that has a trade: the state of its market after that second's last trade. A stream with
FEATURE_ROWS=on publishes the same rows, bit for bit, where no trade came late. Rows stand by symbol and then by time. The file is
there when all of it is written, and not before.
Exit codes: 0 written, 1 it could not be written, 2 wrong usage or settings, 3 there is no market store, or it failed,
130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from app.arguments import PathAction, new_parser, parse
from app.domain.candles import SECOND_US
from app.domain.symbols import canonical_symbol
from app.market.protocol import TIME_MAX_US
from app.options import market_place
from app.setting_options import add_market_settings, add_settings, settings_given, tells_settings
from warm.arguments import MOMENT_RULE, moment_of

ENDINGS = (".parquet", ".csv", ".jsonl")
_EXAMPLES = """\
Examples:
  decide features --start 2026-11-01 --end 2026-11-08 --out week.parquet
  decide features --symbols BTC-USD,ETH-USD --out all.parquet
"""


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    made = new_parser("decide features", "--out FILE [--OPTION VALUE ...]", description=__doc__, epilog=_EXAMPLES)
    made.add_argument(
        "--out", type=Path, action=PathAction, required=True, metavar="FILE", help=f"what to write; ends in {', '.join(ENDINGS)}"
    )
    made.add_argument("--start", help=f"from then on, in whole seconds (default: all; {MOMENT_RULE})")
    made.add_argument("--end", help="up to before then, as --start (default: all)")
    made.add_argument("--symbols", help="separated by commas (default: all)")
    add_settings(made, ("window_size",), "the features")
    add_market_settings(made)
    return made


@tells_settings
def main(given: Sequence[str] | None = None) -> int:
    """Write; the exit code."""
    parser = make_parser()
    arguments = parse(parser, sys.argv[1:] if given is None else given)
    settings = settings_given(arguments)
    start_us = _time_us(parser, "--start", arguments.start, 0)
    end_us = _time_us(parser, "--end", arguments.end, TIME_MAX_US)
    if start_us >= end_us:
        parser.error(f"--start {arguments.start} --end {arguments.end}; allowed: an end behind the start")
    out = arguments.out
    if out.suffix.lower() not in ENDINGS:
        parser.error(f"--out {out}: ends in {out.suffix!r}; allowed: {', '.join(ENDINGS)}")
    if out.is_dir() or not out.parent.is_dir():
        parser.error(
            f"--out {out}: {'it is a folder' if out.is_dir() else 'no such folder'}; allowed: a file in a folder that is there"
        )
    symbols = [canonical_symbol(each.strip()) for each in (arguments.symbols or "").split(",") if each.strip()]
    from warm.market.feature_files import Wanted, write_features  # noqa: PLC0415 - help needs none of it

    return write_features(Wanted(out, start_us, end_us, symbols, settings.window_size), market_place(settings))


def _time_us(parser: argparse.ArgumentParser, option: str, text: str | None, default_us: int) -> int:
    if text is None:
        return default_us
    time_us = moment_of(parser, option, text) * SECOND_US
    if not 0 <= time_us < TIME_MAX_US:
        parser.error(f"{option} {text} is beyond what is kept; allowed: from 1970 on, before the year 9000")
    return time_us
