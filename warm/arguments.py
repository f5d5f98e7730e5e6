"""The command line of ``decide warm``: its options alone, without the libraries that a run needs.

Exit codes: 0 published (or a dry run found nothing wrong), 1 input refused and nothing written, 2 wrong usage or settings,
3 the store could not be reached or failed, 4 nothing published because every record in the store is newer, 130 interrupted.
After 3 and 130 the store holds the whole old or the whole new data, never a part.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from app.arguments import PathAction, new_parser, number
from app.setting_options import MARKET_SETTINGS, STORE_SETTINGS, add_gone, add_settings
from app.settings import choices, description
from warm.calendar.exchanges import codes

MOMENT_RULE = "YYYY-MM-DD, or YYYY-MM-DDTHH:MM[:SS[.fff]] with Z or an offset (none means UTC)"
INTERVAL_NAMES = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
FORMAT_NAMES = (
    "table", "headless", "yfinance", "rows", "series", "alpha-vantage", "binance", "coinbase", "bybit", "okx", "kraken",
    "freqtrade", "lean", "lean-unscaled", "native", "ai-hedge-fund", "ai-hedge-fund-v2", "tradingagents", "tradingagents-reports",
    "tradingagents-cn", "ai-trader",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MEMORY_MOST_MB = 99_999_999
_EXAMPLES = """
Where the store is, settings say: environment variables, .env, or the options above.

Examples:
  decide warm                                          the sample: five stocks to March 2013, simulated agents
  decide warm --prices my/prices --agents my/agents    files or folders as your tools wrote them
  decide warm --explain my/prices/AAPL.csv             how a file is understood; nothing is written
  decide warm --prices my/prices --watch               load again whenever a file changes
  decide warm --prices my/prices --dry-run             everything but the write
"""


def moment_of(parser: argparse.ArgumentParser, option: str, text: str) -> int:
    """The moment that ``option`` says, in whole epoch seconds; ends the process with code 2 where ``text`` is none."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        parser.error(f"{option} {text[:40]!r} is not a moment; allowed: {MOMENT_RULE}")
    return int((moment - _EPOCH).total_seconds())


class _Offered(tuple[str, ...]):
    """Words that `decide completion` offers. A pattern may stand before them, so the run itself looks at what was given."""

    __slots__ = ()

    def __contains__(self, _: object) -> bool:
        return True


def make_parser() -> argparse.ArgumentParser:
    """The options of ``decide warm``."""
    parser = new_parser(
        "decide warm",
        "[--OPTION VALUE ...]",
        description="Turn price history and agent outputs into one vector a symbol and publish them in one atomic step.",
        epilog=(__doc__ or "").split("\n\n", 1)[1] + _EXAMPLES,
    )
    parser.add_argument("--prices", type=Path, action=PathAction, help="price file, or a folder of them (default: the sample's)")
    parser.add_argument(
        "--agents",
        type=Path,
        action=PathAction,
        help="agent outputs, file or folder, beside --prices (default: the sample's with the sample's prices, else none)",
    )
    parser.add_argument(
        "--max-rejects", type=number(least=0, most=1), default=0.01, help="share of price rows that may be bad (default 0.01)"
    )
    parser.add_argument("--dry-run", action="store_true", help="do everything but the write; needs no store")
    parser.add_argument("--as-of", help=f"rebuild as it was then; a date is the end of its session ({MOMENT_RULE})")
    parser.add_argument("--prune", action="store_true", help="remove symbols from the store that this input does not have")
    parser.add_argument("--report", type=Path, action=PathAction, help="write the full report to this file as JSON")
    parser.add_argument(
        "--bars",
        nargs="?",
        const="",
        metavar="SOURCE",
        help="put the price files' bars into the market store too, before they are published, under this source's name "
        "(default: their format's)",
    )
    _add_reading(parser)
    parser.add_argument(
        "--alias",
        action="append",
        default=[],
        metavar="FROM=TO",
        help="keep a symbol of the files under another name, as BTC-USD=BTC-USDT; may be repeated, besides SYMBOL_ALIASES",
    )
    parser.add_argument(
        "--stablecoins", choices=choices("stablecoins"), help=f"{description('stablecoins')} Default: STABLECOINS, else apart"
    )
    parser.add_argument(
        "--memory-mb",
        type=number(least=1, most=_MEMORY_MOST_MB, whole=True),
        help="memory that the run may take (default: half of the machine's, 85 %% of the container's, or what is free)",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="load again whenever a file has changed, until SIGTERM or Ctrl-C (exit code 0); a refused load ends nothing",
    )
    parser.add_argument(
        "--explain", type=Path, action=PathAction, metavar="FILE", help="say how a file (or folder) is understood, and end"
    )
    add_settings(parser, STORE_SETTINGS, "where it is published")
    add_settings(parser, MARKET_SETTINGS, "where the market store is, for --bars")
    add_gone(parser, ("CLOCK_SKEW_S",))
    return parser


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """How files are to be read, where they do not tell."""
    parser.add_argument(
        "--exchange", choices=codes(), help="the exchange of all symbols (default: what each symbol's suffix says; none: XNYS)"
    )
    parser.add_argument("--timezone", help="the exchange's timezone, for all symbols (default: the exchange's own)")
    parser.add_argument(
        "--session-close", help="when its sessions close, HH:MM to 24:00, for all (default: by the exchange's table)"
    )
    parser.add_argument(
        "--interval", choices=INTERVAL_NAMES, help="take bars of this length only (default: each symbol's longest)"
    )
    parser.add_argument(
        "--calendar",
        choices=("auto", "equities", "always"),
        default="auto",
        help="equities: 252 sessions a year; always: 365 days; auto (default): always for pairs of currencies",
    )
    parser.add_argument(
        "--stamps", choices=("open", "close"), help="what a bar's stamp is (default: as its format has it; open for tables)"
    )
    parser.add_argument("--naive-timezone", help="where prices' moments without one are (default --timezone; UTC for pairs)")
    parser.add_argument("--date-order", choices=("dmy", "mdy"), help="of dates like 3/8/2024, where no row of a file tells it")
    parser.add_argument(
        "--symbol",
        action="append",
        default=[],
        metavar="FILE=SYMBOL",
        help="the symbol of a file (or of those that fit a pattern) that does not tell it; may be repeated",
    )
    parser.add_argument(
        "--format",
        action="append",
        default=[],
        metavar="[PATTERN=]NAME",
        choices=_Offered(FORMAT_NAMES),
        help=f"format of the files that fit the pattern, or of all; may be repeated. Names: {', '.join(FORMAT_NAMES)}",
    )
