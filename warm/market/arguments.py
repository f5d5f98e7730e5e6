"""``decide market load``: read files of trades into the market store, whose bars follow.

FILES are files, folders, and archives of them (gzip, zstd, zip) as Binance, Bybit, Coinbase, Kraken, OKX, tardis and Lean write
them, or plain tables. Killed at any moment and begun again it goes on where it stopped: how far a file was read is written
together with its trades. A file is known by what is in it, not by its name; one that has grown is read on where it ended, and of
one that was replaced all is read. No trade counts twice.
Rows that are no trades are told with place, column, value and reason, and the others are loaded.
Exit codes: 0 loaded, 1 a file was refused, or too many of its rows, and the rest is loaded, 2 wrong usage or settings, 3 a store
failed, 130 interrupted. After 3 and 130 the same command goes on.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from app.arguments import PathAction, new_parser, number, parse
from app.setting_options import STORE_SETTINGS, add_market_settings, add_settings

MEMORY_MOST_MB = 99_999_999
_EXAMPLES = """\
Aggregated and single trades of the same time, as Binance's aggTrades and trades are, count twice: load one of the two.

Examples:
  decide market load BTCUSDT-trades-2024-03.zip                         one month of Binance's
  decide market load recordings --venue coinbase                        a folder
  decide market load ticks.csv --symbol ticks.csv=AAPL --naive-timezone America/New_York
"""


class _Paths(PathAction):
    """Takes many paths."""


def make_parser() -> argparse.ArgumentParser:
    """The options of ``decide market load``."""
    parser = new_parser(
        "decide market load",
        "FILE [FILE ...] [--OPTION VALUE ...]",
        description=__doc__,
        epilog=_EXAMPLES,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, action=_Paths, help="file or folder of trades")
    add_reading(parser)
    parser.add_argument("--report", type=Path, action=PathAction, help="write the full report to this file as JSON")
    parser.add_argument(
        "--memory-mb",
        type=number(least=1, most=MEMORY_MOST_MB, whole=True),
        help="memory that the run may take (default: half of the machine's, 85 %% of the container's, or what is free)",
    )
    add_market_settings(parser, migrates=True)
    add_settings(parser, STORE_SETTINGS, "where the last trades are published")
    return parser


def add_reading(parser: argparse._ActionsContainer) -> None:
    """Give ``parser`` the options for what files of trades do not tell themselves."""
    parser.add_argument("--venue", help="where the trades were made, if a file does not tell it")
    parser.add_argument(
        "--symbol",
        action="append",
        default=[],
        metavar="FILE=SYMBOL",
        help="the symbol of a file (or of those that fit a pattern) that does not tell it; may be repeated",
    )
    parser.add_argument(
        "--naive-timezone", help="where times without a zone are (default: UTC for pairs, else the exchange's clock)"
    )
    parser.add_argument(
        "--max-rejects", type=number(least=0, most=1), default=0.01, help="share of rows that may be refused (default 0.01)"
    )


def main(given: Sequence[str] | None = None) -> int:
    """Load; the exit code."""
    parser = make_parser()
    arguments = parse(parser, sys.argv[1:] if given is None else given)
    from warm.market.loading import start  # noqa: PLC0415 - help needs none of it

    return start(parser, arguments)
