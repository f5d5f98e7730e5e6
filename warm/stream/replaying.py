"""``decide dead-letters``: what the consumer of the log could not use, with why and whence.

`list` has those of which nothing became yet (`--all`: the others too), `show` whole ones. `replay` puts messages back into their
topic, behind all others: what made them fail may be mended now, else they are dead letters again. `drop` says that they are not
wanted. ID is TOPIC/PARTITION/OFFSET, as `list` has it; `--all` is all of which nothing became yet. What was replayed or dropped
is not replayed again.
Exit codes: 0 done, 1 an ID is none, or its message was cut and cannot be replayed, 2 a setting or an argument is wrong, 3 the log
or the market store failed; the same command goes on.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app.arguments import new_parser, parse
from app.domain.text import harmless
from app.errors import MarketError
from app.market.opening import open_writer
from app.options import Settings, market_place
from app.setting_options import LOG_SETTINGS, MARKET_SETTINGS, add_settings, settings_given, tells_settings
from warm.stream.letters import Letter, letters_of, replay
from warm.stream.log import LogError
from warm.stream.messages import PRICE_TOPIC
from warm.stream.opening import open_log

_SHOWN = 120
"""Characters of a reason in a list."""


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    usage = "list|show|replay|drop [ID ...] [--all] [--OPTION VALUE ...]"
    made = new_parser("decide dead-letters", usage, description=__doc__)
    made.add_argument("action", choices=("list", "show", "replay", "drop"), help="what to do")
    made.add_argument("ids", metavar="ID", nargs="*", help="which ones")
    made.add_argument("--all", action="store_true", help="in place of IDs")
    made.add_argument("--json", action="store_true", help="a line of JSON for each that is listed or shown")
    add_settings(made, (*LOG_SETTINGS, *MARKET_SETTINGS), "where log and market store are (else as the environment says)")
    return made


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    parser = make_parser()
    arguments = parse(parser, given)
    if arguments.action != "list" and bool(arguments.ids) == arguments.all:
        parser.error(f"{arguments.action} needs IDs, or --all")
    try:
        return _run(arguments, settings_given(arguments))
    except (LogError, MarketError) as error:
        sys.stderr.write(f"log or market store failed, the same command goes on: {error}\n")
        return 3


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    if not settings.kafka_bootstrap_servers and not Path(settings.stream_path).exists():
        raise LogError("log_error", f"there is no log at {settings.stream_path}")
    log, writer = open_log(settings), open_writer(**market_place(settings))
    try:
        found = [each for topic in (settings.kafka_topic, PRICE_TOPIC) for each in letters_of(log, topic, writer)]
        chosen, code = _chosen(arguments, found)
        if arguments.action in ("list", "show"):
            shown = _json if arguments.json else _line if arguments.action == "list" else _whole
            sys.stdout.write("".join(f"{shown(each)}\n" for each in chosen))
            return code
        chosen = [each for each in chosen if each.settled is None]
        if arguments.action == "drop":
            writer.settle([each.mark for each in chosen], "dropped")
            sys.stdout.write(f"dropped {len(chosen):,}\n")
            return code
        whole = [each for each in chosen if not each.letter.is_cut]
        sys.stdout.write(f"replayed {replay(log, whole, writer):,}\n")
        for each in chosen:
            if each.letter.is_cut:
                sys.stderr.write(f"{each.name} is cut: {each.letter.length} bytes were too many; allowed: show, drop\n")
        return code if len(whole) == len(chosen) else 1
    finally:
        log.close()
        writer.close()


def _chosen(arguments: argparse.Namespace, found: Sequence[Letter]) -> tuple[list[Letter], int]:
    """Those that are meant; the exit code."""
    if not arguments.ids:
        is_history = arguments.action == "list" and arguments.all
        return [each for each in found if each.settled is None or is_history], 0
    code = 0
    for name in sorted(set(arguments.ids) - {each.name for each in found}):
        sys.stderr.write(
            f"there is no dead letter {harmless(name[:300])}; allowed: TOPIC/PARTITION/OFFSET of one that list has\n"
        )
        code = 1
    return [each for each in found if each.name in arguments.ids], code


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _line(each: Letter) -> str:
    state = "" if each.settled is None else f"  {each.settled}"
    return f"{each.name}  {_time(each.at_ms)}{state}  {harmless(each.letter.reason)[:_SHOWN]}"


def _facts(each: Letter) -> dict[str, object]:
    letter, (key, value, headers) = each.letter, each.letter.message
    return {
        "id": each.name,
        "topic_id": letter.origin.topic_id,
        "written": _time(each.at_ms),
        "state": each.settled or "open",
        "exception": letter.exception,
        "reason": letter.reason,
        "key": _text(key),
        "headers": [[name, _text(header)] for name, header in headers],
        "bytes": letter.length,
        "sha256": letter.sha256,
        "is_cut": letter.is_cut,
        "value": _text(value),
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _json(each: Letter) -> str:
    return msgspec.json.encode(_facts(each)).decode()


def _whole(each: Letter) -> str:
    return "".join(f"{name}: {harmless(str(fact))}\n" for name, fact in _facts(each).items())
