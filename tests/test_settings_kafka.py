"""Settings of the log in Kafka: what is refused, and what its client is told."""

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import load_settings
from warm.stream.opening import config_of

_NO_FILE = Path("no.env")
_SASL = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "me", "KAFKA_SASL_PASSWORD": "tell nobody"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "broker"}, "KAFKA_BOOTSTRAP_SERVERS is 'broker'; allowed: empty, or HOST:PORT, by commas"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "ssl://a:9092"}, "KAFKA_BOOTSTRAP_SERVERS is "),
        ({"KAFKA_TOPIC": "a/b"}, "KAFKA_TOPIC is 'a/b'; allowed: 1 to 240 of A-Z a-z 0-9 . _ -, of which the first is no dot"),
        ({"KAFKA_PARTITIONS": "0"}, "KAFKA_PARTITIONS is '0'; allowed: a whole number, at least 1 and at most 1,000"),
        ({"KAFKA_SECURITY_PROTOCOL": "tls"}, "KAFKA_SECURITY_PROTOCOL is 'tls'; allowed: one of plaintext, ssl, "),
        ({"KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}, "KAFKA_SECURITY_PROTOCOL is 'sasl_ssl' and KAFKA_SASL_USERNAME or"),
        (
            {**_SASL, "KAFKA_SECURITY_PROTOCOL": "ssl"},
            "KAFKA_SASL_USERNAME is 'me' and KAFKA_SECURITY_PROTOCOL is 'ssl'; allowed: sasl_",
        ),
        (
            {"KAFKA_SSL_CA_LOCATION": "ca.pem"},
            "KAFKA_SSL_CA_LOCATION is 'ca.pem' and KAFKA_SECURITY_PROTOCOL is 'plaintext'; allowed: ssl, ",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_SSL_KEY_LOCATION": "key.pem"},
            "KAFKA_SSL_CERTIFICATE_LOCATION or KAFKA_SSL_KEY_LOCATION is set and the other is empty; allowed: both",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(given, _NO_FILE)
    (line,) = refused.value.lines
    assert line.startswith(said)
    assert "tell nobody" not in line


def test_its_client_is_told_what_was_set_and_nothing_else() -> None:
    settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": "a:1, b:2", **_SASL, "KAFKA_SSL_CA_LOCATION": "ca.pem"}, _NO_FILE)
    assert config_of(settings) == {
        "bootstrap.servers": "a:1, b:2",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "tell nobody",
        "ssl.ca.location": "ca.pem",
    }
