"""The market store of the routes' tests: it holds bars and trades in memory, and fails as it is told."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from app.domain.averages import Average
from app.domain.nearest import Neighbours, found_in
from app.domain.trades import Trade
from app.errors import MarketError
from app.market.protocol import CandlePage, CandlesWanted, Details, Gap, Names, Pool, TradePage, TradesWanted


class FakeReader:
    """A `Reader` that holds ``bars`` and ``trades`` pages, and notes what was ``wanted``; ``calls`` counts by name. While there
    is a ``reason`` every call fails with it, as do ``faulty`` ones; while it ``hangs`` none ends.
    """

    def __init__(self, *symbols: str) -> None:
        self.known = sorted(symbols)
        self.candle_page, self.trade_page = CandlePage((), None), TradePage((), None)
        self.wanted: list[CandlesWanted | TradesWanted] = []
        self.calls: Counter[str] = Counter()
        self.reason, self.faulty = "", set[str]()
        self.hangs = self.closed = False
        self.details: list[Details] = []
        self.pool = Pool(2, 1, 0)

    async def _called(self, name: str) -> None:
        self.calls[name] += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.reason or name in self.faulty:
            raise MarketError(self.reason or "market_timeout", "SQLite at /a/path: it is away")

    async def candles(self, wanted: CandlesWanted) -> CandlePage:
        """The one that it holds."""
        self.wanted.append(wanted)
        await self._called("candles")
        return self.candle_page._replace(is_known=bool(self.candle_page.bars) or wanted.symbol in self.known)

    async def trades(self, wanted: TradesWanted) -> TradePage:
        """The one that it holds."""
        self.wanted.append(wanted)
        await self._called("trades")
        return self.trade_page._replace(is_known=bool(self.trade_page.trades) or wanted.symbol in self.known)

    async def names(self, limit: int, after: str, others: Sequence[str]) -> Names:
        """Those that it was made with."""
        await self._called("names")
        return Names([each for each in self.known if each > after][:limit], len({*self.known}.difference(others)))

    async def neighbours(self, wanted: Neighbours) -> list[str]:
        """Of those that it was made with."""
        await self._called("neighbours")
        return found_in(self.known, wanted)

    async def symbols(self, limit: int, after: str = "") -> list[Details]:
        """Those that it holds."""
        await self._called("symbols")
        return [each for each in self.details if each.symbol.symbol > after][:limit]

    async def ping(self) -> None:
        """As it was told."""
        await self._called("ping")

    async def close(self) -> None:
        """Note it."""
        self.closed = True

    async def gaps(self, symbol: str, from_us: int, to_us: int) -> list[Gap]:
        """None."""
        del symbol, from_us, to_us
        return []

    async def last_trades(self, symbols: Sequence[str], until_us: int | None = None) -> dict[str, Trade]:
        """None."""
        del symbols, until_us
        return {}

    async def averages(self, symbol: str, limit: int, provider: str = "") -> list[Average]:
        """None."""
        del symbol, limit, provider
        return []
