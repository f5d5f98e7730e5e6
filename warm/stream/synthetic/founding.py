"""How a simulated market begins, once, and how it goes on.

What is chosen, the seed and the minute in which it began, is kept in the market store before anything is made of it, as offsets
are. So whoever is killed in it, and begins anew, makes the same symbols and the same past, and putting them twice changes
nothing. The last trades stand in the market store, and behind what its consumer used of the log, there.
"""

import secrets
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from app.domain.candles import MINUTE_US
from app.domain.trades import SIMULATED
from app.market.following import Known, StreamWriter
from app.market.protocol import Batch, Export, Heard, Move, Partition, Symbol
from warm.errors import InputRefused
from warm.stream.ids import number_of
from warm.stream.log import Log
from warm.stream.messages import TradeMessage
from warm.stream.synthetic.past import past
from warm.stream.synthetic.process import SYMBOLS
from warm.stream.synthetic.random_walk import RandomWalk, Walked
from warm.stream.synthetic.source import NAME
from warm.stream.unused import unused

SEED_MAX = 2**32 - 1
_PAST_INTERVAL_US = 3_000_000
"""In the past no step is shorter: it would take minutes to make."""
_DONE = 1


class Market(NamedTuple):
    """A simulated market: what it is made of, and where each symbol goes on, after ``last_us``."""

    walk: RandomWalk
    states: Mapping[str, Walked]
    last_us: int


class _Marks:
    """Numbers that are written once, in the market store."""

    def __init__(self, writer: StreamWriter) -> None:
        self._writer, self._known = writer, dict(writer.offsets(NAME))

    def get(self, what: str, symbol: str = "") -> int | None:
        """None: it was not written yet."""
        return self._known.get(Partition(NAME, what, symbol, 0))

    def put(self, what: str, value: int, symbol: str = "", heard: Sequence[Heard] = ()) -> int:
        """It, if it was not written yet, and in one step with what was ``heard``; what it is."""
        partition = Partition(NAME, what, symbol, 0)
        if partition not in self._known:
            self._writer.apply(Batch(moves=[Move(partition, None, value)], heard=heard))
            self._known[partition] = value
        return self._known[partition]


def found(
    writer: StreamWriter,
    last: Mapping[str, TradeMessage],
    *,
    symbols: Sequence[str],
    seed: int | None,
    interval_us: int,
    now_us: int,
) -> Market:
    """Make what there is not of ``symbols``: names, and bars of the time before the minute of ``now_us``. ``last`` are trades in
    the log, as of `last_in_log`. ``seed``: None for the one that the market began with, or for any.

    Raises:
        InputRefused: a symbol is a real one in this store, or the market began with another seed.
        MarketError: the store failed; the next call goes on.
        OffsetMoved: another begins the same market just now.
    """
    try:
        writer.put_symbols(
            [Symbol(each, SYMBOLS.get(each, ""), SIMULATED, "USD", 2, SIMULATED, first_seen_us=now_us) for each in symbols]
        )
    except ValueError as error:
        raise InputRefused(str(error)) from error
    marks = _Marks(writer)
    chosen = marks.put("seed", secrets.randbelow(SEED_MAX + 1) if seed is None else seed)
    if seed is not None and seed != chosen:
        raise InputRefused(f"--seed is {seed}, and this simulated market began with {chosen}; allowed: {chosen}, or none")
    known = writer.known(symbols)
    states: dict[str, Walked] = {}
    last_us = 0
    walk, past_walk = RandomWalk(chosen, interval_us), RandomWalk(chosen, max(interval_us, _PAST_INTERVAL_US))
    for symbol in symbols:
        until_us = marks.put("until_us", now_us - now_us % MINUTE_US, symbol)
        is_done = marks.get("done", symbol) == _DONE
        latest = _latest(last.get(symbol), known[symbol])
        if latest is not None:
            number, price, time_us = latest
            states[symbol] = walk.resume(symbol, price, number)
            last_us = max(last_us, time_us)
        if is_done and latest is not None:
            continue
        bars, after = past(past_walk, symbol, chosen, until_us)
        last_us = max(last_us, until_us - 1)
        state = states.setdefault(symbol, after)
        for interval, some in (("1d", bars.days), ("1m", bars.minutes)):
            writer.put_bars(Export(symbol, interval, SIMULATED, some))
        # It was there all along: no trade is lacking between the past and the first one.
        begun = Heard(SIMULATED, symbol, bars.days[0].start_us)
        marks.put("done", _DONE, symbol, [begun, begun._replace(at_us=until_us, last_id=str(state.step), last_us=until_us)])
    return Market(walk, states, last_us)


def _latest(logged: TradeMessage | None, known: Known) -> tuple[int, Decimal, int] | None:
    """Number, price and time of a symbol's last trade, in the log or else in the market store."""
    if logged is not None:
        return int(logged.trade_id), logged.price, logged.time_us
    if known.last is None:
        return None
    # One from a file may have an id that is no number.
    numbers = [number_of(each) for each in (known.last.trade_id or "", *(each.last_id for each in known.heard))]
    return max((each for each in numbers if each is not None), default=0), known.last.price, known.last.time_us


def last_in_log(log: Log, topic: str, writer: StreamWriter, symbols: Sequence[str]) -> dict[str, TradeMessage]:
    """Of ``symbols`` the simulated trade of the highest number among those that the consumer did not use yet.

    Raises:
        LogError: the log cannot be read.
    """
    wanted, newest = frozenset(symbols), dict[str, TradeMessage]()
    for each in unused(log, topic, writer):
        if not isinstance(each, TradeMessage) or each.venue != SIMULATED or each.symbol not in wanted:
            continue
        before = newest.get(each.symbol)
        if number_of(each.trade_id) is not None and (before is None or int(each.trade_id) > int(before.trade_id)):
            newest[each.symbol] = each
    return newest
