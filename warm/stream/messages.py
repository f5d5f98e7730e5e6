"""Messages of the log, versioned: JSON in a message's value, and what its headers tell beside it.

Prices and sizes are exact: written as text, read from text or from numbers, whose digits count as they stand there. Fields that
are not known are ignored, so a later version may add some under the same ``schema``. Whatever else cannot be read is refused with
a reason, for the dead letters.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from app.domain.prices import RULE, exact, plain
from app.domain.text import harmless
from app.domain.trades import Side, Trade, refusal, trade_key
from app.domain.vector import SYMBOL_RULE, is_symbol
from app.errors import DecideError
from app.market.protocol import TIME_MAX_US
from warm.stream.log import Headers

SCHEMA: Literal[1] = 1
PRICE_TOPIC = "decide.prices"
"""Where prices of providers are, and nothing else."""

NAME_MAX, ID_MAX = 64, 200
_SHOWN = 80
"""Characters of a wrong value that a reason shows."""
_NAME_RULE = f"1 to {NAME_MAX} printable characters"
_ID_RULE = f"1 to {ID_MAX} printable characters"
_TIME_RULE = "epoch microseconds, above 0 and before the year 9000"
_PRICE_RULE = f"above 0, {RULE}"
_FLAG_RULE = "true or false"
ALLOWED = {
    "schema": str(SCHEMA),
    "type": "trade, cancel, heartbeat, price, gap",
    "symbol": SYMBOL_RULE,
    "time_us": _TIME_RULE,
    "from_us": _TIME_RULE,
    "to_us": f"{_TIME_RULE}, after from_us",
    "venue": _NAME_RULE,
    "provider": _NAME_RULE,
    "found_by": _NAME_RULE,
    "source": f"{_NAME_RULE}, or none",
    "currency": f"{_NAME_RULE}, or none",
    "trade_id": _ID_RULE,
    "last_id": f"{_ID_RULE}, or none",
    "price": _PRICE_RULE,
    "size": f"0 and above, {RULE}",
    "side": "buy, sell, unknown",
    "closing": _FLAG_RULE,
    "sequential": _FLAG_RULE,
    "filled": _FLAG_RULE,
    "missing": "a whole number above 0, or null",
}
"""What each field of a message may be."""

Reason = Literal["null", "malformed", "unknown_schema", "unknown_type", "invalid_field"]
Time = Annotated[int, Meta(gt=0, lt=TIME_MAX_US)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
MaybeName = Annotated[str, Meta(max_length=NAME_MAX)]
Id = Annotated[str, Meta(min_length=1, max_length=ID_MAX)]
MaybeId = Annotated[str, Meta(max_length=ID_MAX)]


class MessageRefused(DecideError):
    """A message's value is none that can be used; says which field, its value and what is allowed."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class _Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """``time_us`` is when it happened, by its source's clock.

    Raises:
        ValueError: a field cannot be that; says which, its value and what is allowed.
    """

    schema: Literal[1]
    symbol: str
    time_us: Time

    def _check(self, *names: str) -> None:
        if not _is_known(self.symbol):
            raise _wrong("symbol", self.symbol)
        for name in names:
            value = getattr(self, name)
            if not value.isprintable():
                raise _wrong(name, value)


class TradeMessage(_Message, tag="trade", frozen=True, kw_only=True, gc=False):
    """As `app.domain.trades.Trade`. ``sequential``: its venue counts the ids of a symbol by one, so a missing one is a gap."""

    venue: Name
    trade_id: Id
    price: Decimal
    size: Decimal
    side: Side = "unknown"
    source: MaybeName = ""
    closing: bool = False
    sequential: bool = False

    def __post_init__(self) -> None:
        # Most messages are trades, so this costs little where nothing is wrong.
        if not (_is_known(self.symbol) and _are_printable(self.venue, self.source) and self.trade_id.isprintable()):
            self._check("venue", "trade_id", "source")
        price, size = _exact("price", self.price), _exact("size", self.size)
        if price <= 0 or size < 0:
            raise ValueError(f"{refusal(price, size)}, {RULE}")
        force_setattr(self, "price", price)
        force_setattr(self, "size", size)

    def trade(self) -> Trade:
        """The trade."""
        return Trade(
            self.venue,
            self.symbol,
            trade_key(self.trade_id),
            self.time_us,
            self.price,
            self.size,
            self.trade_id,
            self.side,
            self.source,
            self.closing,
        )


class CancelMessage(_Message, tag="cancel", frozen=True, kw_only=True, gc=False):
    """The venue took a trade back."""

    venue: Name
    trade_id: Id

    def __post_init__(self) -> None:
        self._check("venue", "trade_id")


class HeartbeatMessage(_Message, tag="heartbeat", frozen=True, kw_only=True, gc=False):
    """The source was heard. ``last_id`` is that of the newest trade that there is; empty where there is none, and so is 0."""

    venue: Name
    last_id: MaybeId = ""
    sequential: bool = False

    def __post_init__(self) -> None:
        self._check("venue", "last_id")
        if self.last_id == "0":
            force_setattr(self, "last_id", "")


class PriceMessage(_Message, tag="price", frozen=True, kw_only=True, gc=False):
    """A price that a provider gave for ``time_us``."""

    provider: Name
    price: Decimal
    currency: MaybeName = ""

    def __post_init__(self) -> None:
        self._check("provider", "currency")
        price = _exact("price", self.price)
        if fault := refusal(price, Decimal(0)):
            raise ValueError(f"{fault}, {RULE}")
        force_setattr(self, "price", price)


class GapMessage(_Message, tag="gap", frozen=True, kw_only=True, gc=False):
    """Trades are lacking from ``from_us`` to before ``to_us``, ``missing`` of them if that is known; ``filled``: they were, and
    all of them are there now.
    """

    venue: Name
    from_us: Time
    to_us: Time
    found_by: Name
    missing: Annotated[int, Meta(ge=1)] | None = None
    filled: bool = False

    def __post_init__(self) -> None:
        self._check("venue", "found_by")
        if self.to_us <= self.from_us:
            raise _wrong("to_us", self.to_us)


Content = TradeMessage | CancelMessage | HeartbeatMessage | PriceMessage | GapMessage
_TYPES = frozenset(ALLOWED["type"].split(", "))
_typed: msgspec.json.Decoder[Content] = msgspec.json.Decoder(Content)
_json = msgspec.json.Encoder()
_is_known = lru_cache(65_536)(is_symbol)
_are_printable = lru_cache(4_096)(lambda *names: all(map(str.isprintable, names)))
_TRADE = b'"type":"trade"'
_field = re.compile(r"(?: - at `\$\.|required field `)(\w+)").search


def encode(content: Content) -> bytes:
    """As a message's value, with plain digits."""
    fields = msgspec.to_builtins(content, builtin_types=(Decimal,))
    return _json.encode({name: plain(each) if isinstance(each, Decimal) else each for name, each in fields.items()})


