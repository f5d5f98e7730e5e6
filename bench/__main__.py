"""``decide bench``: run a scenario against a server, write its results, and say whether what must hold holds.

Exit codes: 0 every check passed, 1 a check failed (its line is printed last), 2 wrong usage, or no server to measure,
130 interrupted.
"""

import argparse
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
PEERS = "peers"
PEERS_DESCRIPTION = "Decide against other servers and against the limits, all started here; writes bench/RESULTS.md."
_USAGE = 2


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = new_parser("decide bench", "[--OPTION VALUE ...]", description=(__doc__ or "").replace("``", "`"), epilog=_EXAMPLES)
    parser.add_argument(
        "--scenario", default="acceptance", help=f"one of {', '.join([*names(), PEERS])}, or a .toml file (default acceptance)"
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
    parser.add_argument("--smoke", action="store_true", help=f"with {PEERS}: one short round, to see that everything runs")
    parser.add_argument("--only", metavar="EXPERIMENT", help=f"with {PEERS}: this one alone, printed and written nowhere")
    parser.add_argument("--binary", help=f"with {PEERS} --only binary: the file (default dist/decide)")
    parser.add_argument("--package", metavar="COMMAND", help="with it: how the package is run (default: by this Python)")
    parser.add_argument("--list", action="store_true", help="say what scenarios there are, and stop")
    return parser


def _run_peers(arguments: argparse.Namespace) -> int:
    if not (Path(__file__).resolve().parent.parent / "data" / "make_universe.py").is_file():
        print(f"bench: {PEERS} starts what only a checkout has; in one, `just bench --scenario {PEERS}`", file=sys.stderr)
        return _USAGE
    try:
        from bench.peers.__main__ import main as run_peers  # noqa: PLC0415 - needs more than the other scenarios
    except ImportError as error:
        print(f"bench: {error}; in a checkout, `just bench --scenario {PEERS}` installs what it needs", file=sys.stderr)
        return _USAGE
    given = [] if arguments.out is None else ["--out", str(arguments.out)]
    flags = [flag for flag, on in (("--quick", arguments.quick), ("--smoke", arguments.smoke)) if on]
    named = [(f"--{name}", getattr(arguments, name)) for name in ("only", "binary", "package")]
    return run_peers([*given, *flags, *(part for option, value in named if value is not None for part in (option, value))])


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = make_parser()
    arguments = parse(parser, sys.argv[1:] if argv is None else argv)
    if arguments.only is not None and arguments.scenario != PEERS:
        parser.error(f"--only is {arguments.only!r} with --scenario {arguments.scenario}; allowed: with --scenario {PEERS}")
    if arguments.margin != 1 and arguments.scenario == PEERS:
        parser.error(f"--margin is {arguments.margin:g} with --scenario {PEERS}; allowed: with any other scenario")
    if arguments.list:
        for name in names():
            print(f"{name}: {load(name).description}")
        print(f"{PEERS}: {PEERS_DESCRIPTION}")
        return 0
    if arguments.scenario == PEERS:
        return _run_peers(arguments)
    # Here and not above, as all that the extra brings: the help and the list need none of it.
    from bench.running import measure  # noqa: PLC0415

    return measure(arguments)


if __name__ == "__main__":
    sys.exit(main())
