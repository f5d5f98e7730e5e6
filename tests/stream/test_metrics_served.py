"""A job shows what it counts, and that it lives, at a port of its own."""

import socket

import httpx
import pytest

from app.market.protocol import Applied, Partition
from tests.kit.servers import free_port
from warm.stream.metrics import ConsumerMeters, served


def test_metrics_and_liveness_are_shown_as_long_as_the_job_goes_on() -> None:
    meters, port = ConsumerMeters(), free_port()
    meters.applied(Applied(3, 1, 0, (), (), dead=2), 0.002)
    partition = Partition("sqlite", "decide.trades", "id", 0)
    meters.lag({partition: (7, 1.5), partition._replace(partition=1): (0, 0.0)})
    meters.lag({partition: (5, 0.5)})
    url = f"http://127.0.0.1:{port}"
    with served(meters.registry, "127.0.0.1", port):
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
    with served(ConsumerMeters().registry, "127.0.0.1", port), socket.create_connection(("127.0.0.1", port)):
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200


def test_at_port_0_nothing_is_shown() -> None:
    with served(ConsumerMeters().registry, "no.such.host.invalid", 0):
        pass
