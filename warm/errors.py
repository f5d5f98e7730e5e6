"""What stops a warm run before anything is written. A leaf."""

from collections.abc import Sequence
from typing import Any

from app.errors import DecideError


class InputRefused(DecideError):
    """The input cannot be used; the message is one line that names the file and what is allowed. Exit code 1."""


class FilesRefused(InputRefused):
    """Files that cannot be used; ``fates`` are those of all that were looked at (`fates.Fate`), for the report."""

    def __init__(self, message: str, fates: Sequence[Any]) -> None:
        super().__init__(message)
        self.fates = tuple(fates)
