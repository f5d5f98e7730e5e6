"""The document's bounds of requests are the server's own: what its schemas take the server takes, and nothing else."""

import json
from collections.abc import Iterator

import jsonschema_rs
import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.answering.decider import canonical
from app.errors import Problem
from app.http.decoding import StrictDecoder
from app.payloads import DecideRequest
from app.routes.openapi import make_document
from app.routes.table.entries import OPERATIONS
from app.routes.table.entry import SPELLED_PATTERN
from tests.kit.serving import Served

_BATCH_MAX = 3
_DOCUMENT = json.loads(msgspec.json.encode(make_document(OPERATIONS, batch_max=_BATCH_MAX)))


def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": _DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


_DECIDE, _BATCH = _validator("DecideRequest"), _validator("BatchRequest")
_SPELLED = jsonschema_rs.Draft202012Validator(_DOCUMENT["paths"]["/features/{symbol}"]["get"]["parameters"][0]["schema"])

# Near the edges: letters that may stand anywhere, some that may not at the beginning, some whose capitals are ASCII, line ends.
_symbols = (
    st.sampled_from(
        ["AAPL", "brk-b", "btc/usdt", "X:BTC_USD", "doge_usd_doge", "A" * 32, "A" * 33, "", "AAPL\n", "Kelvin \u212a"]
    )
    | st.from_regex(SPELLED_PATTERN, fullmatch=True)
    | st.text(alphabet="aZ09^._:/=-?\n ſıßé", max_size=34)
    | st.text(max_size=40)
)
_wrong: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3) | st.just([]) | st.just({})
)
_numbers = (
    st.sampled_from([0, 0.0, -0.0, 1e-300, 1, 60_000, 60_001, 1e10, 1.1e10, 1e12, 1.1e12, -1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | _wrong
)
_options = {"max_age_s": _numbers, "explain": st.booleans() | _wrong, "deadline_ms": _numbers}
_requests = st.fixed_dictionaries({}, optional={"symbol": _symbols | _wrong, "price": _numbers, **_options, "other": _wrong})
_batches = st.fixed_dictionaries(
    {},
    optional={
        "symbols": st.lists(_symbols, max_size=_BATCH_MAX + 1) | _wrong,
        "requests": st.lists(_requests | st.fixed_dictionaries({"symbol": _symbols}), max_size=_BATCH_MAX + 1) | _wrong,
        **_options,
        "other": _wrong,
    },
)


_decode = StrictDecoder(DecideRequest).decode


def _is_symbol(text: str) -> bool:
    try:
        canonical(text)
    except Problem:
        return False
    return True


@given(_symbols)
@settings(max_examples=1000)
def test_the_pattern_of_symbols_takes_what_the_server_takes(text: str) -> None:
    assert _SPELLED.is_valid(text) == _is_symbol(text)


@given(_requests)
@settings(max_examples=1000)
def test_a_decisions_schema_takes_what_the_server_takes(body: dict[str, object]) -> None:
    try:
        accepted = _is_symbol(_decode(json.dumps(body).encode()).symbol)
    except Problem:
        accepted = False
    assert _DECIDE.is_valid(body) == accepted


@pytest.fixture(scope="module")
def small() -> Iterator[Served]:
    """A server that takes small batches."""
    with Served(batch_max=_BATCH_MAX) as running:
        yield running


@given(body=_batches)
@settings(max_examples=500)
def test_a_batchs_schema_takes_what_the_server_takes(small: Served, body: dict[str, object]) -> None:
    """Its two forms, their sizes, and where options may stand; a symbol's letters are no matter of the batch."""
    assume(body)
    answer = small.post("/decide/batch", body)
    assert answer.status_code in (200, 422)
    assert _BATCH.is_valid(body) == (answer.status_code == 200), answer.text
