"""The market store of the routes' tests: it holds bars and trades in memory, and fails as it is told."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from app.domain.trades import Trade
from app.errors import MarketError
from app.market.protocol import CandlePage, CandlesWanted, Details, Gap, Pool, TradePage, TradesWanted


class FakeReader:
    """A `Reader` that holds ``bars`` and ``trades`` pages, and notes what was ``wanted``; ``calls`` counts by name. While there
    is a ``reason`` every call fails with it; while it ``hangs`` none ends.
    """

    def __init__(self, *symbols: str) -> None:
        self.known = sorted(symbols)
        self.candle_page, self.trade_page = CandlePage((), None), TradePage((), None)
        self.wanted: list[CandlesWanted | TradesWanted] = []
        self.calls: Counter[str] = Counter()
        self.reason = ""
        self.hangs = self.closed = False
        self.details: list[Details] = []
        self.pool = Pool(2, 1, 0)

    async def _called(self, name: str) -> None:
        self.calls[name] += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.reason:
            raise MarketError(self.reason, "SQLite at /a/path: it is away")

    async def candles(self, wanted: CandlesWanted) -> CandlePage:
        """The one that it holds."""
        self.wanted.append(wanted)
        await self._called("candles")
        return self.candle_page

    async def trades(self, wanted: TradesWanted) -> TradePage:
        """The one that it holds."""
        self.wanted.append(wanted)
        await self._called("trades")
        return self.trade_page

    async def names(self) -> list[str]:
        """Those that it was made with."""
        await self._called("names")
        return self.known

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

    async def last_trades(self, symbols: Sequence[str]) -> dict[str, Trade]:
        """None."""
        del symbols
        return {}
