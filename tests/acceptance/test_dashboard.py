"""The dashboard shows data on a running stack."""

import time

from tests.acceptance.stack import Stack, decide, panel_queries


def test_every_panel_has_data(stack: Stack) -> None:
    # Without market data nobody reads the market store; its panels are looked at where it is.
    queries = {title: each for title, each in panel_queries().items() if "decide_market_" not in "".join(each)}
    assert len(queries) >= 15
    deadline = time.monotonic() + 40
    empty = {"": [""]}
    while empty and time.monotonic() < deadline:
        for _ in range(20):
            decide({"symbol": "GOOG"})
        empty = {title: each for title, each in queries.items() if not all(stack.ask_prometheus(query) for query in each)}
    assert empty == {}
