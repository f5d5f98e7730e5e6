"""The one table of routes. A new route is an entry here, a handler in `app.main` and a payload.

From the table come Starlette's routes, what callers are asked for (`app.http.rules`), the OpenAPI document
(`app.routes.openapi`), what is traced, and the classes of the SLO.
"""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import BaseRoute, Route, WebSocketRoute

from app.routes.table.data import DATA
from app.routes.table.decisions import DECISIONS
from app.routes.table.entry import Entry, Operation
from app.routes.table.market import MARKET
from app.routes.table.server import SERVER

ENTRIES: tuple[Entry, ...] = (*DECISIONS, *DATA, *MARKET, *SERVER)
OPERATIONS = tuple(each for each in ENTRIES if isinstance(each, Operation))
PAGES = frozenset(each.name for each in ENTRIES if not isinstance(each, Operation))

CLASSES = {each.path: each.tag for each in ENTRIES}
"""The class of the SLO that requests count to, by path."""
LASTING = frozenset(each.path for each in ENTRIES if each.lasting)
WATCHED = frozenset(each.path for each in ENTRIES if each.queue in ("probe", "metrics"))
"""What machines ask every few seconds, and want no trace of."""


class _AnyText(PathConvertor):
    """The rest of a path, whatever it is: Starlette's own stops at a line's end, so that ``AAPL%0A`` would be AAPL."""

    regex = "(?s:.*)"


register_url_convertor("any", _AnyText())


def routes_of(handlers: Mapping[str, Callable[..., Any]]) -> list[BaseRoute]:
    """Starlette's, of entries whose name has a handler. All but pages must have one.

    Raises:
        KeyError: one has none.
    """
    return [
        WebSocketRoute(each.path, handlers[each.name])
        if each.method == "WEBSOCKET"
        else Route(each.path, handlers[each.name], methods=[each.method])
        for each in ENTRIES
        if each.name in handlers or each.name not in PAGES
    ]
