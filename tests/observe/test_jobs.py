"""What jobs count, below the server's own metrics: in the same format, each series once, and nobody is waited for."""

import asyncio
import re
from contextlib import ExitStack
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parsed

from app.observe.jobs import Jobs
from app.observe.meters import Meters
from tests.kit.servers import free_port
from warm.stream.metrics import ConsumerMeters, IngestMeters, served

_OWN = b"# TYPE up gauge\nup 1.0\n"
_BODY = b"# TYPE decide_x gauge\ndecide_x 1.0\n# HELP process_x Of each.\nprocess_x 2.0\n"


def _below(*answers: bytes | None, open_metrics: bool = False) -> bytes:
    """What is made of jobs that answer so; None: never."""

    async def run() -> bytes:
        servers, hanging = [], asyncio.Event()
        for each in answers:

            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes | None = each) -> None:
                await reader.readuntil(b"\r\n\r\n")
                if said is None:
                    await hanging.wait()
                else:
                    writer.write(said)
                writer.close()

            servers.append(await asyncio.start_server(answer, "127.0.0.1"))
        try:
            jobs = Jobs([each.sockets[0].getsockname()[1] for each in servers])
            return await jobs.below(_OWN, open_metrics=open_metrics)
        finally:
            hanging.set()
            for server in servers:
                server.close()

    return asyncio.run(run())


def _said(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def test_what_a_job_counts_stands_below_and_what_each_process_has_is_left_out() -> None:
    assert _below(_said(_BODY)) == _OWN + b"# TYPE decide_x gauge\ndecide_x 1.0\n"


@pytest.mark.parametrize(
    "answer",
    [None, b"", b"nonsense", _said(_BODY, "500 Internal Server Error"), _said(_BODY, length=999), _said(b"")],
    ids=["hangs", "says_nothing", "is_no_http", "fails", "is_cut_off", "is_empty"],
)
def test_a_job_that_does_not_answer_whole_and_at_once_is_left_out(answer: bytes | None) -> None:
    assert _below(answer, _said(_BODY)) == _OWN + b"# TYPE decide_x gauge\ndecide_x 1.0\n"


def test_a_job_that_is_not_there_is_left_out() -> None:
    assert asyncio.run(Jobs([free_port()]).below(_OWN, open_metrics=False)) == _OWN


@pytest.mark.parametrize("open_metrics", [False, True])
def test_server_and_jobs_together_are_one_exposition_with_each_name_once(open_metrics: bool) -> None:  # noqa: FBT001 - as it is called
    meters = Meters(version="1.2.3", policy="1.0.0", schema="abc")
    ports = free_port(), free_port()
    with ExitStack() as stack:
        for registry, port in zip((IngestMeters("synthetic").registry, ConsumerMeters().registry), ports, strict=True):
            stack.enter_context(served(registry, "127.0.0.1", port, "PORT"))
        own = meters.exposition(open_metrics=open_metrics)
        text = asyncio.run(Jobs(ports).below(own, open_metrics=open_metrics)).decode()
    read: Any = parsed_open_metrics if open_metrics else parsed
    families = {family.name: family for family in read(text)}
    assert {"decide_ready", "decide_ingest_messages", "decide_stream_messages"} <= families.keys()
    named = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(named) == len(set(named))
    samples = [(each.name, *sorted(each.labels.items())) for family in families.values() for each in family.samples]
    assert len(samples) == len(set(samples))
    assert text.count("# EOF") == open_metrics
