"""What stands in a message: digits as they were written, a version, and a reason where it cannot be used."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.trades import Side, Trade, trade_key
from app.market.protocol import TIME_MAX_US
from warm.stream.messages import (
    ALLOWED,
    ID_MAX,
    NAME_MAX,
    SCHEMA,
    CancelMessage,
    Content,
    GapMessage,
    HeartbeatMessage,
    MessageRefused,
    PriceMessage,
    Told,
    TradeMessage,
    decode,
    encode,
    headers_of,
    told,
)

_NOON_US = 1_764_244_800_000_000
_TRADE: dict[str, Any] = {
    "type": "trade",
    "schema": 1,
    "symbol": "BTC-USD",
    "time_us": _NOON_US,
    "venue": "coinbase",
    "trade_id": "12",
    "price": "100.50",
    "size": "0.00000001",
    "side": "buy",
    "source": "live",
    "closing": False,
    "sequential": True,
}
_ALL: list[Content] = [
    msgspec.convert(_TRADE, TradeMessage, strict=False),
    CancelMessage(schema=SCHEMA, symbol="A", time_us=1, venue="V", trade_id="x"),
    HeartbeatMessage(schema=SCHEMA, symbol="A", time_us=1, venue="V", last_id="12", sequential=True),
    PriceMessage(schema=SCHEMA, symbol="A", time_us=TIME_MAX_US - 1, provider="yahoo", price=Decimal("1E+3"), currency="USD"),
    GapMessage(schema=SCHEMA, symbol="A", time_us=1, venue="V", from_us=1, to_us=2, found_by="ids", missing=3, filled=True),
]


def _value(**changes: object) -> bytes:
    return msgspec.json.encode(_TRADE | changes)


def _raw(field: str, written: str) -> bytes:
    """The trade, with ``written`` in the place of a field's value."""
    return _value(**{field: "@"}).replace(b'"@"', written.encode())


def _refusal(value: bytes | None) -> MessageRefused:
    with pytest.raises(MessageRefused) as caught:
        decode(value)
    return caught.value


@pytest.mark.parametrize("content", _ALL, ids=lambda each: type(each).__name__)
def test_every_message_comes_out_as_it_went_in(content: Content) -> None:
    assert decode(encode(content)) == content


def test_a_message_is_readable_json_of_plain_digits() -> None:
    """Fields in one order, so that equal messages are equal bytes."""
    content = TradeMessage(
        schema=SCHEMA, symbol="A", time_us=5, venue="V", trade_id="7", price=Decimal(100), size=Decimal("1e-7")
    )
    assert encode(content) == (
        b'{"type":"trade","schema":1,"symbol":"A","time_us":5,"venue":"V","trade_id":"7","price":"100","size":"0.0000001",'
        b'"side":"unknown","source":"","closing":false,"sequential":false}'
    )


@given(number=st.integers(1, 10**38 - 1), places=st.integers(0, 30), as_text=st.booleans())
def test_prices_keep_every_digit_as_text_and_as_number(number: int, places: int, *, as_text: bool) -> None:
    digits = f"{number:0{places + 1}}"
    written = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".")
    if len(digits) - places > 30:
        return
    content = decode(_raw("price", f'"{written}"' if as_text else written))
    assert isinstance(content, TradeMessage)
    assert content.price == Decimal(f"{number}E-{places}")
    assert decode(encode(content)) == content


@given(
    venue=st.text(min_size=1, max_size=NAME_MAX).filter(str.isprintable),
    trade_id=st.text(min_size=1, max_size=ID_MAX).filter(str.isprintable),
    time_us=st.integers(1, TIME_MAX_US - 1),
    price=st.decimals(min_value="0.000000001", max_value=10**9, places=9),
    size=st.decimals(min_value=0, max_value=10**9, places=6),
    side=st.sampled_from(["buy", "sell", "unknown"]),
    closing=st.booleans(),
)
def test_a_trade_comes_back_as_the_market_store_has_it(
    venue: str, trade_id: str, time_us: int, price: Decimal, size: Decimal, side: Side, *, closing: bool
) -> None:
    message = TradeMessage(
        schema=SCHEMA,
        symbol="A",
        time_us=time_us,
        venue=venue,
        trade_id=trade_id,
        price=price,
        size=size,
        side=side,
        source="s",
        closing=closing,
    )
    found = decode(encode(message))
    assert isinstance(found, TradeMessage)
    assert found.trade() == Trade(venue, "A", trade_key(trade_id), time_us, price, size, trade_id, side, "s", closing)


