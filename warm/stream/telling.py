"""What sources write into the log."""

from app.domain.trades import Trade, trade_key
from warm.stream.log import Outgoing
from warm.stream.messages import Content, Told, TradeMessage, encode, headers_of


def outgoing(content: Content, now_us: int, source: str) -> Outgoing:
    """A message of ``source``, with its time in headers, and when that had it."""
    return Outgoing(content.symbol.encode(), encode(content), headers_of(Told(content.time_us, now_us, source)))


def trade_message(trade: Trade, *, sequential: bool = False) -> TradeMessage:
    """A trade whose key is that of ``trade``, also where its id alone does not give that (an aggregate's)."""
    return TradeMessage(
        schema=1,
        symbol=trade.symbol,
        time_us=trade.time_us,
        venue=trade.venue,
        trade_id=trade.trade_id if trade_key(trade.trade_id) == trade.key else trade.key,
        price=trade.price,
        size=trade.size,
        side=trade.side,
        source=trade.source,
        closing=trade.closing,
        sequential=sequential,
    )
