"""The fallback ladder, as a table: from what is known of both inputs to how much of a decision can be made.

full (``none``) -> ``stale`` -> ``price_only`` / ``agents_only`` -> ``neutral``.
"""

from typing import Literal

Status = Literal["present", "stale", "missing", "error"]
Level = Literal["none", "stale", "price_only", "agents_only", "neutral"]
"""``none``: no fallback. ``stale``: both inputs, at least one of them old or unproven. ``price_only`` and ``agents_only``: one
input, fresh or stale. ``neutral``: neither, so a hold."""

LADDER: dict[tuple[Status, Status], Level] = {
    # The price input's status, then the agents'.
    ("present", "present"): "none",
    ("present", "stale"): "stale",
    ("present", "missing"): "price_only",
    ("present", "error"): "price_only",
    ("stale", "present"): "stale",
    ("stale", "stale"): "stale",
    ("stale", "missing"): "price_only",
    ("stale", "error"): "price_only",
    ("missing", "present"): "agents_only",
    ("missing", "stale"): "agents_only",
    ("missing", "missing"): "neutral",
    ("missing", "error"): "neutral",
    ("error", "present"): "agents_only",
    ("error", "stale"): "agents_only",
    ("error", "missing"): "neutral",
    ("error", "error"): "neutral",
}
