"""``decide ask SYMBOL …``: ask a running server, and show what it decides.

Exit codes: 0 decided, 1 the server refused, 2 wrong arguments, 3 no answer.
"""

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from app.arguments import PathAction, new_parser, number, parse
from app.commands.client import Address, Refused, Unanswered, address_of, ask
from app.commands.render import as_json, explanation, refusal, table
from app.domain.text import harmless
from app.payloads import BatchItem, DecideResponse, ProblemBody

DECIDED, REFUSED, WRONG, UNANSWERED = 0, 1, 2, 3
_KEY_VARIABLE = "DECIDE_API_KEY"
_KEY_MAX_BYTES = 4096
_is_key = re.compile(r"[\x21-\x7e]{1,1000}").fullmatch
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_EPILOGUE = f"""\
A server that wants an API key gets it from the environment variable {_KEY_VARIABLE}, or from a file by --key-file.
--key does it too, but what stands in a command line is seen by everybody on the machine (ps) and kept in the shell's
history, so it is for trying things out.

Exit codes: 0 decided, 1 the server refused (it is said why), 2 wrong arguments, 3 not reachable, or no answer in time.

Examples:
  decide ask AAPL
  decide ask BTC/USDT --price 63250.5 --explain
  decide ask AAPL MSFT IBM --json | jq .decision.target_weight
"""


class _Batch(msgspec.Struct):
    """A batch's answers as they came."""

    answers: list[msgspec.Raw]


def _address(text: str) -> Address:
    try:
        return address_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it is no server's address: {error}") from error


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = new_parser(
        "decide ask",
        "SYMBOL [SYMBOL ...] [--OPTION VALUE ...]",
        description="Ask a running Decide server for decisions, and show them as a table or as JSON.",
        epilog=_EPILOGUE,
    )
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL", help="in any usual spelling: aapl, BRK-B, BTC/USDT")
    parser.add_argument(
        "--url",
        type=_address,
        default="http://localhost:8000",
        help="where the server is (default: http://localhost:8000), or its Unix socket: unix:/run/decide/decide.sock",
    )
    parser.add_argument("--price", type=number(above=0), metavar="P", help="live price, of one symbol; indicators follow it")
    parser.add_argument("--max-age-s", type=number(least=0), metavar="N", help="inputs older than this count as missing")
    parser.add_argument("--deadline-ms", type=number(above=0), metavar="N", help="milliseconds the server may take")
    parser.add_argument("--explain", action="store_true", help="show contributions and agents' views too")
    parser.add_argument("--json", action="store_true", help="the server's answer as it is, one line for each symbol")
    parser.add_argument(
        "--timeout-s", type=number(above=0), default=10.0, metavar="N", help="seconds to wait, all in all (default: 10)"
    )
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--key-file", type=Path, action=PathAction, metavar="PATH", help="file that holds the API key")
    keys.add_argument("--key", metavar="KEY", help=f"the API key; better in {_KEY_VARIABLE} or a file, see below")
    return parser


def _key(given: argparse.Namespace, parser: argparse.ArgumentParser) -> str | None:
    """The API key, from the argument, the file or the environment; never shown, whatever is wrong with it."""
    key = os.environ.get("DECIDE_API_KEY", "")
    where = _KEY_VARIABLE
    if given.key is not None:
        key, where = given.key, "--key"
        _complain(f"others on this machine can see a key in a command line; {_KEY_VARIABLE} and --key-file are safer")
    elif given.key_file is not None:
        where = "--key-file"
        try:
            with given.key_file.open("rb") as file:
                key = file.read(_KEY_MAX_BYTES).decode("latin-1").strip("\r\n")
        except OSError as error:
            parser.error(f"--key-file cannot be read: {error.strerror}")
    elif not key:
        return None
    if not _is_key(key):
        parser.error(f"{where} holds no key: 1 to 1,000 visible ASCII characters without spaces")
    if not given.url.secure and given.url.host not in _LOOPBACK:
        _complain("the key goes over the network unencrypted; use https://")
    return key


def _complain(text: str) -> None:
    print(f"decide: {harmless(text)}", file=sys.stderr)


def _given(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    given = parse(parser, arguments)
    if given.price is not None and len(given.symbols) > 1:
        parser.error("--price is the price of one symbol; ask for them one by one")
    return given


def main(arguments: Sequence[str]) -> int:
    """Entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal of few letters shows the others by their numbers.
            stream.reconfigure(errors="backslashreplace")
    parser = make_parser()
    given = _given(parser, arguments)
    key = _key(given, parser)
    try:
        answers, problems = _asked(given, key)
    except Refused as error:
        _complain(refusal(error.problem))
        return REFUSED
    except Unanswered as error:
        _complain(f"no answer from {given.url.text}: {error}")
        return UNANSWERED
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _complain(f"no answer from {given.url.text}: what came is no decision of Decide's")
        return UNANSWERED
    decisions = [decision for decision, _ in answers if decision is not None]
    lines = [line for _, line in answers]
    if not given.json:
        lines = [*(table(decisions) if decisions else ()), *(line for each in decisions for line in explanation(each))]
    for line in lines:
        print(line)
    for why in filter(None, (each.inputs.price.live_price_ignored for each in decisions)):
        _complain(f"the live price was ignored: {why}")
    for problem in problems:
        _complain(refusal(problem))
    return REFUSED if problems else DECIDED


def _asked(given: argparse.Namespace, key: str | None) -> tuple[list[tuple[DecideResponse | None, str]], list[ProblemBody]]:
    """For each symbol the decision, if there is one, and the JSON it came in; and all problems of single symbols."""
    options = {"max_age_s": given.max_age_s, "deadline_ms": given.deadline_ms, "explain": given.explain}
    if len(given.symbols) == 1:
        body = {"symbol": given.symbols[0], "price": given.price, **options}
        answer = ask(given.url, "/decide", json.dumps(body).encode(), key, given.timeout_s)
        return [(msgspec.json.decode(answer, type=DecideResponse), as_json(answer))], []
    body = {"symbols": given.symbols, **options}
    answer = ask(given.url, "/decide/batch", json.dumps(body).encode(), key, given.timeout_s)
    raws = msgspec.json.decode(answer, type=_Batch).answers
    items = [msgspec.json.decode(raw, type=BatchItem) for raw in raws]
    answers = [(item.decision, as_json(bytes(raw))) for item, raw in zip(items, raws, strict=True)]
    return answers, [item.problem for item in items if item.problem is not None]
