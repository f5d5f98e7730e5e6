"""Libraries import others if they happen to be there: redis-py OpenTelemetry's SDK, for metrics of its own, structlog rich, for
tracebacks, Granian watchfiles, for reloading. A server uses none of them, and without traces they would cost it a quarter of its
start and 5 MB a process.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def withheld(*packages: str) -> Iterator[None]:
    """Within, importing ``packages`` fails as if they were not installed. What was imported before stays as it is."""
    hidden = [name for name in packages if name not in sys.modules]
    for name in hidden:
        # Python's own way to say that there is none: a ModuleNotFoundError.
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
