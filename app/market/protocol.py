"""The market store, the system of record, as the rest of the house sees it: jobs write, servers read.

Every bar is a function of what was given and not of the order in which it came; what tells the story of its arrival, ``revision``
and the time of its last change, aside. Times are epoch microseconds, prices and sizes exact (`app.domain.prices`).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from app.domain.averages import Average, Price
from app.domain.candles import Coverage
from app.domain.nearest import Neighbours
from app.domain.trades import Order, Trade
from app.domain.vector import AS_OF_MAX_MS
from app.market.marks import DeadMark, Missing

TIME_MAX_US = AS_OF_MAX_MS * 1000
"""Times are before."""
TRADES = "trades"
"""The source of bars that are made of trades."""
BEGAN = "began"
"""What a gap was found by if nothing was lost and nobody listened yet."""

GOOD: frozenset[Coverage] = frozenset({"complete", "backfilled"})
"""Nothing of such a bar is lacking."""
Part = Literal["regular", "pre", "post"]
"""Of an exchange's day."""


class Symbol(NamedTuple):
    """``market``: whose sessions count, empty if it never closes; one that is guessed (``is_guess``) counts for a symbol that
    nobody described yet. ``price_scale``: digits behind the point, None if unknown.
    """

    symbol: str
    name: str = ""
    market: str = ""
    currency: str = ""
    price_scale: int | None = None
    source: str = ""
    first_seen_us: int = 0
    is_guess: bool = False


class Session(NamedTuple):
    """One of an exchange, on its own date. ``pause``: from when to when nobody trades in it."""

    day: date
    opens_us: int
    closes_us: int
    pause: tuple[int, int] | None = None


class Minute(NamedTuple):
    """The bar of a symbol's trades that begins then."""

    symbol: str
    start_us: int


class Cancel(NamedTuple):
    """A trade that its venue takes back; it may be there already, or come later."""

    venue: str
    symbol: str
    key: str


class Gap(NamedTuple):
    """Trades are lacking from ``from_us`` to before ``to_us``: ``missing`` of them, None if nobody knows how many."""

    venue: str
    symbol: str
    from_us: int
    to_us: int
    found_by: str
    missing: int | None = None
    filled_us: int | None = None


class Span(NamedTuple):
    """A time of a symbol at a venue, of which all trades are there now."""

    venue: str
    symbol: str
    from_us: int
    to_us: int


class Heard(NamedTuple):
    """The source was heard, and the last trade's id was that (empty: none), known at ``last_us``; of earlier ids some are
    ``missing``, in their order.
    """

    venue: str
    symbol: str
    at_us: int
    last_id: str = ""
    last_us: int = 0
    missing: tuple[Missing, ...] = ()


class Partition(NamedTuple):
    """Of a topic. A topic that is made anew has another id."""

    log: str
    topic: str
    topic_id: str
    partition: int


class Move(NamedTuple):
    """An offset is moved from ``expected`` (None: there is none yet) to ``next``."""

    partition: Partition
    expected: int | None
    next: int


class Batch(NamedTuple):
    """What is written in one transaction, with the offsets up to which it came."""

    trades: Sequence[Trade] = ()
    cancels: Sequence[Cancel] = ()
    gaps: Sequence[Gap] = ()
    filled: Sequence[Span] = ()
    heard: Sequence[Heard] = ()
    moves: Sequence[Move] = ()
    dead: Sequence[DeadMark] = ()
    prices: Sequence[Price] = ()


class Applied(NamedTuple):
    """What a batch did. ``duplicate``: trades that were there; ``too_old``: left out, since trades of their time were removed.

    ``touched`` are the minutes whose bars changed, came or went; of these ``revised`` are older than the newest that their symbol
    had. ``cancelled``: inserted ones that count for nothing, since their cancel came first. ``dead``: dead letters that are new.
    """

    inserted: int
    duplicate: int
    too_old: int
    touched: tuple[Minute, ...]
    revised: tuple[Minute, ...]
    cancelled: int = 0
    dead: int = 0


class GivenBar(NamedTuple):
    """A bar as a source gives it. ``notional``: the sum of price times size. ``is_partial``: it was not over by then."""

    start_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    notional: Decimal | None = None
    trades: int | None = None
    is_partial: bool = False


class Export(NamedTuple):
    """Bars that a source gave together, ascending by start. Of exports that overlap, also by way of others, the one whose last
    bar is newer counts, whole; of equals the one whose last bar is over, then the one with more bars.
    """

    symbol: str
    interval: str
    source: str
    bars: Sequence[GivenBar]


class Put(NamedTuple):
    """What an export did. ``counts``: it is the one that does, or adds to those. Bars written, of these ``revised`` ones older
    than the source's newest, and those that went.
    """

    counts: bool
    written: int = 0
    revised: int = 0
    removed: int = 0


class Writer(Protocol):
    """For jobs. A call is one transaction: all of it or nothing.

    Raises `app.errors.MarketError` where the store cannot write, and ValueError where what it is given cannot be stored; that
    says which, and what is allowed.
    """

    def apply(self, batch: Batch) -> Applied:
        """Write ``batch``. A trade that is there, by venue, symbol and key, is left as it is.

        Raises:
            OffsetMoved: another consumer moved one of the offsets.
        """
        ...

    def put_bars(self, export: Export) -> Put:
        """Write the bars that a source gave."""
        ...

    def put_symbols(self, symbols: Sequence[Symbol]) -> None:
        """Write details of symbols. Name, currency, scale and source that are not said stay as they were, and so does when it was
        first seen.
        """
        ...

    def put_sessions(self, market: str, sessions: Sequence[Session]) -> None:
        """Write the sessions of ``market``, ascending, in place of those that it had from the first to the last of these days."""
        ...

    def retain(self, days: int, now_us: int) -> int:
        """Remove trades of before so many whole UTC days (0: keep all); how many. Bars stay, and older trades are not taken
        again, or they would count twice. Killed in it, it has removed some; the next call removes the others.
        """
        ...

    def offsets(self, log: str) -> Mapping[Partition, int]:
        """Where to go on."""
        ...

    def close(self) -> None:
        """Give back the connection."""
        ...


