"""The two loops against servers that answer, stall, refuse and break off."""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from bench.addresses import Addresses, TcpAddress
from bench.load import Load
from bench.loops import run
from bench.mix import Encoder, Prepared
from bench.scenario import Phase
from tests.bench.servers import Handle, answer, answering, decision, problem, read_request, well
from tests.kit.servers import free_port

_ASK = Encoder("test").prepared("decide", ("AAPL",))


def _load(
    handle: Handle,
    phase: Phase,
    *,
    rate_per_s: float | None = None,
    requests: Iterator[Prepared] | None = None,
    silence_s: float = 30.0,
    drain_s: float = 10.0,
) -> Load:
    """Run a phase against a server of that manner."""
    served: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        # Until Python 3.11.3 a connection of a handler that raises stayed open.
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            await handle(reader, writer)

    async def both() -> Load:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        load = Load(
            phase,
            requests or itertools.repeat(_ASK),
            Addresses(TcpAddress("127.0.0.1", port)),
            rate_per_s=rate_per_s,
            silence_s=silence_s,
            drain_s=drain_s,
        )
        await load.run()
        server.close()
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
        return load

    return run(both())


def _closed(requests: int, connections: int = 2) -> Phase:
    return Phase(name="closed", loop="closed", connections=connections, requests=requests)


def _open(duration_s: float, connections: int = 4) -> Phase:
    return Phase(name="open", loop="open", connections=connections, duration_s=duration_s, rate_per_s=1.0)


def test_a_closed_loop_sends_as_many_requests_as_it_was_told() -> None:
    seen: list[int] = []

    def reply(request: dict[str, Any]) -> bytes:
        seen.append(1)
        return well(request)

    load = _load(answering(reply), _closed(501, connections=7))
    assert (load.recorder.answers, len(seen)) == (501, 501)
    assert load.recorder.faults == {}
    assert load.recorder.invalid == 0


def test_a_closed_loop_ends_after_its_duration() -> None:
    load = _load(answering(well, delay_s=0.05), Phase(name="x", loop="closed", connections=3, duration_s=0.4))
    assert 0.35 < load.elapsed_s < 3
    assert load.recorder.answers >= 3
    assert load.recorder.faults == {}


def test_an_open_loop_sends_at_its_rate_whatever_the_server_does() -> None:
    load = _load(answering(well), _open(1.0), rate_per_s=200)
    assert load.recorder.answers == 200
    assert 0.9 < load.elapsed_s < 3


def test_an_open_loop_hides_no_omission() -> None:
    """While the server stalls for 0.4 s requests go on being due, and each counts the time that it waited.

    A closed loop over the same connection would have seen one slow request.
    """
    stalled = iter([True])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError):
                writer.close()
                return
            if next(stalled, False):
                await asyncio.sleep(0.4)
            writer.write(answer(200, decision("AAPL")))

    requests = itertools.repeat(Prepared("decide", ("AAPL",), b"POST /decide HTTP/1.1\r\n\r\n"))
    load = _load(handle, _open(0.8, connections=1), rate_per_s=100, requests=requests)
    assert load.recorder.answers == 80
    # 40 were due during the stall, evenly: half of them waited for more than half of it.
    slow = sum(
        each.count_added_in_this_iter_step
        for each in load.recorder.histogram.get_recorded_iterator()
        if each.value_iterated_to > 200_000
    )
    assert 15 <= slow <= 40


def test_latency_runs_from_when_a_request_was_due_and_not_from_when_it_was_sent() -> None:
    """A server that takes 50 ms on one connection falls ever further behind 40 requests a second."""
    load = _load(answering(well, delay_s=0.05), _open(1.0, connections=1), rate_per_s=40)
    assert load.recorder.percentile_ms(0.0) is not None
    assert (load.recorder.percentile_ms(100.0) or 0) > 500


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"", "not_taken"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf", "cut"),
        (b"What is this?\r\n\r\n", "garbled"),
    ],
)
def test_a_request_without_a_whole_answer_is_a_fault_by_its_kind(said: bytes, fault: str) -> None:
    load = _load(answering(lambda _: said), _closed(5, connections=1))
    assert load.recorder.faults == {fault: 5}
    assert load.recorder.answers == 0
    assert [each.kind for each in load.recorder.first_faults] == [fault] * 5


