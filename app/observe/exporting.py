"""Where spans go: OpenTelemetry's exporter, as its own variables (``OTEL_…``) have it, and what is lost on the way.

Knows nothing of the server's metrics: the main process looks here whether there can be traces, and prometheus-client must not be
imported before it has said where several workers keep their values.
"""

import os
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Counter, Meter, NoOpCounter, NoOpMeter, NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.util.types import Attributes

from app.version import VERSION

_PROTOCOL_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_DROPS = {"otel.sdk.processor.span.processed": "queue_full", "otel.sdk.exporter.span.exported": "export_failed"}
"""The SDK's counters of spans that are done with, and why those that have an error are lost."""


def refusal() -> str | None:
    """What is wrong with OpenTelemetry's variables, so that no worker could begin; for the start of the server."""
    for name in _PROTOCOL_VARIABLES:
        given = os.environ.get(name, "")
        if given not in ("", _PROTOCOL):
            return f"{name} is {given[:40]!r}; allowed: {_PROTOCOL}"
    try:
        BatchSpanProcessor(OTLPSpanExporter()).shutdown()  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises over a value, it would end every worker
        return f"TRACES is 'on' and OpenTelemetry does not take its variables (OTEL_…): {error}"
    return None


def open_provider(dropped: Callable[[str, int], None]) -> TracerProvider:
    """This process's spans on their way to the collector; ``dropped`` is told why how many are lost, at first none."""
    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "decide"}))
    resource = Resource({"service.version": VERSION}).merge(resource)
    # The lifespan ends it, within a bound; at the exit of the process there would be none.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    counting = _Counting(dropped)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(meter_provider=counting), meter_provider=counting))
    for reason in _DROPS.values():
        dropped(reason, 0)
    return provider


class _Counting(NoOpMeterProvider):
    """The SDK counts what it does with a meter of OpenTelemetry's; this one hears what it dropped."""

    def __init__(self, dropped: Callable[[str, int], None]) -> None:
        self._dropped = dropped

    def get_meter(self, name: str, *_: object, **__: object) -> Meter:
        """The one there is."""
        return _CountingMeter(name, self._dropped)


class _CountingMeter(NoOpMeter):
    def __init__(self, name: str, dropped: Callable[[str, int], None]) -> None:
        super().__init__(name)
        self._dropped = dropped

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        if name in _DROPS:
            return _Drops(name, self._dropped)
        return super().create_counter(name, unit, description)


class _Drops(NoOpCounter):
    """The SDK's count of spans that it is done with, whichever way: those with an error are lost."""

    def __init__(self, name: str, dropped: Callable[[str, int], None]) -> None:
        super().__init__(name)
        self._reason = _DROPS[name]
        self._dropped = dropped

    def add(self, amount: float, attributes: Attributes = None, *_: object, **__: object) -> None:
        if attributes is not None and "error.type" in attributes:
            self._dropped(self._reason, int(amount))
