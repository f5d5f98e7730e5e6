"""Command lines: what is not known is refused by name, with what it may have meant to be, and no secret is repeated."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

_WRONG = 2
_is_word = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}").fullmatch
_is_option = re.compile(r"--?[A-Za-z][A-Za-z0-9_-]{0,39}").fullmatch


def shown(text: str) -> str:
    """``text`` of a command line as it may be repeated: a word, or that there was another thing, which may be a secret."""
    return repr(text) if _is_word(text) else "of that kind"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes no abbreviations and says of each unknown argument what it may have meant to be.

    ``secrets`` are the options that there might be and never are (``redis-url``), with what to do instead.
    """

    def __init__(self, prog: str, **options: Any) -> None:  # noqa: ANN401 - ArgumentParser's own
        options = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **options}
        super().__init__(prog, **options)
        self.secrets: dict[str, str] = {}

    def parse_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None) -> argparse.Namespace:  # type: ignore[override]
        """As ArgumentParser's; ends the process with code 2 if an argument is unknown or wrong."""
        args = sys.argv[1:] if args is None else args
        # Before anything else looks at them: what follows an unknown option is its value, which may be a secret, and would be
        # taken, and refused aloud, as something else.
        unknown = [name for name in _options(args) if name not in self.every_option()]
        if unknown:
            self.error("; ".join(map(self._unknown, unknown)))
        given, more = self.parse_known_args(args, namespace)
        if more:
            self.error("; ".join(f"there is no argument {shown(each)} here" for each in more))
        return given

    def error(self, message: str) -> NoReturn:
        """As ArgumentParser's, but the usage, which may be long, is left to ``--help``."""
        self.exit(_WRONG, f"{self.prog}: error: {message}\nSee `{self.prog} --help`.\n")

    def every_option(self) -> dict[str, argparse.Action]:
        """Options of this parser and of its commands."""
        found = dict(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no other name for it
                for each in action.choices.values():
                    found.update(each.every_option())
        return found

    def _unknown(self, name: str) -> str:
        plain = name.lower().replace("_", "-").lstrip("-")
        if plain in self.secrets:
            return f"{name} is not taken from the command line, which everybody can read; {self.secrets[plain]}"
        if not _is_option(name):
            return "there is no option of that kind"
        options = {option.lstrip("-"): option for option in self.every_option()}
        near = difflib.get_close_matches(plain, options, n=1)
        return f"there is no {name}" + (f"; did you mean {options[near[0]]}?" if near else "")


def _options(arguments: Sequence[str]) -> Iterator[str]:
    """The names of long options among ``arguments``, without what stands behind a =."""
    for each in arguments:
        if each == "--":
            return
        if each.startswith("--"):
            yield each.partition("=")[0]
