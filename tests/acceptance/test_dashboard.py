"""The dashboard shows data on a running stack."""

import re
import time

from tests.acceptance.stack import Stack, decide, panel_queries


def test_every_panel_has_data(stack: Stack) -> None:
    # This stack has neither a market store nor a stream; the panels of that store are looked at where it is.
    elsewhere = re.compile("decide_(market|stream|trades|tick_to)_").search
    queries = {title: each for title, each in panel_queries().items() if not elsewhere("".join(each))}
    assert len(queries) >= 15
    deadline = time.monotonic() + 40
    empty = {"": [""]}
    while empty and time.monotonic() < deadline:
        for _ in range(20):
            decide({"symbol": "GOOG"})
        empty = {title: each for title, each in queries.items() if not all(stack.ask_prometheus(query) for query in each)}
    assert empty == {}
