"""Global records that a worker holds, so that who answers reads none of them from L2.

They are read when the feed begins, after it has lost something, and when it names one; those that changes carry are applied as
they come. One that cannot be used is reported, and the one before it stays.
"""

from collections.abc import Callable, Iterable
from typing import Any

from app.cache.memory import order_of
from app.domain.records import Kinds
from app.errors import RecordError
from app.store.codec import decode
from app.store.protocol import Record, Store
from app.store.upserts import name_of


class Globals:
    """Those that the table of kinds has workers hold. Belongs to the feed's task; anybody may `get`."""

    def __init__(self, kinds: Kinds, store: Store, report: Callable[[str], None]) -> None:
        self._kinds = kinds
        self._store = store
        self._report = report
        self._wanted = tuple((each.name, key) for each in kinds.all for key in each.held)
        self._names = frozenset(name_of(key, kind, "global") for kind, key in self._wanted)
        self._records: dict[tuple[str, str], Any] = {}
        self.is_due = bool(self._wanted)

    def get(self, kind: str, key: str) -> Any | None:  # noqa: ANN401 - of whatever kind
        """The record, None if there is none."""
        return self._records.get((kind, key))

    def named(self, names: Iterable[str]) -> None:
        """The feed says that these have changed."""
        self.is_due = self.is_due or not self._names.isdisjoint(names)

    def lost(self) -> None:
        """Any may have changed."""
        self.is_due = bool(self._wanted)

    def apply(self, values: Iterable[Record]) -> None:
        """These have changed, and are here; the newer one counts."""
        for kind, key, value in values:
            if (kind, key) in self._wanted:
                self._take(kind, key, value, is_truth=False)

    async def read(self) -> None:
        """All of them, as they stand in L2 now.

        Raises:
            StoreError: L2 did not answer; they are read again then.
        """
        for kind, key in self._wanted:
            self._take(kind, key, await self._store.record(kind, key) or b"", is_truth=True)
        self.is_due = False

    def _take(self, kind: str, key: str, value: bytes, *, is_truth: bool) -> None:
        if not value:
            self._records.pop((kind, key), None)
            return
        try:
            record = decode(self._kinds.by_name[kind], value, None)
        except RecordError as error:
            self._report(error.reason)
            return
        held = self._records.get((kind, key))
        if is_truth or held is None or order_of(held) <= order_of(record):
            self._records[kind, key] = record
