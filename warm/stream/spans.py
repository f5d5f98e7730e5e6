"""The spans of trades: a trade is one trace, from its source through the log and the consumer into the market store and L2.

``ingest`` is in the source, until the log has the trade; its context goes in the message's header ``traceparent``. Below it
``consume`` is in the consumer, and below that ``transaction`` and ``upsert``, which all trades of a batch share. Which trades are
traced, the SDK's sampler says. Of one batch they are a few at most, so that being traced costs little whatever it says. No
attribute holds a symbol. Imported only where TRACES is on.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from time import time_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from warm.stream.following import State
from warm.stream.log import Message, Outgoing, Position
from warm.stream.messages import TRACE, MessageRefused, TradeMessage, decode
from warm.stream.sifting import Sifted
from warm.stream.ticks import Ticks

TRADES_MAX = 32
"""Traced at once."""
_propagator = TraceContextTextMapPropagator()


class Traces:
    """What a job that traces makes its parts of."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def source(self, topic: str) -> "SourceSpans":
        """Of a source that writes into ``topic``."""
        return SourceSpans(self._tracer, topic)

    def consumer(self) -> "ConsumerSpans":
        """Of a consumer."""
        return ConsumerSpans(self._tracer)


class SourceSpans:
    """Of one source's trades on their way into ``topic``."""

    def __init__(self, tracer: Tracer, topic: str) -> None:
        self._tracer, self._attributes = tracer, {"messaging.destination.name": topic}
        self._open: dict[int, tuple[Outgoing, Span]] = {}

    def begin(self, made: Sequence[Outgoing]) -> list[Outgoing]:
        """``made``, some of its trades with their spans' contexts: where there are many, such as are spread over all."""
        messages, every = list(made), -(-len(made) // TRADES_MAX) or 1
        for place, message in list(enumerate(messages))[::every]:
            if len(self._open) >= TRADES_MAX or not _is_trade(message):
                continue
            span = self._tracer.start_span("ingest", Context(), SpanKind.PRODUCER, self._attributes)
            if span.is_recording():
                told: dict[str, str] = {}
                _propagator.inject(told, set_span_in_context(span, Context()))
                traced = message._replace(headers=(*message.headers, (TRACE, told[TRACE].encode())))
                messages[place], self._open[id(traced)] = traced, (traced, span)
        return messages

    def acknowledged(self, messages: Sequence[Outgoing], positions: Sequence[Position]) -> None:
        """The log has them, there."""
        for message, (partition, offset) in zip(messages, positions, strict=True) if self._open else ():
            if (found := self._open.pop(id(message), None)) is not None:
                found[1].set_attributes({"messaging.destination.partition.id": str(partition), "decide.offset": offset})
                found[1].end()


class ConsumerSpans:
    """Of the trades that a consumer reads."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: list[tuple[str, Span]] = []

    def wrote(self, taken: Sequence[Message], sifted: Sifted, came_ns: int, seconds: float) -> None:
        """A batch, that came at ``came_ns``, was written just now, in a transaction of so many seconds."""
        ended_ns = time_ns()
        dead, symbols = {id(message): error for message, error in sifted.dead}, sifted.symbols
        traced = ((each, span) for each in taken if (span := self._begun(each, came_ns)) is not None)
        for message, span in islice(traced, TRADES_MAX - len(self._open)):
            self._below(span, "transaction", ended_ns - round(seconds * 1e9), ended_ns)
            if (error := dead.get(id(message))) is not None:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
            elif (symbol := decode(message.value).symbol) in symbols:
                self._open.append((symbol, span))
                continue
            span.end(ended_ns)

    def _begun(self, message: Message, came_ns: int) -> Span | None:
        """Its span, if it is traced."""
        parent = _parent(message)
        if parent is None:
            return None
        attributes: dict[str, str | int] = {
            "messaging.destination.name": message.partition.topic,
            "messaging.destination.partition.id": str(message.partition.partition),
            "decide.offset": message.offset,
        }
        span = self._tracer.start_span("consume", parent, SpanKind.CONSUMER, attributes, start_time=came_ns)
        return span if span.is_recording() else None

    def upserted(self, symbols: Iterable[str], began_ns: int) -> None:
        """The tick records of ``symbols`` were written to L2 just now."""
        ended_ns, known, still = time_ns(), frozenset(symbols), []
        for symbol, span in self._open:
            if symbol in known:
                self._below(span, "upsert", began_ns, ended_ns)
                span.end(ended_ns)
            else:
                still.append((symbol, span))
        self._open = still

    @property
    def symbols(self) -> set[str]:
        """Those whose tick records are waited for."""
        return {symbol for symbol, _ in self._open}

    def ticks(self, *parts: Any) -> "TracedTicks":  # noqa: ANN401 - what `Ticks` is made of
        """Tick records, traced."""
        return TracedTicks(self, *parts)

    def _below(self, span: Span, name: str, began_ns: int, ended_ns: int) -> None:
        self._tracer.start_span(name, set_span_in_context(span, Context()), SpanKind.CLIENT, start_time=began_ns).end(ended_ns)


class TracedTicks(Ticks):
    """Tick records, and in the traces when they were written."""

    def __init__(self, spans: ConsumerSpans, *parts: Any) -> None:  # noqa: ANN401 - what `Ticks` is made of
        super().__init__(*parts)
        self._spans = spans

    def publish(self, state: State, *, now: bool = False) -> None:
        """As `Ticks.publish`."""
        before, began_ns = self._spans.symbols.intersection(self._waiting), time_ns()
        super().publish(state, now=now)
        if written := before.difference(self._waiting):
            self._spans.upserted(written, began_ns)


def _is_trade(message: Outgoing) -> bool:
    try:
        return isinstance(decode(message.value), TradeMessage)
    except MessageRefused:
        return False


def _parent(message: Message) -> Context | None:
    """The span that the message comes from, if that is traced."""
    for name, value in message.headers:
        if name == TRACE:
            context = _propagator.extract({TRACE: value.decode("latin-1")}, Context())
            return context if get_current_span(context).get_span_context().trace_flags.sampled else None
    return None
