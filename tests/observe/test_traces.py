"""Traces of the whole application in this process, as the SDK's exporter in memory sees them."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator, Sequence

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metric_families

from app.observe.meters import Meters
from tests.kit.settle import until
from tests.kit.store import UNIVERSE, FakeStore, down
from tests.observe.tracing import Traced, attributes, id_of, linked, named, parent_of

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_CALLER = "00f067aa0ba902b7"
_PARENT = f"00-{_TRACE}-{_CALLER}-01"


@pytest.fixture
def traced() -> Iterator[Traced]:
    """Warmed, on a store of three symbols."""
    with Traced() as running:
        yield running


def test_a_miss_leaves_server_l1_l2_and_policy_spans_under_the_callers_span(traced: Traced) -> None:
    assert traced.post("/decide", {"symbol": "AAPL"}, traceparent=_PARENT, tracestate="vendor=1").status_code == 200
    spans = traced.spans()
    assert sorted(each.name for each in spans) == ["POST /decide", "l1", "l2", "l2.read", "policy"]
    server = named(spans, "POST /decide")
    assert server.context is not None
    assert server.parent is not None
    assert {format_trace_id(each.context.trace_id) for each in spans if each.context is not None} == {_TRACE}
    assert (format_span_id(server.parent.span_id), server.parent.is_remote) == (_CALLER, True)
    assert server.context.trace_state.to_header() == "vendor=1"
    assert server.kind is SpanKind.SERVER
    assert {parent_of(named(spans, name)) for name in ("l1", "l2", "policy")} == {id_of(server)}
    assert parent_of(named(spans, "l2.read")) == id_of(named(spans, "l2"))
    assert attributes(server) == {
        "http.request.method": "POST",
        "http.route": "/decide",
        "http.response.status_code": 200,
        "url.path": "/decide",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "decide.tier": "l2",
        "decide.fallback.level": "none",
    }
    assert attributes(named(spans, "l1")) == {"decide.l1.hits": 0, "decide.l1.negatives": 0, "decide.l1.misses": 1}
    counts = {"decide.l2.symbols": 1, "decide.l2.hits": 1, "decide.l2.misses": 0, "decide.l2.failures": 0}
    assert attributes(named(spans, "l2")) == counts
    assert attributes(named(spans, "l2.read")) == {"db.system.name": "fake", **counts}
    assert attributes(named(spans, "policy"))["decide.fallback.level"] == "none"


def test_a_latest_price_has_its_route_and_says_nothing_of_a_decision(traced: Traced) -> None:
    """In the lane and behind it."""
    traced.decide()
    traced.spans()
    for query in ("symbol=AAPL", "symbol=%41APL"):
        assert traced.get(f"/price/latest?{query}").status_code == 200
        spans = traced.spans()
        assert [each.name for each in spans] == ["GET /price/latest", "l1"]
        assert attributes(spans[0])["http.route"] == "/price/latest"
        assert "decide.tier" not in attributes(spans[0])


def test_a_prepared_hit_ran_no_policy_and_has_no_span_of_it(traced: Traced) -> None:
    """The first hit prepares the answer, which the policy decides; the next finds it."""
    traced.decide()
    traced.spans()
    traced.decide()
    assert traced.names() == ["POST /decide", "l1", "policy"]
    traced.decide()
    spans = traced.spans()
    assert [each.name for each in spans] == ["POST /decide", "l1"]
    assert attributes(spans[0])["decide.tier"] == "l1"
    assert attributes(spans[1])["decide.l1.hits"] == 1


def test_spans_lie_within_their_parents_time(traced: Traced) -> None:
    """Also those that are written when the request ends."""
    traced.decide()
    spans = traced.spans()
    by_id = {id_of(each): each for each in spans}
    children = [each for each in spans if parent_of(each) in by_id]
    assert len(children) == 4
    for each in children:
        parent = by_id[parent_of(each) or 0]
        assert (parent.start_time or 0) <= (each.start_time or 0) <= (each.end_time or 0) <= (parent.end_time or 0), each.name


def test_another_spelling_is_one_look_into_l1(traced: Traced) -> None:
    """L1 is asked by the spelling that came and by the canonical one; that is a hit and not a miss too."""
    traced.decide()
    traced.spans()
    traced.decide("aapl")
    assert attributes(named(traced.spans(), "l1")) == {"decide.l1.hits": 1, "decide.l1.negatives": 0, "decide.l1.misses": 0}


def test_an_unknown_symbol_is_a_miss_of_l2_and_then_a_negative_of_l1(traced: Traced) -> None:
    """404 is no error of the server's, so none of the spans has failed."""
    for _ in range(2):
        assert traced.post("/decide", {"symbol": "NOPE"}).status_code == 404
    spans = traced.spans()
    assert attributes(named(spans, "l2"))["decide.l2.misses"] == 1
    assert [attributes(each)["decide.l1.negatives"] for each in spans if each.name == "l1"] == [0, 1]
    assert {each.status.status_code for each in spans} == {StatusCode.UNSET}


