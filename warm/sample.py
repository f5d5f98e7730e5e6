"""Where the sample lies: in the package, or, in a checkout, in ``data/``."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_INSTALLED = _HERE / "sample"
SAMPLE = _INSTALLED if _INSTALLED.is_dir() else _HERE.parent / "data"
"""Folder with ``prices`` and ``agents``; its README, in the checkout, says where they are from."""

RUN_PREFIX = "sample-"
"""How the ids of the sample's runs begin, so that a user's own data can replace what they wrote."""