def test_fields_that_are_not_known_are_ignored_and_others_have_defaults() -> None:
    content = decode(
        b'{"new":[{"a":NOTHING}],"schema":1,"type":"heartbeat","symbol":"A","time_us":1,"venue":"V"}'.replace(b"NOTHING", b"1")
    )
    assert content == HeartbeatMessage(schema=SCHEMA, symbol="A", time_us=1, venue="V", last_id="")


def test_a_last_id_of_zero_is_none() -> None:
    content = decode(b'{"schema":1,"type":"heartbeat","symbol":"A","time_us":1,"venue":"V","last_id":"0"}')
    assert isinstance(content, HeartbeatMessage)
    assert content.last_id == ""


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "null", "value is null; allowed: a JSON object"),
        (b"", "malformed", "value is '' (0 bytes); allowed: a JSON object"),
        (b"no json\x1b[2J", "malformed", "value is 'no json\ufffd[2J' (11 bytes); allowed: a JSON object"),
        (b"\xff" * 3, "malformed", "value is '\ufffd\ufffd\ufffd' (3 bytes)"),
        (b"[]", "malformed", "value is '[]' (2 bytes)"),
        (b"null", "malformed", "value is 'null' (4 bytes)"),
        (b" " * 1_000_000, "malformed", f"value is '{' ' * 80}' (1000000 bytes)"),
        (_value()[:-1], "malformed", "allowed: a JSON object"),
        (_raw("price", "NaN"), "malformed", "allowed: a JSON object"),
        (_raw("time_us", "1" * 9_000), "malformed", "allowed: a JSON object"),
        (_raw("time_us", "1e999"), "malformed", "allowed: a JSON object"),
        (_raw("note", "[" * 100_000 + "]" * 100_000), "malformed", "allowed: a JSON object"),
        (_raw("venue", r'"\ud800"'), "malformed", "allowed: a JSON object"),
        (_value(schema=2, type="other", price=None), "unknown_schema", "schema is 2; allowed: 1"),
        (_value(schema="1"), "unknown_schema", 'schema is "1"; allowed: 1'),
        (_value(schema=True), "invalid_field", "schema is true; allowed: 1"),
        (b'{"type":"trade"}', "unknown_schema", "schema is missing; allowed: 1"),
        (_value(type="order"), "unknown_type", 'type is "order"; allowed: trade, cancel, heartbeat, price, gap'),
        (_value(type=["trade"]), "unknown_type", 'type is ["trade"]; allowed: trade, cancel'),
        (b'{"schema":1}', "unknown_type", "type is missing; allowed: trade, cancel"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_with_a_reason(value: bytes | None, reason: str, detail: str) -> None:
    refusal = _refusal(value)
    assert refusal.reason == reason
    assert detail in str(refusal)
    assert len(str(refusal)) < 500


@pytest.mark.parametrize(
    ("field", "written", "shown"),
    [
        ("symbol", '"btc usd"', '"btc usd"'),
        ("symbol", f'"{"A" * 33}"', f'"{"A" * 33}"'),
        ("symbol", "null", "null"),
        ("time_us", "0", "0"),
        ("time_us", str(TIME_MAX_US), str(TIME_MAX_US)),
        ("time_us", "1.5", "1.5"),
        ("time_us", "1" + "0" * 30, "1" + "0" * 30),
        ("time_us", '"2026-11-27"', '"2026-11-27"'),
        ("venue", '""', '""'),
        ("venue", f'"{"v" * 65}"', f'"{"v" * 65}"'),
        ("venue", r'"a\u0000"', r'"a\u0000"'),
        ("source", r'"a\nb"', r'"a\nb"'),
        ("trade_id", "7", "7"),
        ("trade_id", '""', '""'),
        ("trade_id", f'"{"1" * 201}"', f'"{"1" * 79}'),
        ("trade_id", r'"\u202e"', '"\ufffd"'),
        ("price", '"ten"', '"ten"'),
        ("price", '"NaN"', '"NaN"'),
        ("price", '"-Infinity"', '"-Infinity"'),
        ("price", "true", "true"),
        ("price", '"1e99999999999"', '"1E+99999999999"'),
        ("price", f'"{"1" * 39}"', f'"{"1" * 39}"'),
        ("price", "1e999", '"1E+999"'),
        ("size", "1e-31", '"1E-31"'),
        ("size", "null", "null"),
        ("side", '"left"', '"left"'),
        ("closing", '"no"', '"no"'),
        ("sequential", "1", "1"),
    ],
)
def test_a_wrong_field_is_told_with_its_value_and_what_is_allowed(field: str, written: str, shown: str) -> None:
    refusal = _refusal(_raw(field, written))
    assert refusal.reason == "invalid_field"
    assert str(refusal) == f"invalid_field: {field} is {shown}; allowed: {ALLOWED[field]}"


@pytest.mark.parametrize(
    ("changes", "told_of"),
    [
        ({"price": "-1"}, "price is -1; allowed: above 0, a number of at most 38 digits"),
        ({"price": "0.00"}, "price is 0; allowed: above 0"),
        ({"size": "-0.5"}, "size is -0.5; allowed: 0 and above"),
    ],
)
def test_a_trade_that_cannot_be_is_refused(changes: dict[str, object], told_of: str) -> None:
    refusal = _refusal(_value(**changes))
    assert refusal.reason == "invalid_field"
    assert told_of in str(refusal)


@pytest.mark.parametrize(
    ("content", "field", "value", "shown"),
    [
        (_ALL[1], "trade_id", None, "null"),
        (_ALL[1], "symbol", "?", '"?"'),
        (_ALL[2], "last_id", 12, "12"),
        (_ALL[2], "venue", "\x7f", '"\ufffd"'),
        (_ALL[3], "price", "x", '"x"'),
        (_ALL[3], "price", "1e31", '"1E+31"'),
        (_ALL[3], "provider", "", '""'),
        (_ALL[3], "currency", "\n", r'"\n"'),
        (_ALL[4], "to_us", 1, "1"),
        (_ALL[4], "from_us", 0, "0"),
        (_ALL[4], "missing", 0, "0"),
        (_ALL[4], "found_by", None, "null"),
        (_ALL[4], "filled", "yes", '"yes"'),
    ],
)
def test_wrong_fields_of_the_other_messages_are_told_too(content: Content, field: str, value: object, shown: str) -> None:
    written = msgspec.json.decode(encode(content)) | {field: value}
    refusal = _refusal(msgspec.json.encode(written))
    assert str(refusal) == f"invalid_field: {field} is {shown}; allowed: {ALLOWED[field]}"
    del written[field]
    if field not in {"currency", "last_id", "missing", "filled"}:
        assert f"{field} is missing; allowed: {ALLOWED[field]}" in str(_refusal(msgspec.json.encode(written)))


def test_a_price_of_nothing_is_refused() -> None:
    written = msgspec.json.decode(encode(_ALL[3])) | {"price": 0}
    assert "price is 0; allowed: above 0" in str(_refusal(msgspec.json.encode(written)))


def test_a_source_cannot_make_a_message_that_would_be_refused() -> None:
    with pytest.raises(ValueError, match='symbol is "a b"; allowed: 1 to 32 of'):
        HeartbeatMessage(schema=SCHEMA, symbol="a b", time_us=1, venue="V")


def test_every_field_says_what_is_allowed() -> None:
    """None is told without it."""
    fields = {name for each in _ALL for name in each.__struct_fields__}
    assert fields | {"type"} == set(ALLOWED)


@given(
    st.binary() | st.dictionaries(st.sampled_from([*ALLOWED, "x"]), st.none() | st.integers() | st.text() | st.lists(st.floats()))
)
def test_whatever_comes_is_read_or_refused(value: bytes | dict[str, object]) -> None:
    """With one line, of which nothing acts on a terminal."""
    try:
        decode(value if isinstance(value, bytes) else msgspec.json.encode({"schema": 1, "type": "trade"} | value))
    except MessageRefused as refusal:
        text = str(refusal)
        assert text.isprintable()


_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_headers_say_when_whence_and_in_which_trace() -> None:
    said = Told(_NOON_US, _NOON_US + 3, "coinbase", _TRACE)
    assert headers_of(said) == (
        ("event_time_us", str(_NOON_US).encode()),
        ("ingest_time_us", str(_NOON_US + 3).encode()),
        ("source", b"coinbase"),
        ("traceparent", _TRACE.encode()),
    )
    assert told(headers_of(said)) == said
    assert headers_of(Told()) == ()
    assert told(()) == Told()


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"x", b"\xff", b"1" * 40, "\u0661".encode()])
def test_a_header_that_is_none_is_as_none(value: bytes) -> None:
    """Headers decide nothing, so none of them makes a dead letter."""
    assert told((("event_time_us", value), ("other", b"1"), ("source", b"a\x00\xff"), ("source", b"second"))) == Told(
        source="a\ufffd\ufffd"
    )
