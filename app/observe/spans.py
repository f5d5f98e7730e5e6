"""What a traced request does below its server span: looks into L1, waits for L2, has the policy decide.

The parts are those that are not traced, with spans around what they do (`TracedTiers`, `TracedPolicy`); `app.main` chooses. A
batch asks L1 and the policy a thousand times, so each has one span a request, from the first time to the last, that counts. No
attribute holds a symbol, or anything that an agent wrote.
"""

from collections.abc import Sequence
from time import time_ns
from typing import Any

from opentelemetry.context import Context, create_key, get_value, set_value
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from app.cache.loads import Begun, Load, Lookup
from app.cache.memory import Entry
from app.cache.read_through import Tiers
from app.domain.evidence import Evidence, Trouble
from app.domain.policy import Decision, Policy

_TRAIL = create_key("decide-trail")
_UNREAD: Trouble = "l2_error"


class Section:
    """A part of a request that may come many times: when it first began and last ended, and what came of it how often."""

    __slots__ = ("_counts", "_name", "began_ns", "ended_ns")

    def __init__(self, name: str, *outcomes: str) -> None:
        self._name = name
        self._counts = dict.fromkeys(outcomes, 0)
        self.began_ns = self.ended_ns = 0

    def add(self, began_ns: int, outcome: str, count: int = 1) -> None:
        """It was so ``count`` times, from ``began_ns`` until now."""
        if not self.began_ns:
            self.began_ns = began_ns
        self.ended_ns = time_ns()
        self._counts[outcome] += count

    def attributes(self) -> dict[str, int]:
        """The counts, for its span."""
        return {f"decide.{self._name}.{outcome}": count for outcome, count in self._counts.items()}


class Trail:
    """One recorded request on its way, from its server span ``span`` on."""

    __slots__ = ("_tracer", "context", "decision", "l1", "l2", "policy", "span")

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self.span = span
        self.context = set_value(_TRAIL, self, set_span_in_context(span, Context()))
        self.l1 = Section("l1", "hits", "negatives", "misses")
        self.policy = Section("policy", "decisions")
        self.decision: Decision | None = None
        self.l2: Span | None = None

    def wait_for_l2(self) -> Span:
        """The span of this request's waiting for L2."""
        if self.l2 is None:
            self.l2 = self._tracer.start_span("l2", self.context)
        return self.l2

    def end(self) -> None:
        """Write what was noted. The server span is its maker's to end."""
        if self.l2 is not None:
            self.l2.end()
        for name, section in (("l1", self.l1), ("policy", self.policy)):
            if section.began_ns:
                attributes: dict[str, Any] = section.attributes()
                if section is self.policy and self.decision is not None and attributes["decide.policy.decisions"] == 1:
                    attributes["decide.action"] = self.decision.action
                    attributes["decide.fallback.level"] = self.decision.judged.level
                span = self._tracer.start_span(name, self.context, attributes=attributes, start_time=section.began_ns)
                span.end(section.ended_ns)


def current_trail() -> Trail | None:
    """The recorded request that is being answered here, if there is one."""
    found = get_value(_TRAIL)
    return found if isinstance(found, Trail) else None


def _tell(span: Span, found: Sequence[Lookup | None]) -> None:
    """What came of a read of L2, or of waiting for it; None is a symbol whose read was broken off."""
    troubles = [_UNREAD if each is None else each.trouble for each in found if each is None or each.trouble is not None]
    hits = sum(each is not None and each.trouble is None and each.evidence is not None for each in found)
    span.set_attributes(
        {
            "decide.l2.symbols": len(found),
            "decide.l2.hits": hits,
            "decide.l2.misses": len(found) - hits - len(troubles),
            "decide.l2.failures": len(troubles),
        }
    )
    if troubles:
        span.set_attribute("error.type", str(troubles[0]))
        span.set_status(Status(StatusCode.ERROR))


