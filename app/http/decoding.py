"""JSON bodies to payload Structs, strictly: what msgspec lets pass (duplicate keys) or blurs (bad JSON, wrong shape) is told
apart here, off the hot path.
"""

import json
import re
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
import orjson

from app.errors import Problem, invalid
from app.payloads import DecideRequest

T = TypeVar("T")

_PLACE = re.compile(r" - at `\$\.?(?P<place>[^`]*)`$")
_NAMED = re.compile(r"field `(?P<name>[^`]*)`")
_STEP = re.compile(r"\[(?P<index>\d+)\]|(?P<key>[^.\[\]]+)")
_SHOWN_MAX = 60


class _DuplicateKeyError(Exception):
    pass


def _unique(pairs: list[tuple[str, object]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise _DuplicateKeyError(key)
        seen.add(key)


def bad_json(detail: str) -> Problem:
    """The body is no JSON at all."""
    return Problem(400, "bad-json", "Bad JSON", detail)


def _value_at(document: object, place: str) -> str | None:
    """What stands at ``place`` (``requests[3].price``), short enough to show; None if that cannot be said."""
    for found in _STEP.finditer(place):
        key: object = int(found["index"]) if found["index"] is not None else found["key"]
        try:
            document = document[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return None
    try:
        shown = orjson.dumps(document).decode()
    except (TypeError, orjson.JSONEncodeError):
        return None
    return shown if len(shown) <= _SHOWN_MAX else shown[: _SHOWN_MAX - 3] + "..."


def keys_at_least(request: DecideRequest) -> int:
    """How many different keys the body of ``request`` has, not counting those that were given their defaults."""
    given = request.price is not None, request.max_age_s is not None, request.explain, request.deadline_ms is not None
    return 1 + sum(given)


class StrictDecoder(Generic[T]):
    """Decodes bodies into one Struct type. ``keys_at_least`` says how many different keys the body of a value must have had: the
    more of them, the fewer bodies need a second look.
    """

    def __init__(self, struct: type[T], keys_at_least: Callable[[T], int] = lambda _: 1) -> None:
        self._decode = msgspec.json.Decoder(struct).decode
        self._keys_at_least = keys_at_least

    def decode(self, body: bytes) -> T:
        """The Struct in ``body``.

        Raises:
            Problem: 400 if it is no JSON (or has a key twice), 422 naming the field if it is of the wrong shape.
        """
        try:
            value = self._decode(body)
        except msgspec.ValidationError as error:
            raise self._explain(body, error) from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise bad_json(f"the body is not JSON: {error}" if body else "the body is empty") from error
        # Each key has a colon. Only a body with more of them than different keys can hold one twice, and is read again for it.
        if body.count(b":") > self._keys_at_least(value):
            try:
                json.loads(body, object_pairs_hook=_unique)
            except _DuplicateKeyError as error:
                raise Problem(400, "bad-json", "Bad JSON", "the body has a key twice", str(error)[:_SHOWN_MAX]) from None
        return value

    def _explain(self, body: bytes, error: msgspec.ValidationError) -> Problem:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as fault:
            # The decoder stops at the first wrong value; what follows it may not even be JSON.
            return bad_json(f"the body is not JSON: {fault}")
        message = str(error)
        place = _PLACE.search(message)
        named = _NAMED.search(message)
        inner = "" if place is None else place["place"]
        rule = _PLACE.sub("", message)
        if named is not None:
            return invalid(f"{inner}.{named['name']}".lstrip("."), rule)
        if not inner:
            return invalid(None, rule)
        shown = _value_at(document, inner)
        return invalid(inner, f"{inner} is {shown}; {rule}" if shown is not None else f"{inner}: {rule}")
