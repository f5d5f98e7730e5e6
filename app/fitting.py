"""Settings that are right by themselves, and must fit each other."""

from collections.abc import Collection

from app.options import Settings

BELOW_INPUT_LIMIT = ("price_max_age_s", "agents_max_age_s")
"""Settings that may be as much as INPUT_LIMIT_S. All other pairs were looked at. Either one is a tighter bound than the other and
says so to callers (RATE_LIMIT_BURST and BATCH_MAX, STREAM_MAX_CLIENTS and MAX_CONNECTIONS), or they do not meet.
"""


def out_of_bounds(settings: Settings, given: Collection[str], wrong: Collection[str]) -> list[str]:
    """Settings that contradict each other, the one that was ``given`` first; not those ``wrong`` by themselves."""
    lines, most = [], settings.input_limit_s
    for name in BELOW_INPUT_LIMIT:
        value = getattr(settings, name)
        if value > most and not {name.upper(), "INPUT_LIMIT_S"}.intersection(wrong):
            said = [(name.upper(), value, f"at most {most:,.15g}"), ("INPUT_LIMIT_S", most, f"at least {value:,.15g}")]
            said.sort(key=lambda each: each[0] not in given)
            (first, first_value, first_allowed), (second, second_value, second_allowed) = said
            lines.append(
                f"{first} is {first_value:,.15g} and {second} is {second_value:,.15g}; allowed together: {first} of"
                f" {first_allowed}, or {second} of {second_allowed}: past INPUT_LIMIT_S an input is not used, so it would never"
                " be stale"
            )
    return lines


_KAFKA = {"sasl": "sasl_plaintext, sasl_ssl", "ssl": "ssl, sasl_ssl"}
"""With which protocols Kafka is told what settings of a kind say."""


def kafka_at_odds(settings: Settings, wrong: Collection[str]) -> list[str]:
    """Nobody is to think that a password is asked for, or a connection is encrypted, where it is not. Nothing of it where one of
    them is ``wrong`` by itself.
    """
    if any(name.startswith("KAFKA_") for name in wrong):
        return []
    protocol = settings.kafka_security_protocol
    which = f"KAFKA_SECURITY_PROTOCOL is {protocol!r}"
    for name in ("sasl_username", "sasl_password", "ssl_ca_location", "ssl_certificate_location", "ssl_key_location"):
        kind, value = name.partition("_")[0], getattr(settings, f"kafka_{name}")
        if value and kind not in protocol:
            said = "(hidden)" if name == "sasl_password" else repr(value[:60])
            return [f"KAFKA_{name.upper()} is {said} and {which}; allowed: {_KAFKA[kind]}, or KAFKA_{name.upper()} empty"]
    if "sasl" in protocol and not (settings.kafka_sasl_username and settings.kafka_sasl_password):
        return [f"{which} and KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is empty; allowed: both"]
    if bool(settings.kafka_ssl_certificate_location) != bool(settings.kafka_ssl_key_location):
        return [
            "KAFKA_SSL_CERTIFICATE_LOCATION or KAFKA_SSL_KEY_LOCATION is set and the other is empty; allowed: both, or neither"
        ]
    return []
