"""What a path asks of its callers: `app.http.rules`, as the table of routes has it."""

import pytest

from app.http.rules import Rule, Rules
from app.routes.table.entries import ENTRIES

_RULES = Rules(ENTRIES)
_PAGES = ("/", "/docs", "/docs/a.js", "/console/x.css", "/openapi.json", "/redoc")


def test_pages_are_open_and_free() -> None:
    """They ask for data with the caller's own key."""
    assert {(rule.needs, rule.cost) for rule in (_RULES.of(path, "GET") for path in _PAGES)} == {("open", "free")}


@pytest.mark.parametrize("path", ["/decide", "/decide/batch"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE", "WEBSOCKET"])
def test_decisions_need_their_scope_by_any_method(path: str, method: str) -> None:
    assert _RULES.of(path, method).needs == "decide"


@pytest.mark.parametrize("path", ["/stream", "/ws"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE", "WEBSOCKET"])
def test_streams_need_a_key_and_see_themselves_which_scope_is_needed(path: str, method: str) -> None:
    assert _RULES.of(path, method).needs == "any"


def test_what_is_not_known_needs_the_least_that_has_data_and_costs() -> None:
    for path in ("/nothing", "/decide/", "/metrics/", "/console", "/console2", "/docsx", "/Decide", "", "//"):
        rule = _RULES.of(path, "GET")
        assert (path, rule.needs, rule.cost, rule.queue) == (path, "read", "one", "other")


def test_everything_with_data_costs() -> None:
    """But for what watches the server, and for what pays by how much it asks for."""
    assert {_RULES.of(path, "GET").cost for path in ("/decide", "/history/A", "/features/A", "/status")} == {"one"}
    assert {_RULES.of(path, "GET").cost for path in ("/metrics", "/livez", "/readyz", "/health")} == {"free"}
    assert _RULES.of("/ws", "WEBSOCKET").cost == "one"
    assert (_RULES.of("/decide/batch", "POST").cost, _RULES.of("/stream", "GET").cost) == ("counted", "counted")


@pytest.mark.parametrize(("path", "method"), [("/decide/batch", "GET"), ("/stream", "HEAD"), ("/stream", "POST"), ("/ws", "GET")])
def test_a_method_that_the_path_is_not_for_is_no_way_around_cost_and_queue(path: str, method: str) -> None:
    rule = _RULES.of(path, method)
    assert (rule.cost, rule.queue) == ("one", "other")


def test_probes_and_metrics_are_open_where_their_queue_is() -> None:
    opened = Rules(ENTRIES, opened=("probe", "metrics"))
    assert {opened.of(path, "GET").needs for path in ("/metrics", "/livez", "/readyz", "/health")} == {"open"}
    assert (_RULES.of("/metrics", "GET").needs, _RULES.of("/livez", "GET").needs) == ("read", "any")
    assert opened.of("/status", "GET").needs == "admin"


def test_methods_of_one_path_have_rules_of_their_own() -> None:
    """And one that none is for has the first one's need."""
    rules = Rules(
        (
            Rule(path="/jobs/{id}", method="GET", needs="read"),
            Rule(path="/jobs/{id}", method="POST", needs="decide", cost="counted", queue=None),
        )
    )
    assert [rules.of("/jobs/7", method).needs for method in ("GET", "POST", "PUT")] == ["read", "decide", "read"]
