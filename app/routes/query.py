"""What stands behind ``?``: each parameter once, and none that a route does not know."""

import re
from collections.abc import Sequence

from starlette.requests import Request

from app.errors import invalid
from app.routes.times import TIME_RULE, time_us

_SHOWN_MAX = 40

_is_number = re.compile(r"[0-9]{1,9}").fullmatch
_FLAGS = {"true": True, "false": False}


class Query:
    """That of ``request``, whose parameters are among ``allowed``.

    Raises:
        Problem: 422 for one that is unknown, or is there twice. So do the methods for one that is wrong.
    """

    def __init__(self, request: Request, *allowed: str) -> None:
        self._given = request.query_params
        names = [name for name, _ in self._given.multi_items()]
        for name in names:
            shown = name[:_SHOWN_MAX]
            if name not in allowed:
                raise invalid(shown, f"query parameter {shown!r} is unknown; allowed: {', '.join(allowed)}")
            if names.count(name) > 1:
                raise invalid(name, f"query parameter {name!r} is there {names.count(name)} times; allowed: once")

    def text(self, name: str) -> str | None:
        """As it stands; None if it is not there."""
        return self._given.get(name)

    def whole(self, name: str, least: int, most: int, default: int) -> int:
        """A whole number."""
        text = self._given.get(name, str(default))
        if not (_is_number(text) and least <= int(text) <= most):
            raise self._wrong(name, f"a whole number from {least} to {most}")
        return int(text)

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """One of ``allowed``."""
        text = self._given.get(name, default)
        if text not in allowed:
            raise self._wrong(name, ", ".join(allowed))
        return text

    def flag(self, name: str) -> bool:
        """Whether it is true; it is false if it is not there."""
        return _FLAGS[self.choice(name, tuple(_FLAGS), "false")]

    def time_us(self, name: str) -> int | None:
        """Epoch microseconds; None if it is not there."""
        text = self._given.get(name)
        try:
            return None if text is None else time_us(text)
        except ValueError:
            raise self._wrong(name, TIME_RULE) from None

    def _wrong(self, name: str, allowed: str) -> Exception:
        return invalid(name, f"{name} is {self._given[name][:_SHOWN_MAX]!r}; allowed: {allowed}")
