"""What stands in the URL of a Redis, as its client reads it."""

import re
from typing import Any

from app.withheld import withheld

_is_url = re.compile(r"(rediss?://\S+|unix://\S+)?").fullmatch


def redis_parts(url: str) -> dict[str, Any]:
    """``host``, ``port``, ``db``, ``path`` and ``password``, as far as they are there; nothing of an empty ``url``.

    Raises:
        ValueError: it is none. What the client would not read would otherwise end the workers, with its text in a traceback.
    """
    if not _is_url(url):
        raise ValueError("not a Redis URL")
    if not url:
        return {}
    # Not above: the client takes as long to import as half of the server, and one on SQLite does without.
    with withheld("opentelemetry"):
        from redis.connection import parse_url  # noqa: PLC0415
    return dict(parse_url(url))  # type: ignore[no-untyped-call]
