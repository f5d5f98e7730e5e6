"""``decide market retain``: remove trades that are older than the market store is to keep them.

They are removed by whole days of UTC, some at a time, while servers and jobs go on. Bars stay as they are, and trades of before
are not taken again, or they would count twice. Space is used again by what is written later.
Exit codes: 0 removed, or there was nothing to remove, 2 a setting or an argument is wrong, 3 the store failed; the same command
goes on.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from app.arguments import new_parser, number, parse
from app.errors import MarketError
from app.market.opening import open_writer
from app.options import market_place
from app.setting_options import add_market_settings, settings_given, tells_settings

_DAYS_MAX = 36_500


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide market retain", "[--days DAYS]", description=__doc__)
    made.add_argument(
        "--days",
        type=number(least=1, most=_DAYS_MAX, whole=True),
        help="whole days for which trades are kept (default: MARKET_RETENTION_DAYS, of which 0 keeps all)",
    )
    add_market_settings(made, migrates=True)
    return made


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    arguments = parse(make_parser(), given)
    settings = settings_given(arguments)
    days: int = settings.market_retention_days if arguments.days is None else arguments.days
    if not days:
        print("all trades are kept (MARKET_RETENTION_DAYS is 0, and there is no --days)")
        return 0
    writer = open_writer(**market_place(settings))
    try:
        removed = writer.retain(days, time.time_ns() // 1000)
    except MarketError as error:
        print(f"the market store failed, the same command goes on: {error}", file=sys.stderr)
        return 3
    finally:
        writer.close()
    print(f"removed {removed:,} trades of more than {days:,} days ago; bars stay")
    return 0
