"""Text of foreign make, for people to see."""

import re
import unicodedata

# Fillers, joiners and selectors that are printable by their category and seen by nobody (Unicode's Default_Ignorable_Code_Point),
# and the blank of Braille.
_unseen = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]").sub
_MARKS_MAX = 3
"""So many marks may stand on one letter; more would be painted over its neighbours."""


def harmless(text: str) -> str:
    """``text`` on one line and without what acts on a terminal or hides in it: controls, escapes, what turns its direction, what
    is not seen, towers of marks, lone surrogates. For names and values out of files and answers, which errors and reports show.
    """
    if text.isascii():
        return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)
    kept, marks = [], 0
    for each in _unseen("\ufffd", text):
        marks = marks + 1 if unicodedata.category(each).startswith("M") else 0
        if marks <= _MARKS_MAX:
            kept.append(each if each.isprintable() else "\ufffd")
    return "".join(kept)
