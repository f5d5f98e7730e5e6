"""The dashboard shows data on a running stack."""

import json
import time

from tests.acceptance.stack import Stack, decide
from tests.kit.servers import ROOT

DASHBOARD = ROOT / "ops" / "grafana" / "dashboards" / "decide.json"


def queries() -> dict[str, list[str]]:
    """Every panel's queries by its title, those inside rows too."""
    found: dict[str, list[str]] = {}
    panels = list(json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"])
    while panels:
        panel = panels.pop()
        panels += panel.get("panels", [])
        if panel["type"] != "row":
            found[panel["title"]] = [target["expr"] for target in panel["targets"]]
    return found


def test_every_panel_has_data(stack: Stack) -> None:
    assert len(queries()) >= 15
    deadline = time.monotonic() + 40
    empty = {"": [""]}
    while empty and time.monotonic() < deadline:
        for _ in range(20):
            decide({"symbol": "GOOG"})
        empty = {title: each for title, each in queries().items() if not all(stack.ask_prometheus(query) for query in each)}
    assert empty == {}
