"""L2 as the rest of the house sees it: read many, publish in one atomic step, tail the changes.

Two stores implement it: `app.store.redis.RedisStore` and `app.store.sqlite.EmbeddedStore`. A read has three outcomes:
a `Stored` with ``known`` true (hit), a `Stored` with ``known`` false (miss: outside the loaded universe), or a
`StoreError` (error), which must never be remembered as a miss. A store that holds no publication knows no universe, so it
answers with `StoreEmpty` and not with misses.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from app.domain.vector import AS_OF_MAX_MS
from app.errors import RunDamaged


class Stored(NamedTuple):
    """What L2 holds of one symbol: raw records by kind, of those that L1 holds. ``known``: the symbol is in the
    loaded universe.
    """

    known: bool
    records: dict[str, bytes]


RECORD_MAX_BYTES = 1_048_576
"""More is no record: the longest there are, of agents, take some hundred KB. A store gives out no value that is longer."""

CHANGES_KEPT, CHANGES_READ = 10_000, 100
"""Entries of the feed: so many stay, and so many are read at once."""
SYMBOLS_A_CHANGE = 200
"""Symbols that an entry names at most, so that a read of the feed brings 20,000, however many change."""
UNKNOWN = Stored(known=False, records={})


class Written(NamedTuple):
    """A record to be written."""

    as_of_ms: int
    value: bytes


class Row(NamedTuple):
    """One symbol's part of a run, by kind. A kind that it lacks leaves the stored record as it is; a row of none names nothing.

    A part of another record is written when that is, and what stands there goes when that comes without it.
    """

    symbol: str
    records: Mapping[str, Written]


class Record(NamedTuple):
    """A record by itself, of ``kind`` and ``key`` (a symbol, or a global record's name). In a change an empty ``value`` says that
    it was taken back.
    """

    kind: str
    key: str
    value: bytes


VALUE_MAX_BYTES = 8_192
"""A record whose changes carry its value is no longer."""
VALUES_KEPT_MS = 60_000
"""How long changes that carry values stay: a reader that is further behind has lost something."""
VALUES_A_CHANGE, VALUES_A_CHANGE_BYTES = 100, 24_576
"""Records that one of them carries at most. None is added to as many bytes, so that a read of the feed brings 3.3 MB at most."""


class RunInfo(msgspec.Struct, frozen=True):
    """Which warm run L2 holds; if there was none, and all that there is was upserted, ``run`` is empty and the times are theirs.
    ``newest_as_of_ms`` is the newest record's of any run (the replay clock starts there), 0 without
    records. If all of the newest publication was withdrawn, ``run`` is the one that was loaded before it; its ``bars`` and
    ``bytes`` are then not known, and 0.
    """

    run: str
    warmed_at_ms: int
    newest_as_of_ms: int
    symbols: int
    bars: int
    bytes: int


_COUNTS_END = 2**63
"""Redis keeps any digits, and a number of hundreds of them is not even a float."""

_RUN_MAX = 200


def run_fault(info: RunInfo) -> str | None:
    """What is wrong with a run's info that was read, or None."""
    if not (0 <= info.warmed_at_ms < AS_OF_MAX_MS and 0 <= info.newest_as_of_ms < AS_OF_MAX_MS):
        return "a time is outside the years 1970 to 9000"
    if not all(0 <= count < _COUNTS_END for count in (info.symbols, info.bars, info.bytes)):
        return "a count is below 0 or beyond 63 bits"
    if len(info.run) > _RUN_MAX or not info.run.isprintable():
        # It is shown to people, and to systemd in a protocol of lines.
        return f"its name is longer than {_RUN_MAX} characters, or is not to be printed"
    return None


def decoded_run(raw: bytes, place: str) -> RunInfo:
    """The info that stands at ``place``.

    Raises:
        RunDamaged: it is none.
    """
    try:
        info = msgspec.msgpack.decode(raw, type=RunInfo)
        fault = run_fault(info)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault = str(error)
    if fault is not None:
        raise RunDamaged(f"{place}: the run's info is none: {fault}")
    return info


class Published(NamedTuple):
    """What a publication did: records written, records left because the stored one is newer, symbols removed, and its
    id in the change feed (of its last entry, where it needed several).
    """

    written: int
    kept_newer: int
    pruned: int
    change_id: str


class Upserted(NamedTuple):
    """What an upsert did: records written, and records left because the stored one is newer."""

    written: int
    kept_newer: int


class Withdrawn(NamedTuple):
    """What a withdrawal did: ``symbols`` that lost anything, how many ``records`` of each kind, the ``runs`` that had
    written them (both sorted), and which symbols were named and are ``unknown``.

    Then what is left: the number of symbols, and of the newest record its time, symbol and run (0 and empty without records).
    ``change_id`` is the last one's in the change feed, empty if nothing was there to be removed.
    """

    symbols: tuple[str, ...]
    records: Mapping[str, int]
    runs: tuple[str, ...]
    unknown: tuple[str, ...]
    symbols_left: int
    newest_as_of_ms: int
    newest_symbol: str
    newest_run: str
    change_id: str


class Changes(NamedTuple):
    """What the feed brought: the id to go on from, the symbols that changed, in order and without repeats.

    ``lost`` is true if entries after the asked-for id are gone (trimmed or flushed): everything must be read anew.
    ``published_ms`` is when the oldest of them was published, by the store's clock; None if there are none.
    ``more`` is true if the read may have ended before the feed did: it proves nothing of the symbols that it does not name.
    ``withdrawn`` are those of ``symbols`` whose records were taken back: what stands in L2 now counts, however old it is.
    ``values`` are records that changed and are here themselves, in order; ``symbols`` does not name them.
    """

    last_id: str
    symbols: tuple[str, ...]
    lost: bool
    published_ms: int | None = None
    more: bool = False
    withdrawn: tuple[str, ...] = ()
    values: tuple[Record, ...] = ()


class Store(Protocol):
    """An L2. Every method may raise `app.errors.StoreError`; none hides a failure as an empty answer."""

    kind: str
    """``redis`` or ``sqlite``, for /status, logs and metrics."""

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """One read for all ``symbols``, answers in their order; both records of a symbol are of one moment."""
        ...

    async def publish_run(self, rows: Sequence[Row], info: RunInfo, *, prune: bool = False) -> Published:
        """Write all of ``rows``, the run's info and the change feed's entries in one atomic step.

        A record whose ``as_of`` is older than the stored one's is left out (never backwards) and counted. ``prune`` removes
        symbols that runs brought and ``rows`` does not name; the feed tells of them as withdrawn.
        """
        ...

    async def record(self, kind: str, key: str) -> bytes | None:
        """The raw record of ``kind`` and ``key`` (a symbol, or a global record's name); None if there is none."""
        ...

    async def run_info(self) -> RunInfo | None:
        """The newest publication's info; None if nothing was ever published."""
        ...

    async def symbols(self) -> list[str]:
        """The loaded universe, sorted."""
        ...

    async def feed_position(self) -> str:
        """Id of the newest entry of the change feed: where a reader that knows nothing yet starts."""
        ...

    async def changes(self, after: str, wait_s: float) -> Changes:
        """Entries after ``after``; waits up to ``wait_s`` seconds for one if there is none."""
        ...

    async def changes_since(self, after: str) -> Changes:
        """As `changes`, for whoever is not the feed: waits for nothing, and takes from the feed nothing that it must learn of.
        An id that this store cannot have given is one whose entries are gone (``lost``).
        """
        ...

    async def ping(self) -> None:
        """Returns if L2 answers."""
        ...

    async def close(self) -> None:
        """Give back connections and threads."""
        ...


class Withdrawing(Protocol):
    """Where data can be taken back. Both stores are one; raises as `Store` does."""

    async def withdraw(self, *, symbols: Sequence[str] = (), run: str = "") -> Withdrawn:
        """Remove all that there is of ``symbols``, or every record that ``run`` wrote (with its parts), in one
        atomic step with the feed's entries. A symbol of which nothing is left leaves the universe; the run's info follows.

        What is published afterwards is taken however old it is. Nothing is written if nothing matches.
        """
        ...


class Upserting(Protocol):
    """Where single records can be written. Both stores are one; raises as `Store` does."""

    async def upsert(self, records: Sequence[Record]) -> Upserted:
        """Write ``records`` and the feed's entries in one atomic step, whose cost does not depend on how many symbols there are.
        It changes no run. A symbol that was not there joins the universe.

        A record that is older than the stored one, by ``as_of`` and sequence, is left out and counted. A part is written with
        its whole, which must be among ``records``.

        Raises:
            ValueError: one of them is no record that can be stored; says which, and what is allowed.
        """
        ...


class KeyStore(Protocol):
    """Where API keys are kept. Both stores are one; raises as `Store` does."""

    async def run_info(self) -> RunInfo | None:
        """As `Store` has it."""
        ...

    async def keys(self) -> dict[str, bytes]:
        """What is stored of API keys (`app.domain.keys`), by their ids."""
        ...

    async def put_key(self, key_id: str, record: bytes) -> None:
        """Store a key's record."""
        ...

    async def remove_key(self, key_id: str) -> bool:
        """Forget a key; whether there was one."""
        ...
