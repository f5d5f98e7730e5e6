"""The exception tree. A leaf: it imports nothing of the project."""

from collections.abc import Callable

Header = tuple[bytes, bytes]
"""One of an answer, as ASGI has it."""


class DecideError(Exception):
    """Base of every error that Decide raises on purpose."""


class SettingsError(DecideError):
    """One or more settings are wrong; ``lines`` holds one sentence for each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class StoreError(DecideError):
    """L2 could not answer. Never to be read as "not there"."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


Told = Callable[[StoreError | None], None]
"""Is told of an answer of L2, or why there is none."""


def tell_nobody(_: StoreError | None) -> None:
    """`Told` of whoever needs not know."""


class StoreEmpty(StoreError):
    """L2 answered, and holds no publication: it was never warmed, or was emptied. It cannot say what is unknown."""

    def __init__(self, detail: str) -> None:
        super().__init__("l2_empty", detail)


class StoreRefused(StoreError):
    """L2 answered that it does not accept our credentials."""

    def __init__(self, detail: str) -> None:
        super().__init__("l2_refused", detail)
        self.detail = detail


class RunDamaged(StoreError):
    """L2 answered, and what stands in the place of the run's info is none. Its records may be whole."""

    def __init__(self, detail: str) -> None:
        super().__init__("l2_error", detail)


class StoreBusy(StoreError):
    """L2 does something else that it cannot leave, and has not begun what it was asked for."""

    def __init__(self, detail: str) -> None:
        super().__init__("l2_error", detail)


class MarketError(DecideError):
    """The market store could not answer. ``reason``: ``market_error``, ``market_timeout``, ``market_busy`` where it was asked for
    more at once than it takes or others were in the way, or ``market_open`` where it was away and is not asked for a while.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class MigrationRefused(MarketError):
    """What was migrated in the market store is not what this version of Decide would have migrated."""

    def __init__(self, detail: str) -> None:
        super().__init__("market_error", detail)


class OffsetMoved(DecideError):
    """Somebody else consumed what this consumer was about to: nothing of its batch was written, and it must let go."""


class RecordError(DecideError):
    """A stored value is not a record of this server's schema.

    ``reason`` is ``schema_mismatch`` for a record of another version and ``corrupt`` for bytes that are no record at all.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Problem(DecideError):
    """An error a caller sees: RFC 9457 problem+json.

    ``slug`` makes the stable ``type``; ``field`` names the offending part of the request where there is one; ``headers``
    are added to the response (``Allow``, ``Retry-After``).
    """

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        detail: str,
        field: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.title = title
        self.detail = detail
        self.field = field
        self.headers = headers


def invalid(field: str | None, detail: str) -> Problem:
    """The request can be read, but ``field`` of it is not of the right shape."""
    return Problem(422, "invalid-request", "Invalid request", detail, field)
