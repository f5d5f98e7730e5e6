"""What the log has that its consumer did not use yet: whoever goes on with a source finds there what it told last."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from app.market.following import StreamWriter
from warm.stream.ids import Ids, number_of
from warm.stream.log import Log
from warm.stream.messages import Content, GapMessage, HeartbeatMessage, MessageRefused, TradeMessage, decode
from warm.stream.reading import messages_now


def unused(log: Log, topic: str, writer: StreamWriter) -> Iterator[Content]:
    """The messages behind the offsets that the market store of ``writer`` has, but for those that cannot be used.

    Raises:
        LogError: the log cannot be read.
    """
    for messages in messages_now(log, topic, writer.offsets(log.name).get):
        for message in messages:
            with suppress(MessageRefused):
                yield decode(message.value)


def known_ids(log: Log, topic: str, writer: StreamWriter, venue: str, symbols: Sequence[str]) -> dict[str, Ids]:
    """Of each of ``symbols`` the ids at ``venue`` as its consumer will know them once it has used all that the log has."""
    found = {}
    for symbol, known in writer.known(symbols).items():
        heard = next((each for each in known.heard if each.venue == venue), None)
        found[symbol] = Ids() if heard is None else Ids(number_of(heard.last_id), heard.last_us, heard.missing)
    for content in unused(log, topic, writer):
        ids = found.get(content.symbol)
        if ids is None or getattr(content, "venue", None) != venue:
            continue
        if isinstance(content, TradeMessage) and content.sequential:
            if (number := number_of(content.trade_id)) is not None:
                ids.came(number, content.time_us)
        elif isinstance(content, HeartbeatMessage) and content.sequential:
            if (number := number_of(content.last_id)) is not None:
                ids.told(number, content.time_us)
        elif isinstance(content, GapMessage) and content.filled:
            ids.fill(content.from_us, content.to_us)
    return found
