"""A scenario whose results are a section of ``RESULTS.md``: its options, its run, its results as JSON and as Markdown."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console

from app.arguments import number
from bench.peers.processes import ROOT
from bench.scenario import ScenarioError

_USAGE, _INTERRUPTED = 2, 130
F = TypeVar("F", bound=msgspec.Struct)


def options_of(name: str, description: str | None, alone: Sequence[str]) -> argparse.ArgumentParser:
    """The options that all of them have; ``alone`` are the experiments that can be run alone."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench --scenario {name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    parser.add_argument("--smoke", action="store_true", help="does it run?")
    parser.add_argument("--only", choices=alone, help="this alone, written nowhere")
    parser.add_argument("--margin", type=number(least=1, most=10), default=1.0, help="bounds so many times as wide (default 1)")
    parser.add_argument("--out", type=Path, help="folder for results (default bench/results)")
    return parser


def run(
    name: str,
    options: argparse.Namespace,
    measure: Callable[[Callable[[str], None]], F],
    markdown: Callable[[F], str],
    *,
    is_whole: bool,
) -> F | int:
    """What was found, which is shown and, unless one experiment was run alone, written; if it ``is_whole``, its section, too.
    Else the exit code: 2 something needed is not there, 130 interrupted. ``measure`` is given whom to tell how far it is.
    """
    console = Console(stderr=True)
    try:
        found = measure(lambda text: console.print(text, highlight=False, soft_wrap=True))
    except ScenarioError as error:
        print(f"bench: {error}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED
    text = markdown(found)
    print(text)
    if options.only is None:
        for path in write(name, found, text, options.out or ROOT / "bench" / "results"):
            print(path)
        if is_whole:
            put(name, text, ROOT / "bench" / "RESULTS.md")
    return found


def write(name: str, found: msgspec.Struct, text: str, folder: Path) -> list[Path]:
    """``NAME.json`` and ``NAME.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / f"{name}.json", folder / f"{name}.md"
    data.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    page.write_text(f"{text}\n", encoding="utf-8")
    return [data, page]


def put(name: str, text: str, page: Path) -> None:
    """Write the section anew in a page that has a place for it, between ``<!-- NAME -->`` and ``<!-- end of NAME -->``."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, begun, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    assert begun, f"{page} has no {begin}"
    assert ended, f"{page} has no {end}"
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
