"""Market data: prices and trades, from the market store."""

from app.domain.intervals import INTERVALS
from app.market_payloads import CandlesResponse, TradesResponse
from app.routes import examples as shown
from app.routes.cursors import CURSOR_PATTERN
from app.routes.market import OFFSET_MAX, PAGE, PAGE_MAX
from app.routes.table.entry import SPELLED, Answer, Entry, Operation, Parameter, Schema
from app.routes.times import TIME_PATTERN, TIME_RULE

_TIME: Schema = {"type": "string", "pattern": TIME_PATTERN, "examples": ["2024-03-01", "2024-03-01T14:30:00Z", "1709303400"]}
_FLAG: Schema = {"type": "boolean", "default": False}

_SYMBOL = Parameter("symbol", "query", SPELLED, "In any usual spelling.", required=True)
_SPAN = (
    Parameter("start", "query", _TIME, f"Included: {TIME_RULE}. Without it the newest are wanted, in whatever order."),
    Parameter("end", "query", _TIME | {"examples": ["2024-03-02", "2024-03-02T21:00:00+01:00", "1709413200"]}, "Excluded."),
)
_LIMIT = Parameter(
    "limit", "query", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE}, "Rows on the page, at most."
)
_CURSOR = Parameter(
    "cursor",
    "query",
    {"type": "string", "pattern": CURSOR_PATTERN, "default": ""},
    "Empty, or `next_cursor` of the page before, beside the same parameters (`limit` may differ). Pages have every row once that"
    " was there at first, also while others are written.",
)
_ORDER = Parameter(
    "order", "query", {"type": "string", "enum": ["asc", "desc"], "default": "asc"}, "Oldest or newest first on a page."
)

MARKET: tuple[Entry, ...] = (
    Operation(
        name="candles",
        needs="market:read",
        method="GET",
        path="/candles",
        tag="market",
        summary="A symbol's bars",
        description="Bars that begin in a span, and the gaps of trades that touch them; an interval without a trade has no bar."
        " Bars of exchanges are of their sessions.",
        parameters=(
            _SYMBOL,
            Parameter("interval", "query", {"type": "string", "enum": [*INTERVALS], "default": "1m"}, "Length of a bar."),
            *_SPAN,
            _LIMIT,
            Parameter(
                "offset",
                "query",
                {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX, "default": 0},
                "Bars passed over. Those of sessions are read for it, hence the bound; farther goes `cursor`.",
            ),
            _CURSOR,
            _ORDER,
            Parameter("extended", "query", _FLAG, "Also bars before and after an exchange's sessions."),
            Parameter("complete_only", "query", _FLAG, "Only bars of which nothing is lacking."),
            Parameter(
                "tz",
                "query",
                {"type": "string", "default": "UTC"},
                "Whose days count, from 1d on, where the market never closes: as Europe/Berlin.",
            ),
        ),
        answers=(Answer(200, "The page.", CandlesResponse, shown.CANDLES),),
        problems=("invalid-request", "unknown-symbol", "market-unavailable", "store-unavailable"),
    ),
    Operation(
        name="trades",
        needs="market:read",
        method="GET",
        path="/trades",
        tag="market",
        summary="A symbol's trades",
        description="Trades of all venues in their order; none that was cancelled.",
        parameters=(_SYMBOL, *_SPAN, _LIMIT, _CURSOR, _ORDER),
        answers=(Answer(200, "The page.", TradesResponse, shown.TRADES),),
        problems=("invalid-request", "unknown-symbol", "market-unavailable", "store-unavailable"),
    ),
)
