"""What is loaded."""

from app.domain.vector import SYMBOL_RULE
from app.market_payloads import LatestPrice, LatestPrices
from app.payloads import FeaturesResponse, HistoryResponse, SymbolsResponse
from app.routes import examples as shown
from app.routes.features import DETAILS_MAX
from app.routes.table.entry import NAMED_SYMBOL, SPELLED, Answer, Entry, Link, Operation, Parameter

_FIRST_SYMBOL = "$response.body#/symbols/0"

DATA: tuple[Entry, ...] = (
    Operation(
        name="features",
        needs="read",
        method="GET",
        path="/features/{symbol:any}",
        tag="data",
        summary="A symbol's vector",
        description="The price features after the last complete bar, and the agents' as they are now.",
        parameters=(Parameter("symbol", "path", SPELLED, f"In any usual spelling: {SYMBOL_RULE}; small letters too."),),
        answers=(
            Answer(
                200,
                "The vector.",
                FeaturesResponse,
                shown.FEATURES,
                ("Cache-Status",),
                links=(Link("decide", "A decision on it.", body={"symbol": NAMED_SYMBOL}),),
            ),
        ),
        problems=("invalid-request", "unknown-symbol"),
    ),
    Operation(
        name="symbols",
        needs="read",
        method="GET",
        path="/symbols",
        tag="data",
        summary="The loaded universe",
        description="A page of it, in alphabetical order. The next page is the one after `next_after`.",
        parameters=(
            Parameter(
                "limit", "query", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000}, "Symbols on the page."
            ),
            Parameter("after", "query", {"type": "string", "default": ""}, "The page begins behind this symbol."),
            Parameter(
                "details",
                "query",
                {"type": "boolean", "default": False},
                f"Also the market store's symbols, and what it says of each; {DETAILS_MAX} a page at most.",
            ),
        ),
        answers=(
            Answer(
                200,
                "The page.",
                SymbolsResponse,
                shown.SYMBOLS,
                links=(
                    Link("features", "The vector of the first symbol.", {"symbol": _FIRST_SYMBOL}),
                    Link("decide", "A decision on the first symbol.", body={"symbol": _FIRST_SYMBOL}),
                    Link("symbols", "The page behind the first symbol.", {"after": _FIRST_SYMBOL}),
                ),
            ),
        ),
        problems=("invalid-request", "store-unavailable", "market-unavailable"),
    ),
    Operation(
        name="latestPrice",
        cost="counted",
        queue=None,
        needs="market:read",
        method="GET",
        path="/price/latest",
        tag="data",
        summary="Latest prices",
        description=(
            "A symbol's last trade, or its last close where that is newer: from memory, as a decision. Ask for one `symbol`, or "
            "for several `symbols`, up to `BATCH_MAX`: then there is an element for each, in order, and one that is wrong, "
            "unknown or without a price is a problem in its place. While L2 is away the answer is the last price known, `stale`, "
            "with the reason."
        ),
        parameters=(
            Parameter("symbol", "query", SPELLED, f"In any usual spelling: {SYMBOL_RULE}; small letters too."),
            Parameter(
                "symbols",
                "query",
                {"type": "string", "minLength": 1},
                "By commas, as in `AAPL,btc-usd`; in place of `symbol`.",
            ),
        ),
        answers=(Answer(200, "The price, or several.", (LatestPrice, LatestPrices), shown.LATEST_PRICES, ("Server-Timing",)),),
        problems=("invalid-request", "unknown-symbol", "price-missing", "store-unavailable"),
    ),
    Operation(
        name="history",
        needs="read",
        method="GET",
        path="/history/{symbol:any}",
        tag="data",
        summary="A symbol's last closes",
        description="The closes that its price record was made of, 120 at most.",
        parameters=(Parameter("symbol", "path", SPELLED, f"In any usual spelling: {SYMBOL_RULE}; small letters too."),),
        answers=(Answer(200, "The closes, oldest first.", HistoryResponse, shown.HISTORY),),
        problems=("invalid-request", "unknown-symbol", "history-missing", "store-unavailable"),
    ),
)
