"""Text of foreign make."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.text import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, Zürich, 東京, emoji 🚀", "plain text, Zürich, 東京, emoji 🚀"),
        ("a\nb\tc\r\x1b[31m\x07", "a\ufffdb\ufffdc\ufffd\ufffd[31m\ufffd"),
        ("\u202etxt.exe\u2066", "\ufffdtxt.exe\ufffd"),
        ("hid\u200bden \u3164\u2800\u115f\ufe0f\U000e0100", "hid\ufffdden \ufffd\ufffd\ufffd\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ("e\u0301 is fine", "e\u0301 is fine"),
        ("z" + "\u0301" * 50 + "y", "z" + "\u0301" * 3 + "y"),
    ],
    ids=["plain", "controls", "bidi", "unseen", "surrogate", "accent", "tower"],
)
def test_what_acts_hides_or_overpaints_is_taken_out(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text())
def test_what_comes_out_is_printable_on_one_line_and_stays(text: str) -> None:
    shown = harmless(text)
    assert shown.isprintable()
    assert len(shown) <= len(text)
    assert harmless(shown) == shown
    runs = "".join("M" if unicodedata.category(each).startswith("M") else " " for each in shown)
    assert "MMMM" not in runs
