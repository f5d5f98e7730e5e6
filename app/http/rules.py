"""What a path asks of its callers, from the table of routes (`app.routes.table`)."""

from collections.abc import Collection, Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

from app.domain.keys import Scope as KeyScope
from app.http.queues import Kind

Need = KeyScope | Literal["any", "open"]
"""What a key must allow: a scope of its own, anything at all, or no key needed."""

Cost = Literal["one", "counted", "free"]
"""What a request pays of the caller's rate limit: one decision, as many as it asks for (`app.http.access.Gate.charge`), or
nothing. A refusal of what pays by count pays for one."""

Method = Literal["GET", "POST", "WEBSOCKET"]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Of requests with ``method`` for ``path``, written as Starlette does: ``/features/{symbol:any}``. ``queue`` is where
    strangers wait; None for decisions, which have bounds of their own.
    """

    path: str
    method: Method
    needs: Need
    cost: Cost = "one"
    queue: Kind | None = "other"


class Rules:
    """Those of all requests. A path with parameters counts for all that begins as it does. Where strangers wait in one of the
    queues ``opened``, no key is needed, whatever the rule says.
    """

    def __init__(self, rules: Iterable[Rule], opened: Collection[Kind] = ()) -> None:
        # What is not known is asked the least that has data, so that nothing is open by mistake.
        self._unknown = Rule(path="", method="GET", needs="read")
        self._exact: dict[str, dict[str, Rule]] = {}
        self._prefixes: dict[str, dict[str, Rule]] = {}
        for rule in rules:
            known = replace(rule, needs="open") if rule.queue in opened else rule
            begin, brace, _ = rule.path.partition("{")
            (self._prefixes if brace else self._exact).setdefault(begin, {})[rule.method] = known

    def of(self, path: str, method: str) -> Rule:
        """That of a request. One with a method that the path is not for needs what the path needs, and its refusal is neither
        free of what answers cost nor of waiting.
        """
        by_method = self._exact.get(path)
        if by_method is None:
            by_method = next((each for prefix, each in self._prefixes.items() if path.startswith(prefix)), None)
        if by_method is None:
            return self._unknown
        rule = by_method.get(method)
        if rule is None:
            (rule, *_) = by_method.values()
            if rule.cost == "counted" or rule.queue is None:
                rule = replace(rule, cost="one", queue="other")
        return rule