def test_a_failing_l2_is_an_error_of_its_spans_and_not_of_the_answers(traced: Traced) -> None:
    traced.store.fault = down()
    traced.decide()
    spans = traced.spans()
    server = named(spans, "POST /decide")
    assert server.status.status_code is StatusCode.UNSET
    assert attributes(server)["decide.fallback.reason"] == "price_l2_error"
    for name in ("l2", "l2.read"):
        found = named(spans, name)
        assert (found.status.status_code, attributes(found)["error.type"]) == (StatusCode.ERROR, "l2_error")


def test_a_caller_whose_patience_ends_leaves_the_read_behind(traced: Traced) -> None:
    traced.store.hangs = True
    assert traced.decide(deadline_ms=1).fallback.reason == "price_l2_timeout"
    spans = traced.spans()
    assert attributes(named(spans, "l2"))["error.type"] == "l2_timeout"
    assert "l2.read" not in {each.name for each in spans}


def test_one_read_for_several_callers_is_linked_to_each(traced: Traced) -> None:
    async def ask() -> None:
        transport = httpx.ASGITransport(app=traced.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://decide.test") as client:
            await asyncio.gather(*(client.post("/decide", json={"symbol": symbol}) for symbol in UNIVERSE))

    traced.runner.run(ask())
    assert [len(each) for each in traced.store.reads] == [3]
    spans = traced.spans()
    read = named(spans, "l2.read")
    waiting = [each for each in spans if each.name == "l2"]
    assert read.parent is None
    assert linked(read) == {id_of(each) for each in waiting}
    assert len(waiting) == 3
    assert all(linked(each) == {id_of(read)} for each in waiting)
    assert attributes(read)["decide.l2.symbols"] == 3


def test_who_joins_a_read_under_way_is_linked_to_it() -> None:
    store = FakeStore(*UNIVERSE)
    store.is_holding = True
    with Traced(store, warmed=False) as traced:

        async def ask() -> None:
            transport = httpx.ASGITransport(app=traced.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://decide.test") as client:
                first = asyncio.create_task(client.post("/decide", json={"symbol": "AAPL"}))
                await until(lambda: bool(store.reads))
                second = asyncio.create_task(client.post("/decide", json={"symbol": "AAPL"}))
                for _ in range(50):
                    await asyncio.sleep(0)
                assert traced.parts.admission.in_flight == 2
                store.release()
                await asyncio.gather(first, second)

        traced.runner.run(ask())
        spans = traced.spans()
    read = named(spans, "l2.read")
    first, second = [each for each in spans if each.name == "l2"]
    assert parent_of(read) == id_of(first)
    assert linked(read) == {id_of(second)}
    assert (linked(first), linked(second)) == (set(), {id_of(read)})


def test_a_batch_has_one_span_of_each_kind_that_counts(traced: Traced) -> None:
    traced.decide("IBM")
    traced.spans()
    assert traced.post("/decide/batch", {"symbols": ["AAPL", "IBM", "MSFT", "NOPE", "IBM"]}).status_code == 200
    spans = traced.spans()
    assert sorted(each.name for each in spans) == ["POST /decide/batch", "l1", "l2", "l2.read", "policy"]
    assert attributes(named(spans, "l1")) == {"decide.l1.hits": 2, "decide.l1.negatives": 0, "decide.l1.misses": 3}
    l2 = attributes(named(spans, "l2"))
    assert (l2["decide.l2.symbols"], l2["decide.l2.hits"], l2["decide.l2.misses"]) == (3, 2, 1)
    assert attributes(named(spans, "policy")) == {"decide.policy.decisions": 3}


def test_no_attribute_names_a_symbol_an_agent_or_what_it_wrote(traced: Traced) -> None:
    """Only the path may, since the caller put it there."""
    traced.post("/decide", {"symbol": "AAPL", "explain": True}, authorization="Bearer key-that-is-secret")
    spans = traced.spans()
    text = " ".join(each.to_json() for each in spans)
    assert len(spans) == 5
    assert not re.search("AAPL|agent_a|because|key-that-is-secret|run-1", text)


def test_what_is_not_sampled_passes_as_it_came(traced: Traced) -> None:
    answer = traced.post("/decide", {"symbol": "NOPE"}, traceparent=_PARENT[:-1] + "0")
    assert answer.status_code == 404
    assert traced.names() == []
    assert [line["trace_id"] for line in traced.log_lines() if line["event"] == "request"] == [_TRACE]


def test_a_read_for_those_who_are_not_sampled_has_no_span() -> None:
    """And one for both kinds is the child of the one that is."""
    with Traced(provider=TracerProvider(ParentBased(TraceIdRatioBased(0.0)), shutdown_on_exit=False)) as traced:

        async def ask() -> None:
            transport = httpx.ASGITransport(app=traced.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://decide.test") as client:
                await client.post("/decide", json={"symbol": "AAPL"})
                assert traced.spans() == []
                sampled = client.post("/decide", json={"symbol": "IBM"}, headers={"traceparent": _PARENT})
                await asyncio.gather(sampled, client.post("/decide", json={"symbol": "MSFT"}))

        traced.runner.run(ask())
        spans = traced.spans()
    assert sorted(each.name for each in spans) == ["POST /decide", "l1", "l2", "l2.read", "policy"]
    assert parent_of(named(spans, "l2.read")) == id_of(named(spans, "l2"))


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [(b"traceparent", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01")],
        [(b"traceparent", b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")],
        [(b"traceparent", b"\xff\xfe; rm -rf")],
        [(b"traceparent", _PARENT.encode()), (b"traceparent", _PARENT.encode())],
    ],
    ids=["none", "zeros", "version-ff", "bytes", "two"],
)
def test_without_one_good_traceparent_a_trace_begins_here(traced: Traced, sent: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-type", b"application/json"), *sent]
    assert traced.request("POST", "/decide", content=b'{"symbol":"NOPE"}', headers=headers).status_code == 404
    server = named(traced.spans(), "POST /decide")
    assert server.context is not None
    assert server.parent is None
    assert format_trace_id(server.context.trace_id) != _TRACE
    (line,) = [line for line in traced.log_lines() if line["event"] == "request"]
    assert line["trace_id"] == format_trace_id(server.context.trace_id)


def test_probes_and_metrics_leave_no_trace(traced: Traced) -> None:
    """They are asked every few seconds, for ever."""
    for path in ("/livez", "/readyz", "/health", "/metrics"):
        traced.get(path)
    assert traced.names() == []


def test_spans_are_named_by_route_and_known_methods_only(traced: Traced) -> None:
    """A name that callers could make up would be as many names as they like."""
    traced.get("/features/AAPL")
    traced.get("/nowhere/at/all")
    traced.request("BREW", "/decide")
    spans = [each for each in traced.spans() if each.kind is SpanKind.SERVER]
    assert [each.name for each in spans] == ["GET /features/{symbol:any}", "GET", "HTTP /decide"]
    assert [attributes(each)["http.request.method"] for each in spans] == ["GET", "GET", "_OTHER"]


def test_a_fault_of_ours_is_an_error_of_the_server_span(traced: Traced) -> None:
    traced.store.fault = RuntimeError("boom")
    assert traced.get("/symbols").status_code == 500
    server = named(traced.spans(), "GET /symbols")
    assert (server.status.status_code, attributes(server)["error.type"]) == (StatusCode.ERROR, "500")


def test_a_sampled_trace_is_an_example_of_its_requests_duration(traced: Traced) -> None:
    traced.post("/decide", {"symbol": "AAPL"}, traceparent=_PARENT)
    answer = traced.get("/metrics", accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")
    examples = {
        (sample.labels["route"], sample.labels["status"]): sample.exemplar
        for family in open_metric_families(answer.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert set(examples) == {("/decide", "200")}
    example = examples["/decide", "200"]
    assert example is not None
    assert example.labels == {"trace_id": _TRACE}


def test_the_text_format_stays_what_it_is(traced: Traced) -> None:
    traced.decide()
    for accept in ("", "*/*", "text/plain;version=0.0.4", "text/plain;version=1.0.0;escaping=allow-utf-8"):
        answer = traced.get("/metrics", accept=accept)
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "trace_id" not in answer.text
        assert "# EOF" not in answer.text


class _Broken(SpanExporter):
    """Never gets through."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Fails."""
        del spans
        raise OSError("nobody there")


def test_an_exporter_that_fails_changes_no_answer() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(_Broken()))
    with Traced(provider=provider) as traced:
        assert traced.decide().fallback.level == "none"
        assert "Exception while exporting" in traced.log_text()


def test_the_lifespan_ends_the_traces() -> None:
    shut: list[bool] = []

    class Watched(SimpleSpanProcessor):
        def shutdown(self) -> None:
            shut.append(True)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Watched(InMemorySpanExporter()))
    with Traced(provider=provider) as running:
        running.live(0.01)
    assert shut == [True]


def test_a_processor_that_does_not_end_holds_no_worker_up() -> None:
    never = threading.Event()

    class Stuck(SimpleSpanProcessor):
        def shutdown(self) -> None:
            never.wait(60)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Stuck(InMemorySpanExporter()))
    began = time.monotonic()
    with Traced(provider=provider) as running:
        running.live(0.01)
    assert time.monotonic() - began < 20
    never.set()


def test_lost_spans_are_counted_by_what_they_were_lost_to() -> None:
    """The series are there from the start, so that the first loss is an increase."""
    meters = Meters(version="1", policy="1", schema="1")
    meters.spans_dropped("queue_full", 0)
    meters.spans_dropped("export_failed", 3)
    text = meters.exposition().decode()
    assert 'decide_trace_spans_dropped_total{reason="queue_full"} 0.0' in text
    assert 'decide_trace_spans_dropped_total{reason="export_failed"} 3.0' in text
