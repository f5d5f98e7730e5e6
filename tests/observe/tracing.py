"""The application with traces on, and its spans as the SDK's exporter in memory has them."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.observe.traces import Traces
from tests.kit.serving import Served
from tests.kit.store import FakeStore


class Traced(Served):
    """The application with traces on, and its spans."""

    def __init__(self, store: FakeStore | None = None, provider: TracerProvider | None = None, *, warmed: bool = True) -> None:
        self.exporter = InMemorySpanExporter()
        provider = provider or TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        super().__init__(store, warmed=warmed, open_traces=lambda meters: Traces(provider, meters))

    def spans(self) -> list[ReadableSpan]:
        """Those that ended since this was last asked, in the order of their beginnings."""
        found = sorted(self.exporter.get_finished_spans(), key=lambda each: each.start_time or 0)
        self.exporter.clear()
        return found

    def names(self) -> list[str]:
        """Their names."""
        return [each.name for each in self.spans()]


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    """What the span says."""
    return span.attributes or {}


def id_of(span: ReadableSpan) -> int:
    """The span's own id."""
    assert span.context is not None
    found: int = span.context.span_id
    return found


def parent_of(span: ReadableSpan) -> int | None:
    """Its parent's id."""
    return None if span.parent is None else span.parent.span_id


def linked(span: ReadableSpan) -> set[int]:
    """The ids it links to."""
    return {each.context.span_id for each in span.links}


def named(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    """The one of this name."""
    (found,) = [each for each in spans if each.name == name]
    return found
