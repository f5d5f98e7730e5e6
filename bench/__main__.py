"""``decide bench``: run a scenario against a server, write its results, and say whether what must hold holds.

Exit codes: 0 every check passed, 1 a check failed (its line is printed last), 2 wrong usage, or no server to measure,
130 interrupted.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from app.arguments import PathAction, new_parser, number, parse
from bench.addresses import ALLOWED
from bench.scenario import load, names

_EXAMPLES = """\
Examples:
  decide bench --list
  decide bench --url http://localhost:8000 --quick
  decide bench --scenario closed --url unix:/run/decide/decide.sock --out results
  decide bench --scenario my-scenario.toml
"""
PEERS, MARKET, STREAM = "peers", "market", "stream"
HERE = {
    PEERS: "Decide against other servers and against the limits, all started here; writes bench/RESULTS.md.",
    MARKET: "Trades into SQLite and PostgreSQL, and pages of candles and trades beside FastAPI + SQLAlchemy, all started here.",
    STREAM: "Trades from a log into decisions: how soon, how many, none lost; all started here.",
}
"""What starts its servers itself, and needs a checkout."""
_USAGE = 2


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = new_parser("decide bench", "[--OPTION VALUE ...]", description=__doc__, epilog=_EXAMPLES)
    parser.add_argument(
        "--scenario", default="acceptance", help=f"one of {', '.join([*names(), *HERE])}, or a .toml file (default acceptance)"
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000", help=f"the server: {ALLOWED} (default http://127.0.0.1:8000)")
    parser.add_argument(
        "--out", type=Path, action=PathAction, help=f"folder for results (default bench/results; bench for {PEERS})"
    )
    parser.add_argument("--quick", action="store_true", help="a quarter of each duration")
    parser.add_argument(
        "--margin",
        type=number(least=1, most=10),
        default=1.0,
        help="bounds of time so many times as high, of hit rate and goodput as low: for a machine that is shared (default 1)",
    )
    here = f"with {PEERS}, {MARKET} and {STREAM}"
    parser.add_argument("--smoke", action="store_true", help=f"{here}: one short round, to see that everything runs")
    parser.add_argument("--only", metavar="EXPERIMENT", help=f"{here}: this one alone, printed and written nowhere")
    parser.add_argument("--binary", help=f"with {PEERS} --only binary: the file (default dist/decide)")
    parser.add_argument("--package", metavar="COMMAND", help="with it: how the package is run (default: by this Python)")
    parser.add_argument("--candles", type=number(least=1000, most=1e9), help=f"with {MARKET}: so many (default 10,000,000)")
    parser.add_argument("--database-url", metavar="URL", help=f"with {MARKET}: this PostgreSQL (default: one of its own)")
    parser.add_argument("--list", action="store_true", help="say what scenarios there are, and stop")
    return parser


def _run_here(arguments: argparse.Namespace) -> int:
    name = arguments.scenario
    if not (Path(__file__).resolve().parent.parent / "data" / "make_universe.py").is_file():
        print(f"bench: {name} starts what only a checkout has; in one, `just bench --scenario {name}`", file=sys.stderr)
        return _USAGE
    try:
        # It needs more than the other scenarios.
        run = importlib.import_module(f"bench.{name}.__main__").main
    except ImportError as error:
        print(f"bench: {error}; in a checkout, `just bench --scenario {name}` installs what it needs", file=sys.stderr)
        return _USAGE
    flags = [flag for flag, on in (("--quick", arguments.quick), ("--smoke", arguments.smoke)) if on]
    given = {"--out": arguments.out, "--only": arguments.only}
    if name == PEERS:
        given |= {"--binary": arguments.binary, "--package": arguments.package}
    else:
        given["--margin"] = arguments.margin
    if name == MARKET:
        given |= {"--candles": arguments.candles, "--database-url": arguments.database_url}
    code: int = run([*flags, *(part for option, value in given.items() if value is not None for part in (option, str(value)))])
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = make_parser()
    arguments = parse(parser, sys.argv[1:] if argv is None else argv)
    for option in ("only", "candles", "database_url"):
        given, allowed = getattr(arguments, option), tuple(HERE) if option == "only" else (MARKET,)
        if given is not None and arguments.scenario not in allowed:
            which = f"--{option.replace('_', '-')} is {given!r} with --scenario {arguments.scenario}"
            parser.error(f"{which}; allowed: with --scenario {' or '.join(allowed)}")
    if arguments.margin != 1 and arguments.scenario == PEERS:
        parser.error(f"--margin is {arguments.margin:g} with --scenario {PEERS}; allowed: with any other scenario")
    if arguments.list:
        for name in names():
            print(f"{name}: {load(name).description}")
        for name, description in HERE.items():
            print(f"{name}: {description}")
        return 0
    if arguments.scenario in HERE:
        return _run_here(arguments)
    # Here and not above, as all that the extra brings: the help and the list need none of it.
    from bench.running import measure  # noqa: PLC0415

    return measure(arguments)


if __name__ == "__main__":
    sys.exit(main())