LIMIT_MAX = 10_000
"""Of bars, trades or symbols on one page."""


class CandlesWanted(NamedTuple):
    """Bars of ``symbol`` that begin from ``start_us`` to before ``end_us`` (None: no bound), oldest first unless ``descending``.

    ``after_us`` is the start of the last bar that was had; ``offset`` bars are passed over. ``extended``: also those before and
    after sessions. ``zone``: whose days count, where the market never closes. ``counts``: whether a total is wanted.
    """

    symbol: str
    interval: str
    limit: int
    start_us: int | None = None
    end_us: int | None = None
    after_us: int | None = None
    offset: int = 0
    descending: bool = False
    extended: bool = False
    complete_only: bool = False
    zone: str = "UTC"
    counts: bool = False


class Bar(NamedTuple):
    """Of ``sources``, which are several where they complete each other. What a source does not say is None.

    ``rv``: sum of squared log returns from second to second, of which ``covered_s`` seconds are known. ``session``: None where
    the market never closes.
    """

    symbol: str
    interval: str
    start_us: int
    end_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    notional: Decimal | None
    trades: int | None
    rv: float | None
    covered_s: int | None
    coverage: Coverage
    revision: int
    session: Part | None
    sources: tuple[str, ...]


class CandlePage(NamedTuple):
    """``after_us`` goes on from here; None if there is no more. ``gaps`` touch the page: from its first bar, or where the span
    begins, to its last one, or where the span ends; filled ones too, by their beginning. ``total`` is of all bars of the span;
    None if none was wanted, or counting would take longer than the page. ``is_known``: the store has the symbol.
    """

    bars: tuple[Bar, ...]
    after_us: int | None
    gaps: tuple[Gap, ...] = ()
    total: int | None = None
    is_known: bool = True


class TradesWanted(NamedTuple):
    """Trades of ``symbol`` from ``start_us`` to before ``end_us`` (None: no bound), oldest first unless ``descending``; none that
    was cancelled. ``after`` is where the last one stands that was had.
    """

    symbol: str
    limit: int
    start_us: int | None = None
    end_us: int | None = None
    after: Order | None = None
    descending: bool = False


class TradePage(NamedTuple):
    """``after`` goes on from here; None if there is no more. ``is_known``: the store has the symbol."""

    trades: tuple[Trade, ...]
    after: Order | None
    is_known: bool = True


class Details(NamedTuple):
    """``last_trade_us``: None without trades. ``volume_day``: of the 24 hours before now; None if nobody says. ``kinds``:
    interval and source of its bars.
    """

    symbol: Symbol
    last_trade_us: int | None
    volume_day: Decimal | None
    kinds: tuple[tuple[str, str], ...]


class Names(NamedTuple):
    """Some symbols. ``beside``: how many the store has that are not among the others."""

    symbols: list[str]
    beside: int


class Pool(NamedTuple):
    """Connections: so many at most, so many in use. ``waiting``: reads that have none yet."""

    size: int
    in_use: int
    waiting: int


class Reader(Protocol):
    """For servers. A call sees one moment of the store, and ends within its deadline.

    Raises `app.errors.MarketError`; none hides a failure as an empty answer.
    """

    @property
    def pool(self) -> Pool:
        """What is under way."""
        ...

    async def candles(self, wanted: CandlesWanted) -> CandlePage:
        """A page of bars, empty for an unknown symbol.

        Where sources overlap, a bar of trades counts where nothing of it is lacking; else a given bar, by the order of sources
        that the store was opened with; else what there is. That is decided minute by minute; a longer given bar counts against
        all of its minutes, the longest first, and no further than it is long.

        Raises:
            ValueError: no such interval or zone, or a limit or an offset that is not allowed.
        """
        ...

    async def trades(self, wanted: TradesWanted) -> TradePage:
        """A page of trades. Pages have every trade exactly once that was there when the first one was read."""
        ...

    async def last_trades(self, symbols: Sequence[str], until_us: int | None = None) -> dict[str, Trade]:
        """Of each of ``symbols`` that has one the last trade with a size, up to a time (None: whenever it was)."""
        ...

    async def symbols(self, limit: int, after: str = "") -> list[Details]:
        """Symbols, sorted, those behind ``after``."""
        ...

    async def names(self, limit: int, after: str, others: Sequence[str]) -> Names:
        """Symbols, sorted, those behind ``after``. ``others`` are sorted, and the same object as long as they are the same."""
        ...

    async def neighbours(self, wanted: Neighbours) -> list[str]:
        """Those that there are, in some order."""
        ...

    async def gaps(self, symbol: str, from_us: int, to_us: int) -> list[Gap]:
        """Those that touch the span, filled ones too."""
        ...

    async def averages(self, symbol: str, limit: int, provider: str = "") -> list[Average]:
        """Of its prices, newest first; of one provider, or of all."""
        ...

    async def ping(self) -> None:
        """Returns if the store answers."""
        ...

    async def close(self) -> None:
        """Give back connections and threads."""
        ...
