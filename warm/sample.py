"""Where the data that comes with the program lies: in the package, or, in a checkout, in ``data/``."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_INSTALLED = _HERE / "sample"
_DATA = _HERE.parent / "data"
SAMPLE = _INSTALLED if _INSTALLED.is_dir() else _DATA
"""Folder with ``prices`` and ``agents``; its README, in the checkout, says where they are from."""

SESSIONS = _HERE / "tables" if (_HERE / "tables").is_dir() else _DATA / "sessions"
"""Folder with a table of sessions for each exchange (``data/make_sessions.py``)."""

RUN_PREFIX = "sample-"
"""How the ids of the sample's runs begin, so that a user's own data can replace what they wrote."""
