"""Which log the settings ask for: in Kafka at KAFKA_BOOTSTRAP_SERVERS, or else in the SQLite file STREAM_PATH."""

from pathlib import Path

from app.errors import SettingsError
from app.options import Settings
from warm.stream.log import Log
from warm.stream.sqlite_file import BUSY_S
from warm.stream.sqlite_log import EmbeddedLog

_FILES = ("kafka_ssl_ca_location", "kafka_ssl_certificate_location", "kafka_ssl_key_location")


def open_log(settings: Settings, *, busy_s: float = BUSY_S, timeout_s: float = 10.0) -> Log:
    """It is reached at its first use, not here. ``busy_s``: how long the file is waited for while others write;
    ``timeout_s``: how long Kafka is.

    Raises:
        SettingsError: Kafka's client is not installed, or takes the settings for none.
    """
    if not settings.kafka_bootstrap_servers:
        return EmbeddedLog(Path(settings.stream_path), busy_s=busy_s)
    try:
        from warm.stream.kafka_log import KafkaLog  # noqa: PLC0415 - its client is an extra
    except ImportError as error:
        what = f"KAFKA_BOOTSTRAP_SERVERS is set and Kafka's client is not installed ({error})"
        raise SettingsError([f"{what}; allowed: empty, or set with requirements-kafka.lock installed"]) from error
    for name in _FILES:
        if (path := getattr(settings, name)) and not Path(path).exists():
            raise SettingsError([f"{name.upper()} is {path!r}, which is not there; allowed: a file in PEM"])
    log = KafkaLog(config_of(settings), group=settings.kafka_group, timeout_s=timeout_s)
    try:
        log.check()
    except ValueError as error:
        raise SettingsError([f"KAFKA_… is refused by Kafka's client: {error}; allowed: what it can use"]) from error
    return log


def place_of_log(settings: Settings) -> str:
    """Where that is, as people are told."""
    return settings.kafka_bootstrap_servers or settings.stream_path


def partitions_of_log(settings: Settings) -> int:
    """How many a topic of trades is made with."""
    return settings.kafka_partitions if settings.kafka_bootstrap_servers else 1


def config_of(settings: Settings) -> dict[str, str]:
    """In librdkafka's words; what is empty is left to it."""
    said = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": settings.kafka_sasl_password,
        "ssl.ca.location": settings.kafka_ssl_ca_location,
        "ssl.certificate.location": settings.kafka_ssl_certificate_location,
        "ssl.key.location": settings.kafka_ssl_key_location,
        "ssl.key.password": settings.kafka_ssl_key_password,
    }
    if settings.kafka_sasl_username:
        said["sasl.mechanism"] = settings.kafka_sasl_mechanism.upper()
    return {name: value for name, value in said.items() if value}
