"""`decide ingest`, two `decide stream` and `decide dead-letters` with the log in Kafka, which asks for a password, over TLS."""

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import httpx

from tests.kit.kafka import PASSWORD, USER, KafkaServer
from tests.kit.servers import ROOT, clean_environment, free_port, until
from tests.stream.places import TOPIC, KafkaPlace, values

_WITHIN_S = 60.0
_DECIDE = (sys.executable, "-m", "app")


def _settings(server: KafkaServer, folder: Path) -> dict[str, str]:
    password = folder / "password"
    password.write_text(f"{PASSWORD}\n", encoding="ascii")
    return {
        "PYTHONPATH": str(ROOT), "INGESTION_INTERVAL_SECONDS": "0.1", "KAFKA_PARTITIONS": "2",
        "KAFKA_BOOTSTRAP_SERVERS": server.sasl_url, "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
        "KAFKA_SASL_USERNAME": USER, "KAFKA_SASL_PASSWORD_FILE": str(password), "KAFKA_SSL_CA_LOCATION": str(server.broker_pem),
    }  # fmt: skip


def _metrics(port: int) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return ""


def _lags(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith('decide_stream_lag_messages{partition="')]


def test_jobs_share_a_log_in_kafka(kafka_server: KafkaServer, tmp_path: Path) -> None:
    settings, ports = _settings(kafka_server, tmp_path), [free_port(), free_port()]
    with closing(KafkaPlace(kafka_server)) as place, ExitStack() as ending:
        log = place.log()

        def begin(*arguments: str) -> "subprocess.Popen[bytes]":
            told = ending.enter_context((tmp_path / "told").open("ab"))
            made = subprocess.Popen(
                [*_DECIDE, *arguments], cwd=tmp_path, env=clean_environment(settings), stdout=told, stderr=told
            )
            ending.callback(made.wait)
            ending.callback(made.kill)
            return made

        jobs = [begin("ingest", "--source", "synthetic")]
        until(lambda: any(mark.high for mark in log.watermarks(TOPIC).values()), _WITHIN_S, "there are trades")
        jobs += [begin("stream", "--stream-port", str(port)) for port in ports]
        until(lambda: all(len(_lags(_metrics(port))) == 1 for port in ports), _WITHIN_S, "each reads one partition")
        log.append(TOPIC, values("no json"))

        def dead() -> list[str]:
            command = [*_DECIDE, "dead-letters", "list", "--json"]
            ran = subprocess.run(
                command, cwd=tmp_path, env=clean_environment(settings), capture_output=True, check=True, text=True
            )
            return [json.loads(line)["value"] for line in ran.stdout.splitlines()]

        until(lambda: dead() == ["no json"], _WITHIN_S, "it is a dead letter")

        def stored() -> int:
            with closing(sqlite3.connect(tmp_path / ".decide" / "market.sqlite3")) as market:
                return int(market.execute("SELECT count(*) FROM trades_in_full").fetchone()[0])

        before = stored()
        until(lambda: stored() > before, _WITHIN_S, "trades go on")
        for job in jobs:
            job.send_signal(signal.SIGTERM)
        assert [job.wait(_WITHIN_S) for job in jobs] == [0, 0, 0]
        assert PASSWORD not in (tmp_path / "told").read_text()