def test_a_connection_that_ends_after_it_served_is_another_fault() -> None:
    """The server answered on it before, so this request was lost and not refused."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in (well({"symbol": "AAPL"}), b""):
            await reader.readuntil(b"}")
            writer.write(said)
        writer.close()

    load = _load(handle, _closed(6, connections=1))
    assert load.recorder.faults == {"reset": 3}
    assert load.recorder.answers == 3


def test_connection_close_is_honoured_and_no_fault() -> None:
    load = _load(answering(lambda request: answer(200, decision(request["symbol"]), "Connection: close\r\n")), _closed(20))
    assert load.recorder.answers == 20
    assert load.recorder.faults == {}


def test_nobody_there_is_refused_and_not_a_fault() -> None:
    """Requests that were due meanwhile have no answer in the end; in a closed loop there were none."""

    async def nobody() -> Load:
        addresses = Addresses(TcpAddress("127.0.0.1", free_port()))
        phase = Phase(name="x", loop="closed", connections=2, duration_s=0.3)
        load = Load(phase, itertools.repeat(_ASK), addresses, rate_per_s=None)
        await load.run()
        return load

    load = run(nobody())
    assert load.recorder.refused_connections >= 2
    assert load.recorder.faults == {}


def test_server_errors_and_invalid_answers_are_counted_apart() -> None:
    """A 503 that is a problem is valid; a 200 that is no decision is not; a decision for another symbol is not."""
    said = itertools.cycle([answer(503, problem(503)), answer(200, b"{}"), answer(200, decision("IBM"))])
    load = _load(answering(lambda _: next(said)), _closed(9, connections=1))
    recorder = load.recorder
    assert (recorder.server_errors, recorder.invalid, recorder.answers) == (3, 6, 9)
    assert any("asked for AAPL, answered for IBM" in example for example in recorder.examples)


def test_a_server_that_never_answers_ends_a_phase_of_so_many_requests() -> None:
    """Those under way have no answer, the others were never sent; all are faults, and the phase ends."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    load = _load(silent, _closed(10, connections=2), silence_s=0.3, drain_s=0.2)
    assert load.recorder.faults == {"no_answer": 2, "never_sent": 8}
    assert load.recorder.percentile_ms(95.0) is None


def test_a_phase_of_so_many_requests_ends_though_nobody_is_there() -> None:
    async def nobody() -> Load:
        addresses = Addresses(TcpAddress("127.0.0.1", free_port()))
        load = Load(_closed(10), itertools.repeat(_ASK), addresses, rate_per_s=None, silence_s=0.3)
        await load.run()
        return load

    assert run(nobody()).recorder.faults == {"never_sent": 10}


def test_an_answer_that_nobody_asked_for_ends_the_connection() -> None:
    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader) is not None:
            writer.write(2 * answer(200, decision("AAPL")))
        writer.close()

    load = _load(chatty, _closed(6, connections=1))
    assert load.recorder.answers + load.recorder.faults.total() == 6
    assert load.recorder.answers >= 3


def test_callers_without_patience_give_up_and_are_counted() -> None:
    """What found no connection in time is never sent; what was sent is answered, and nothing is a fault."""
    phase = Phase(name="x", loop="open", connections=2, duration_s=1.0, rate_per_s=1.0, patience_s=0.1)
    load = _load(answering(well, delay_s=0.1), phase, rate_per_s=100)
    recorder = load.recorder
    assert recorder.answers + recorder.given_up == 100
    assert 15 <= recorder.answers <= 30
    assert recorder.faults == {}
    assert load.elapsed_s < 3


def test_a_harness_that_is_behind_still_hears_its_answers() -> None:
    """At a rate beyond what it can send, answers keep coming in rather than after the last request."""
    phase = Phase(name="x", loop="open", connections=4, duration_s=0.5, rate_per_s=1.0, patience_s=0.05)
    load = _load(answering(well), phase, rate_per_s=1_000_000)
    assert load.recorder.answers > 100
    assert load.recorder.answers + load.recorder.given_up == 500_000
