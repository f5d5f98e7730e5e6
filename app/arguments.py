"""Command lines: what is not known is refused by name, with what it may have meant to be."""

import argparse
import difflib
from collections.abc import Sequence
from typing import NoReturn

_SHOWN_MAX = 80
_WRONG = 2


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes no abbreviations and says of each unknown argument what it may have meant to be.

    ``secrets`` are the options that there might be and never are (``redis-url``), with what to do instead.
    """

    def __init__(self, prog: str, **options: object) -> None:
        options = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **options}
        super().__init__(prog, **options)  # type: ignore[arg-type]
        self.secrets: dict[str, str] = {}

    def parse_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None) -> argparse.Namespace:  # type: ignore[override]
        """As ArgumentParser's; ends the process with code 2 if an argument is unknown or wrong."""
        given, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown)
        return given

    def error(self, message: str) -> NoReturn:
        """As ArgumentParser's, but the usage, which may be long, is left to ``--help``."""
        self.exit(_WRONG, f"{self.prog}: error: {message}\nSee `{self.prog} --help`.\n")

    def _refuse(self, unknown: Sequence[str]) -> NoReturn:
        told = []
        for before, each in zip(("", *unknown), unknown, strict=False):
            # What follows an unknown option is its value, which may be a secret, as may what stands behind a =.
            if each.startswith("-") or not before.startswith("-") or "=" in before:
                told.append(self._unknown(each.partition("=")[0][:_SHOWN_MAX]))
        self.error("; ".join(told))

    def _unknown(self, name: str) -> str:
        plain = name.lower().replace("_", "-").lstrip("-")
        if plain in self.secrets:
            return f"{name} is not taken from the command line, which everybody can read; {self.secrets[plain]}"
        options = {option.lstrip("-"): option for option in self._option_string_actions}
        near = difflib.get_close_matches(plain, options, n=1)
        return f"there is no {name}" + (f"; did you mean {options[near[0]]}?" if near else "")
