"""Command lines, by argparse: what is not known is refused by name, with what it may have meant to be, and without its value,
which may be a secret.
"""

import argparse
import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_is_word = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}").fullmatch
_is_number = re.compile(r"[-+]?[0-9][0-9_.,eE+-]{0,39}").fullmatch
_is_option = re.compile(r"--?[A-Za-z][A-Za-z0-9_-]{0,39}").fullmatch
_listed = re.compile(r"^  (?:-\w, )?(--[a-z0-9-]+)", re.MULTILINE).findall
"""The options in a help text."""


def shown(text: str) -> str:
    """``text`` of a command line as it may be repeated: a word, or that there was another thing, which may be a secret."""
    return repr(text) if _is_word(text) else "of that kind"


def number(
    *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf, whole: bool = False
) -> Callable[[str], float]:
    """What takes an option's text for a finite number ``above`` the one, at ``least`` and at ``most`` the others."""
    bounds = [f"above {above:,.15g}"] if above > -math.inf else []
    bounds += [f"at least {least:,.15g}"] if least > -math.inf else []
    bounds += [f"at most {most:,.15g}"] if most < math.inf else []
    allowed = f"a {'whole ' if whole else ''}number, {' and '.join(bounds)}"

    def convert(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not (text.isascii() and math.isfinite(value) and value > above and least <= value <= most):
            given = repr(text) if _is_number(text) else f"a value {shown(text)}" if not _is_word(text) else shown(text)
            raise argparse.ArgumentTypeError(f"{given} is not allowed; allowed: {allowed}")
        return value

    return convert


class PathAction(argparse.Action):
    """Takes one path, for which `decide completion` offers files."""

    @property
    def complete(self) -> Any:  # noqa: ANN401 - shtab's own
        """What shtab looks for."""
        import shtab  # noqa: PLC0415 - completion alone needs it

        return shtab.FILE

    def __call__(self, _parser: object, namespace: argparse.Namespace, values: object, _option: str | None = None) -> None:
        """Keep it."""
        setattr(namespace, self.dest, values)


def new_parser(prog: str, usage: str, *, description: str | None = None, **options: Any) -> argparse.ArgumentParser:  # noqa: ANN401 - its own
    """A parser that takes no abbreviations. ``usage`` is what stands behind ``prog``: it is printed above every error. The
    ``description`` may be a module's own: names stand there in two backticks.
    """
    return argparse.ArgumentParser(
        prog,
        usage=f"{prog} {usage}".strip(),
        description=None if description is None else description.replace("``", "`"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **options,
    )


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """What ``parser`` makes of ``arguments``; ends the process with code 2 if one is unknown or wrong. A command of a parser says
    by its default ``parser`` whose options are meant.
    """
    given, more = parser.parse_known_args(arguments)
    # Before Python 3.12 the -- itself is among them.
    unknown = [each for each in more if each != "--"]
    options = [each for each in unknown if each.startswith("-")]
    if unknown:
        reached: argparse.ArgumentParser = getattr(given, "parser", parser)
        # What stands behind an unknown option may be its value, and that a secret: only the first is told.
        reached.error(_unknown(options[0], _listed(reached.format_help())) if options else _misplaced(unknown))
    return given


def _misplaced(arguments: Iterable[str]) -> str:
    return "; ".join(f"there is no argument {shown(each)} here" for each in arguments)


def _unknown(argument: str, options: Sequence[str]) -> str:
    """What is wrong with ``argument``, which is none of ``options``. What may be a value in it is not repeated."""
    name = argument.partition("=")[0]
    plain = name.lower().replace("_", "-").lstrip("-")
    # Of a secret's option, which is not listed, the name is that of its file's.
    listed = {stem: option for option in options for stem in (option[2:], option[2:].removesuffix("-file"))}
    glued = [stem for stem in listed if plain.startswith(stem) and plain != stem]
    if glued or not _is_option(name):
        told = "option of that kind"
    else:
        told = name if name.startswith("--") else name[:2]
    near = [max(glued, key=len)] if glued else difflib.get_close_matches(plain, listed, n=1)
    return f"there is no {told}" + (f"; did you mean {listed[near[0]]}?" if near else "")
