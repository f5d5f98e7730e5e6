"""Where trades are traced, one is one trace: from its source through the log and the consumer to the upsert of its last price."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from app.errors import StoreError
from tests.observe.tracing import attributes, id_of, parent_of
from tests.stream.places import TOPIC
from tests.stream.rig import Rig, heartbeat, price, trade
from warm.stream.ingesting import Begun, Ingesting, Target
from warm.stream.log import Message, Outgoing
from warm.stream.messages import TRACE, Content, encode
from warm.stream.metrics import IngestMeters
from warm.stream.spans import TRADES_MAX, Traces

_TRACE_ID, _CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class _Traced:
    """A source and a consumer whose spans are kept."""

    def __init__(self, rig: Rig, sampler: Sampler | None = None) -> None:
        self.rig, self._exporter = rig, InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._traces = Traces(provider.get_tracer("test"))

    def ingest(self, *contents: Content) -> None:
        """As a source does, in one go."""
        source, stop = _Source(contents), _OneTurn()
        target, now_us = Target(self.rig.log, TOPIC, 1), self.rig.now_us
        begun, spans = Begun(source, target.create()), self._traces.source(TOPIC)
        parts = begun, target, lambda *_, **__: None, stop, lambda: now_us, IngestMeters("test")
        assert Ingesting(*parts, spans=spans).run() == 0

    def consume(self, **options: Any) -> None:  # noqa: ANN401 - those of the rig
        """All that there is."""
        self.rig.consume(spans=self._traces.consumer(), **options)

    def spans(self) -> Sequence[ReadableSpan]:
        """Those that ended, in the order of their beginnings."""
        return sorted(self._exporter.get_finished_spans(), key=lambda each: each.start_time or 0)

    def names(self) -> list[str]:
        """Their names."""
        return [each.name for each in self.spans()]

    def messages(self) -> list[Message]:
        """What the log has."""
        reader = self.rig.log.reader([TOPIC], lambda _: None)
        try:
            return reader.poll(10_000, 0)
        finally:
            reader.close()


class _Source:
    def __init__(self, contents: Sequence[Content]) -> None:
        self._made = [Outgoing(each.symbol.encode(), encode(each)) for each in contents]

    def next_us(self, now_us: int) -> int:
        return now_us

    def make(self, _: int) -> list[Outgoing]:
        return self._made


class _OneTurn(threading.Event):
    """Is set by whoever waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        self.set()
        return True


def _traceparent(number: int = 0, flags: str = "01") -> str:
    return f"00-{_TRACE_ID}-{int(_CALLER, 16) + number:016x}-{flags}"


def test_a_trade_is_one_trace_from_its_source_to_the_upsert(rig: Rig) -> None:
    """And nothing else is traced."""
    traced = _Traced(rig)
    traced.ingest(heartbeat(0), trade(1))
    traced.consume()
    spans = traced.spans()
    assert [each.name for each in spans] == ["ingest", "consume", "transaction", "upsert"]
    ingest, consume, transaction, upsert = spans
    assert len({each.context.trace_id for each in spans if each.context is not None}) == 1
    assert (parent_of(ingest), parent_of(consume)) == (None, id_of(ingest))
    assert parent_of(transaction) == parent_of(upsert) == id_of(consume)
    assert (ingest.kind, consume.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    where = {"messaging.destination.name": TOPIC, "messaging.destination.partition.id": "0", "decide.offset": 1}
    assert attributes(ingest) == attributes(consume) == where
    for each in (transaction, upsert):
        assert (consume.start_time or 0) <= (each.start_time or 0) <= (each.end_time or 0) <= (consume.end_time or 0)
    assert {each.status.status_code for each in spans} == {StatusCode.UNSET}
    assert rig.ids() == ["1"]


def test_a_trade_that_the_sampler_leaves_out_carries_no_trace(rig: Rig) -> None:
    traced = _Traced(rig, ALWAYS_OFF)
    traced.ingest(trade(1))
    traced.consume()
    assert traced.spans() == []
    assert [each.headers for each in traced.messages()] == [()]


@pytest.mark.parametrize("wrong", ["", "00-0-0-01", "\xff"])
def test_a_trace_of_others_is_gone_on_with_if_it_is_one_and_was_sampled(rig: Rig, wrong: str) -> None:
    rig.append(trade(1), traceparent=_traceparent())
    rig.append(trade(2), traceparent=_traceparent(flags="00"))
    rig.append(trade(3), traceparent=wrong)
    traced = _Traced(rig)
    traced.consume()
    assert traced.names() == ["consume", "transaction", "upsert"]
    consume = traced.spans()[0]
    assert consume.context is not None
    assert consume.parent is not None
    assert (format_trace_id(consume.context.trace_id), format_span_id(consume.parent.span_id)) == (_TRACE_ID, _CALLER)
    assert rig.ids() == ["1", "2", "3"]


def test_of_many_trades_a_few_are_traced(rig: Rig) -> None:
    """Spread over those that a source makes together; and of a batch that many come with a trace to."""
    traced = _Traced(rig)
    traced.ingest(*(trade(number) for number in range(1, 1001)))
    offsets = [each.offset for each in traced.messages() if dict(each.headers).get(TRACE)]
    assert TRADES_MAX / 2 < len(offsets) <= TRADES_MAX
    assert offsets[-1] > 900
    for number in range(1001, 1101):
        rig.append(trade(number), traceparent=_traceparent(number))
    traced.consume(batch_max=10_000)
    assert traced.names().count("consume") == traced.names().count("upsert") == TRADES_MAX


def test_while_l2_is_away_a_trace_is_open_until_the_price_is_there(rig: Rig) -> None:
    class Failing:
        def __init__(self, store: Any) -> None:  # noqa: ANN401 - as much of it as is used
            self._store, self.failed = store, False

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the store's own
            return getattr(self._store, name)

        async def upsert(self, records: Any) -> Any:  # noqa: ANN401 - as above
            if not self.failed:
                self.failed = True
                raise StoreError("unreachable", "away")
            return await self._store.upsert(records)

    traced = _Traced(rig)
    traced.ingest(trade(1))
    traced.consume(store=Failing)
    assert [event for event, _ in rig.told] == ["l2_away", "l2_back"]
    assert traced.names() == ["ingest", "consume", "transaction", "upsert"]


def test_a_trace_of_what_cannot_be_used_ends_with_why_and_one_of_a_price_with_its_transaction(rig: Rig) -> None:
    rig.append(b"no json", traceparent=_traceparent(1))
    rig.append(price(1, "7"), traceparent=_traceparent(2))
    traced = _Traced(rig)
    traced.consume()
    spans = {format_span_id(each.parent.span_id): each for each in traced.spans() if each.name == "consume" and each.parent}
    assert sorted(traced.names()) == ["consume", "consume", "transaction", "transaction"]
    failed, done = (spans[_traceparent(number).split("-")[2]] for number in (1, 2))
    assert (failed.status.status_code, attributes(failed)["error.type"]) == (StatusCode.ERROR, "MessageRefused")
    assert done.status.status_code is StatusCode.UNSET