def is_trade(value: bytes | None) -> bool:
    """Whether `encode` made it of a trade. Within text it writes quotation marks otherwise."""
    return value is not None and _TRADE in value


def decode(value: bytes | None) -> Content:
    """What a message's value says.

    Raises:
        MessageRefused: nothing that can be used.
    """
    if value is None:
        raise MessageRefused("null", "value is null; allowed: a JSON object")
    try:
        return _typed.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(value, error) from error


def _refused(value: bytes, error: Exception) -> MessageRefused:
    """Why. The version goes before the type, and both before the fields: of another version these mean something else."""
    if isinstance(error.__cause__, ValueError):
        # All fields were read then.
        return MessageRefused("invalid_field", str(error.__cause__))
    try:
        found = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        shown = harmless(value[:_SHOWN].decode("utf-8", "replace"))
        return MessageRefused("malformed", f"value is {shown!r} ({len(value)} bytes); allowed: a JSON object")
    if found.get("schema") != SCHEMA:
        return MessageRefused("unknown_schema", _said("schema", found))
    if not isinstance(found.get("type"), str) or found["type"] not in _TYPES:
        return MessageRefused("unknown_type", _said("type", found))
    field = _field(str(error))
    return MessageRefused("invalid_field", _said(field[1], found) if field else str(error))


def _said(field: str, found: dict[str, Any]) -> str:
    if field not in found:
        return f"{field} is missing; allowed: {ALLOWED[field]}"
    return str(_wrong(field, found[field]))


def _wrong(field: str, value: object) -> ValueError:
    shown = harmless(_json.encode(value).decode())
    return ValueError(f"{field} is {shown[:_SHOWN]}; allowed: {ALLOWED[field]}")


def _exact(field: str, value: Decimal) -> Decimal:
    try:
        return exact(value)
    except ValueError:
        raise _wrong(field, value) from None


EVENT_TIME, INGEST_TIME, SOURCE, TRACE = "event_time_us", "ingest_time_us", "source", "traceparent"


class Told(NamedTuple):
    """What headers say: when it happened and when it was put into the log (epoch microseconds), by which source, and within which
    trace (W3C's traceparent). None and empty: nothing that can be read.
    """

    event_us: int | None = None
    ingest_us: int | None = None
    source: str = ""
    traceparent: str = ""


def headers_of(told: Told) -> Headers:
    """As a message has them; none for what is not said."""
    written = ((EVENT_TIME, told.event_us), (INGEST_TIME, told.ingest_us), (SOURCE, told.source), (TRACE, told.traceparent))
    return tuple((name, str(each).encode()) for name, each in written if each is not None and each != "")


def told(headers: Headers) -> Told:
    """What the first headers of these names say. They decide nothing, so what is no such header is as none."""
    found = dict(reversed([*headers]))
    return Told(
        _number(found.get(EVENT_TIME)), _number(found.get(INGEST_TIME)), _text(found.get(SOURCE)), _text(found.get(TRACE))
    )


def _number(value: bytes | None) -> int | None:
    if value is None or not value.isdigit() or len(value) > len(str(TIME_MAX_US)):
        return None
    number = int(value)
    return number if number < TIME_MAX_US else None


def _text(value: bytes | None) -> str:
    return "" if value is None else harmless(value.decode("utf-8", "replace"))[:NAME_MAX]


def source_of(value: bytes) -> str:
    """What that header's value says."""
    return _text(value)
