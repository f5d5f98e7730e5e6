"""Whether trades are traced, and where to. Without TRACES nothing of OpenTelemetry is imported, and no message is looked at."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.errors import SettingsError
from app.options import Settings
from app.settings import lend_to_opentelemetry
from app.version import VERSION

if TYPE_CHECKING:
    from warm.stream.spans import Traces

_FLUSH_S = 2.0
"""How long the end of a job waits for the last spans to be sent."""
_TOLD_S = 60.0


@contextmanager
def tracing(settings: Settings, say: Callable[..., None]) -> "Iterator[Traces | None]":
    """What makes a job's spans, which are sent in a thread of their own; None where ``settings`` have none. ``say`` is told of
    spans that are lost.

    Raises:
        SettingsError: there can be none.
    """
    if settings.traces == "off":
        yield None
        return
    from app.observe.extra import traces_refusal  # noqa: PLC0415 - only where it is on

    lend_to_opentelemetry()
    if (why := traces_refusal()) is not None:
        raise SettingsError([why])
    from app.observe.exporting import open_provider  # noqa: PLC0415 - as above
    from warm.stream.spans import Traces  # noqa: PLC0415 - as above

    # Each loss is told once, by `say`, and not by lines in another form between its own.
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    provider = open_provider(_Losses(say).add)
    try:
        yield Traces(provider.get_tracer("decide", VERSION))
    finally:
        # A thread that nobody waits for at the exit, should the collector be gone.
        end = threading.Thread(target=provider.shutdown, name="traces-end", daemon=True)
        end.start()
        end.join(_FLUSH_S)


class _Losses:
    """Tells of lost spans, once in a while."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say, self._count, self._again_s = say, 0, 0.0

    def add(self, reason: str, count: int) -> None:
        """So many; in any thread."""
        self._count += count
        if self._count and time.monotonic() >= self._again_s:
            self._say("spans_lost", reason=reason, spans=self._count)
            self._count, self._again_s = 0, time.monotonic() + _TOLD_S
