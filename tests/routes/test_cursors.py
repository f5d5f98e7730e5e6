"""Cursors: they hold wherever the secret is the same, and nothing else is one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.trades import Order
from app.errors import Problem
from app.routes.cursors import Cursors

_DECODER = msgspec.msgpack.Decoder(Order)
_SECRET = "s" * 32
_OF = ("trades", "asc", "A", None, 5, False)
_PLACE = 1_700_000_000_000_000, "V", "00000000000000000001"


def _refusal(text: str, of: tuple[object, ...] = _OF, secret: str = _SECRET) -> str:
    with pytest.raises(Problem) as caught:
        Cursors(secret).read(text, of, _DECODER)
    assert (caught.value.status, caught.value.field) == (422, "cursor")
    return caught.value.detail


@pytest.mark.parametrize("secret", [_SECRET, ""])
def test_a_cursor_holds_over_restarts_and_instances(secret: str) -> None:
    """Nothing of it is kept in a process."""
    text = Cursors(secret).write(_OF, _PLACE)
    assert Cursors(secret).read(text, _OF, _DECODER) == _PLACE
    assert Cursors(secret).write(_OF, _PLACE) == text
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_of_other_parameters_or_another_secret_is_told_from_one_that_is_none() -> None:
    text = Cursors(_SECRET).write(_OF, _PLACE)
    assert "is of a page with other parameters" in _refusal(text, (*_OF[:2], "B", *_OF[3:]))
    assert "allowed: a next_cursor of this server, whole" in _refusal(text, secret="t" * 32)
    assert repr(text[:40]) in _refusal(text, secret="")


@given(st.data())
def test_a_cursor_with_any_letter_changed_is_refused(data: st.DataObject) -> None:
    text = Cursors(_SECRET).write(_OF, _PLACE)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="utf-8").filter(lambda each: each != text[at]))
    changed = text[:at] + letter + text[at + 1 :]
    _refusal(changed)


@pytest.mark.parametrize("text", ["", "A", "AAAA", "=", "ä", "A" * 43, "A" * 5000])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    assert "a next_cursor of this server" in _refusal(text)