class TracedTiers(Tiers):
    """Both tiers, and in the traces what of them a request had to do with.

    A request that waits for L2 has a span ``l2`` for its waiting. One read serves many of them (a turn of the loop is one read,
    and who asks later for what is on its way joins it), so it has a span of its own, ``l2.read``: below the one that caused it if
    that is one, a trace of its own if they are several, with links to all others that wait for it, and from them. A read that no
    recorded request waits for has none.
    """

    def __init__(self, tracer: Tracer, *parts: Any, **limits: Any) -> None:  # noqa: ANN401 - what `Tiers` is made of
        super().__init__(*parts, **limits)
        self._tracer = tracer
        self._callers: dict[Load, list[Span]] = {}
        self._reads: dict[Load, Span | None] = {}

    def hit(self, symbol: str, now: float) -> Entry | None:
        """As `Tiers.hit`."""
        trail = current_trail()
        if trail is None:
            return super().hit(symbol, now)
        began_ns = time_ns()
        entry = super().hit(symbol, now)
        # A miss is counted where L1 is asked by the canonical spelling, in `begin_many`.
        trail.l1.add(began_ns, "hits", int(entry is not None))
        return entry

    def begin_many(self, symbols: Sequence[str]) -> list[Begun]:
        """As `Tiers.begin_many`."""
        trail = current_trail()
        if trail is None:
            return super().begin_many(symbols)
        began_ns = time_ns()
        begun = super().begin_many(symbols)
        for _, each, _ in begun:
            if isinstance(each, Load):
                trail.l1.add(began_ns, "misses")
                self._await(each, trail.wait_for_l2())
            elif each.proven:
                trail.l1.add(began_ns, "negatives" if each.evidence is None else "hits")
            else:
                trail.l1.add(began_ns, "misses")
        return begun

    async def finish_many(self, begun: Sequence[Begun], budget_s: float) -> list[Lookup]:
        """As `Tiers.finish_many`."""
        lookups = await super().finish_many(begun, budget_s)
        trail = current_trail()
        if trail is not None and trail.l2 is not None:
            _tell(trail.l2, [found for each, found in zip(begun, lookups, strict=True) if isinstance(each.found, Load)])
            trail.l2.end()
            trail.l2 = None
        return lookups

    def held(self, symbol: str) -> Lookup | None:
        """As `Tiers.held`."""
        trail = current_trail()
        if trail is None:
            return super().held(symbol)
        began_ns = time_ns()
        found = super().held(symbol)
        if found is None or not found.proven:
            trail.l1.add(began_ns, "misses")
        else:
            trail.l1.add(began_ns, "negatives" if found.evidence is None else "hits")
        return found

    def _await(self, load: Load, caller: Span) -> None:
        if load not in self._reads:
            self._callers.setdefault(load, []).append(caller)
            return
        read = self._reads[load]
        if read is not None:
            _link(read, caller)

    async def _load(self, loads: list[Load]) -> None:
        callers = list(dict.fromkeys(caller for load in loads for caller in self._callers.pop(load, ())))
        read = self._read_for(callers, len(loads)) if callers else None
        self._reads.update(dict.fromkeys(loads, read))
        try:
            await super()._load(loads)
        finally:
            for load in loads:
                del self._reads[load]
            if read is not None:
                _tell(read, [load.found for load in loads])
                read.end()

    def _read_for(self, callers: list[Span], symbols: int) -> Span:
        alone = len(callers) == 1
        read = self._tracer.start_span(
            "l2.read",
            set_span_in_context(callers[0], Context()) if alone else Context(),
            SpanKind.CLIENT,
            {"db.system.name": self.store.kind, "decide.l2.symbols": symbols},
        )
        if not alone:
            for caller in callers:
                _link(read, caller)
        return read


def _link(read: Span, caller: Span) -> None:
    """Each leads to the other, if both are kept."""
    read.add_link(caller.get_span_context())
    # A caller without patience may be gone before its read begins.
    if read.is_recording() and caller.is_recording():
        caller.add_link(read.get_span_context())


class TracedPolicy(Policy):
    """The policy, and in the traces when it decided. An answer that was prepared before has no such span: nothing decided."""

    def decide(self, evidence: Evidence, now_ms: int, **options: Any) -> Decision:  # noqa: ANN401 - those of `Policy.decide`
        """As `Policy.decide`."""
        trail = current_trail()
        if trail is None:
            return super().decide(evidence, now_ms, **options)
        began_ns = time_ns()
        trail.decision = super().decide(evidence, now_ms, **options)
        trail.policy.add(began_ns, "decisions")
        return trail.decision
