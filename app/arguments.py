"""Command lines: what is not known is refused by name, with what it may have meant to be, and no secret is repeated."""

import argparse
import difflib
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

_WRONG = 2
_is_word = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}").fullmatch
_is_number = re.compile(r"[-+]?[0-9][0-9_.,eE+-]{0,39}").fullmatch
_is_option = re.compile(r"--?[A-Za-z][A-Za-z0-9_-]{0,39}").fullmatch
_GLUED_LEAST = 3
"""Letters of an option's name, for what begins with it to be taken for that option and its value."""
_MINUS = "\N{MINUS SIGN}"


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
        # taken, and refused aloud, as something else. So would, by argparse, what is glued to an option that takes no value.
        faults = self._faults(args)
        if faults:
            self.error("; ".join(faults))
        given, more = self.parse_known_args(args, namespace)
        # Before Python 3.12 the -- itself is among them.
        wrong = [f"there is no argument {shown(each)} here" for each in more if each != "--"]
        if wrong:
            self.error("; ".join(wrong))
        return given

    def error(self, message: str) -> NoReturn:
        """As ArgumentParser's, but the usage, which may be long, is left to ``--help``."""
        self.exit(_WRONG, f"{self.prog}: error: {message}\nSee `{self.prog} --help`.\n")

    def every_option(self) -> dict[str, argparse.Action]:
        """Options of this parser and of its commands."""
        found = dict(self._option_string_actions)
        for each in self._commands().values():
            found.update(each.every_option())
        return found

    def _commands(self) -> "dict[str, Parser]":
        """The parsers of the commands that this one has, by name."""
        found: dict[str, Parser] = {}
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no other name for it
                found.update(action.choices)
        return found

    def _faults(self, arguments: Sequence[str]) -> list[str]:
        """What is wrong with the options and commands among ``arguments``, looking at nothing that is a value, or may be."""
        known, reached = self.every_option(), self
        unknown, misplaced = [], []
        left = iter(arguments)
        for each in left:
            if not _begins_as_option(each):
                commands = reached._commands()
                if commands and each not in commands:
                    misplaced.append(_no_command(each, commands))
                if each == "--":
                    break
                reached = commands.get(each, reached)
                continue
            name = self._name(each)
            action, with_value = known.get(name), each != name
            if action is None:
                unknown.append(self._unknown(name))
                takes_next = "=" not in each
            else:
                takes_next = action.nargs != 0 and not with_value
                if action.nargs == 0 and with_value:
                    unknown.append(f"{name} takes no value")
                elif name not in reached._option_string_actions:  # noqa: SLF001 - a parser as this one
                    misplaced.append(self._misplaced(name, reached))
            if takes_next and next(left, "--") == "--":
                break
        # Behind an unknown option nobody knows what was meant to be the command.
        return unknown or misplaced

    def _name(self, text: str) -> str:
        """The option's name in an argument that begins with it: of -pVALUE that is -p."""
        name = text.partition("=")[0]
        if name.startswith("--") or _plain(name) in {*map(_plain, self.every_option()), *self.secrets}:
            return name
        return name[:2]

    def _misplaced(self, name: str, reached: "Parser") -> str:
        """Where ``name`` stands, which is no option of ``reached``, the command that it was given to."""
        if name in self._option_string_actions:
            command = reached.prog.removeprefix(self.prog).strip()
            return f"{name} stands before the command, as in `{self.prog} {name} … {command}`"
        owners = [f"`{each.prog}`" for each in self._commands().values() if name in each.every_option()]
        return f"{name} stands behind {' or '.join(owners)}"

    def _unknown(self, name: str) -> str:
        plain = _plain(name)
        if plain in self.secrets:
            return f"{name} is not taken from the command line, which everybody can read; {self.secrets[plain]}"
        if _is_other_dash(name[:1]):
            return f"an option begins with -, and {name[0]} is another dash"
        if not _is_option(name):
            return "there is no option of that kind"
        options = {option.lstrip("-"): option for option in self.every_option()}
        glued = [
            each for each in (*options, *self.secrets) if len(each) >= _GLUED_LEAST and plain.startswith(each) and plain != each
        ]
        begin = max(glued, key=len, default="")
        if begin in self.secrets:
            return self._unknown(f"--{begin}")
        # What is glued to an option may be its value.
        told = "option of that kind" if begin else name
        near = next(iter(difflib.get_close_matches(plain, options, n=1)), begin)
        return f"there is no {told}" + (f"; did you mean {options[near]}?" if near else "")


def _no_command(given: str, commands: Iterable[str]) -> str:
    """What is wrong with ``given`` in the place of one of ``commands``."""
    # Some versions of argparse take what stands behind a -- for the command, and repeat it.
    wrong = "a command stands before any --" if given == "--" else f"there is no command {shown(given)}"
    return f"{wrong}; there are: {', '.join(commands)}"


def _begins_as_option(argument: str) -> bool:
    """Whether ``argument`` is meant to be an option."""
    return argument not in ("-", "--") and (argument.startswith("-") or _is_other_dash(argument[:1]))


def _is_other_dash(letter: str) -> bool:
    """Whether ``letter`` looks like the one that options begin with, and is not: copied from text that was set."""
    return letter == _MINUS or (letter not in ("", "-") and unicodedata.category(letter) == "Pd")


def _plain(name: str) -> str:
    """The name of an option, in whatever way it is written, as options are named here."""
    return name.lower().replace("_", "-").lstrip("-")
