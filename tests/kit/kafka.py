"""A real Kafka for tests, from an unpacked Apache Kafka: one broker, a process of its own, on free loopback ports."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kit.servers import free_port

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

_START_S = 90.0
USER, PASSWORD = "decide", "tell nobody"
_SCRAM, _PLAIN = (
    "org.apache.kafka.common.security.scram.ScramLoginModule",
    "org.apache.kafka.common.security.plain.PlainLoginModule",
)
# It lives for minutes: what makes it quick in the long run would have it begin late.
_JAVA = {
    "KAFKA_HEAP_OPTS": "-Xmx256M",
    "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC",
    "KAFKA_OPTS": "-XX:TieredStopAtLevel=1 -Xshare:auto",
}
_SETTINGS = {
    "process.roles": "broker,controller", "node.id": "1",
    "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
    "offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0", "group.min.session.timeout.ms": "500", "broker.session.timeout.ms": "3000",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
    "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
    "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{_PLAIN} required user_{USER}="{PASSWORD}";',
    "listener.name.ssl.ssl.client.auth": "required",
    "ssl.keystore.type": "PEM", "ssl.truststore.type": "PEM",
}  # fmt: skip


def kafka_home() -> Path | None:
    """Where KAFKA_HOME says that Apache Kafka is; None without it."""
    home = os.environ.get("KAFKA_HOME")
    return Path(home) if home else None


class KafkaServer:
    """One that can be killed and started again with what it has. ``url`` is for everybody; at ``ssl_url`` callers need the
    certificate `client_pem`, at ``sasl_url`` `USER` and `PASSWORD`. Its own certificate is `broker_pem`.
    """

    def __init__(self, home: Path) -> None:
        self._home, self._folder = home, Path(tempfile.mkdtemp(prefix="decide-kafka-"))
        ports = {name: free_port() for name in ("PLAINTEXT", "CONTROLLER", "SSL", "SASL_SSL")}
        self._port = ports["PLAINTEXT"]
        self.url, self.ssl_url, self.sasl_url = (f"localhost:{ports[name]}" for name in ("PLAINTEXT", "SSL", "SASL_SSL"))
        self.broker_pem, self.client_pem = self._certificate("broker"), self._certificate("client")
        self._properties = self._folder / "server.properties"
        settings = _SETTINGS | {
            "controller.quorum.voters": f"1@localhost:{ports['CONTROLLER']}",
            "listeners": ",".join(f"{name}://localhost:{port}" for name, port in ports.items()),
            "log.dirs": str(self._folder / "data"),
            "ssl.keystore.location": str(self.broker_pem),
            "ssl.truststore.location": str(self.client_pem),
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="ascii")
        self._environment = os.environ | _JAVA | {"LOG_DIR": str(self._folder / "logs")}
        user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        self._run("kafka-storage.sh", "format", "-t", "decide-test-cluster-id", "-c", str(self._properties), "--add-scram", user)
        self.start()

    def start(self) -> None:
        """Start it; returns once it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._home / "bin" / "kafka-server-start.sh", self._properties],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Kafka does not answer: {(self._folder / 'log').read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._process.kill()
        self._process.wait(30)

    def topics(self) -> list[str]:
        """All but Kafka's own."""
        return [each for each in self._admin().list_topics(timeout=_START_S).topics if not each.startswith("__")]

    def config(self, topic: str) -> dict[str, str]:
        """Of a topic."""
        from confluent_kafka.admin import ConfigResource, ResourceType  # noqa: PLC0415 - an extra

        # It answers as long as it is held.
        admin, asked = self._admin(), ConfigResource(ResourceType.TOPIC, topic)
        (found,) = admin.describe_configs([asked]).values()
        return {name: each.value for name, each in found.result(_START_S).items()}

    def tool(self, name: str, *arguments: str) -> str:
        """What one of Kafka's own tools says."""
        return self._run(name, "--bootstrap-server", self.url, *arguments)

    def stop(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _certificate(self, name: str) -> Path:
        """A file with a key and its certificate, which nobody else has signed."""
        key, made, both = (self._folder / f"{name}{end}" for end in (".key", ".crt", ".pem"))
        command = [
            "openssl",
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            "-addext",
            "subjectAltName=DNS:localhost",
        ]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", str(key), "-out", str(made)]
        subprocess.run(command, check=True, capture_output=True)
        both.write_text(key.read_text() + made.read_text())
        return both

    def _admin(self) -> "AdminClient":
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - an extra

        return AdminClient({"bootstrap.servers": self.url, "log_level": 0, "reconnect.backoff.max.ms": 200})

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - as above

        try:
            return bool(self._admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def _run(self, name: str, *arguments: str) -> str:
        command = [str(self._home / "bin" / name), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self._environment).stdout
