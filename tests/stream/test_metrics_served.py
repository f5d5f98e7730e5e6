"""A job shows what it counts, and that it lives, at a port of its own."""

import socket
import sys

import httpx
import msgspec
import pytest

from app.errors import SettingsError
from app.market.protocol import Applied, Partition
from tests.kit.servers import free_port
from tests.stream.rig import heartbeat, trade
from warm.stream.live import _free_port
from warm.stream.log import Outgoing
from warm.stream.messages import encode
from warm.stream.metrics import ConsumerMeters, IngestMeters, served


def test_metrics_and_liveness_are_shown_as_long_as_the_job_goes_on() -> None:
    meters, port = ConsumerMeters(), free_port()
    meters.applied(Applied(3, 1, 0, (), (), dead=2), 0.002)
    partition = Partition("sqlite", "decide.trades", "id", 0)
    meters.lag({partition: (7, 1.5), partition._replace(partition=1): (0, 0.0)})
    meters.lag({partition: (5, 0.5)})
    url = f"http://127.0.0.1:{port}"
    with served(meters.registry, "127.0.0.1", port, "STREAM_PORT"):
        answer = httpx.get(f"{url}/metrics")
        lines = answer.text.splitlines()
        assert "decide_stream_trades_total 3.0" in lines
        assert "decide_stream_duplicates_total 1.0" in lines
        assert "decide_stream_dead_letters_total 2.0" in lines
        assert [line for line in lines if line.startswith("decide_stream_lag_")] == [
            'decide_stream_lag_messages{partition="0",topic="decide.trades"} 5.0',
            'decide_stream_lag_seconds{partition="0",topic="decide.trades"} 0.5',
        ]
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert httpx.get(f"{url}/livez").json() == {"status": "ok"}
        assert httpx.get(f"{url}/nothing").status_code == 404
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/livez")


def test_a_caller_who_says_nothing_holds_nobody_up() -> None:
    port = free_port()
    with (
        served(ConsumerMeters().registry, "127.0.0.1", port, "STREAM_PORT"),
        socket.create_connection(("127.0.0.1", port)),
    ):
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200


def test_at_port_0_nothing_is_shown() -> None:
    with served(ConsumerMeters().registry, "no.such.host.invalid", 0, "STREAM_PORT"):
        pass


def test_where_the_server_has_a_unix_socket_it_is_shown_on_loopback() -> None:
    port = free_port()
    with served(ConsumerMeters().registry, "unix:/run/decide.sock", port, "STREAM_PORT"):
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200


def test_a_port_that_is_taken_is_told_by_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"INGEST_PORT is {port}, at 127.0.0.1: .*; allowed: a free port, or 0"),
            served(IngestMeters("x").registry, "127.0.0.1", port, "INGEST_PORT"),
        ):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: elsewhere nobody keeps a port for somebody else")
def test_a_port_that_is_kept_for_a_job_is_given_to_nobody_else_also_while_it_is_away() -> None:
    with _free_port() as port:
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://127.0.0.1:{port}/livez")
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
            with served(IngestMeters("x").registry, "127.0.0.1", port, "INGEST_PORT"):
                assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200


def test_a_source_counts_what_the_log_took_and_which_of_it_were_trades() -> None:
    now_s = 1000.0
    meters = IngestMeters("synthetic", lambda: now_s)

    def shown(name: str, **labels: str) -> float | None:
        return meters.registry.get_sample_value(f"decide_ingest_{name}", labels)

    # Before the first ones, when it began.
    assert (shown("messages_total", source="synthetic"), shown("last_append_timestamp_seconds")) == (0, 1000.0)
    now_s = 1010.0
    quoted = msgspec.structs.replace(heartbeat(3), venue='"type":"trade"')
    values = [encode(trade(1)), encode(heartbeat(2, 1)), encode(trade(2)), encode(quoted), None]
    meters.appended([Outgoing(b"BTC-USD", each) for each in values], 0.002)
    assert (shown("messages_total", source="synthetic"), shown("trades_total", source="synthetic")) == (5, 2)
    assert (shown("append_seconds_count"), shown("last_append_timestamp_seconds")) == (1, 1010.0)
