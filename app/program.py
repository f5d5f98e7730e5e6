"""How this very Decide is run, for what starts parts of itself as processes of their own. A leaf."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DECIDE = (sys.executable,) if getattr(sys, "frozen", False) else (sys.executable, "-P", "-m", "app")
"""Without the working folder, where there may be something else that is called app. In the one file Python's name is its own."""


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """``given``, with where Decide is found."""
    paths = [str(ROOT), *filter(None, [given.get("PYTHONPATH")])]
    return {**given, "PYTHONPATH": os.pathsep.join(paths)}
