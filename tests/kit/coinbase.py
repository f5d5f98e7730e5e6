"""Coinbase Exchange, as far as its public trades go: its WebSocket and its REST in their dialect, with faults by script.

A test makes each trade, and says what becomes of it on the WebSocket; REST has all. Its clock is the trades'.
"""

import contextlib
import json
import threading
from collections import defaultdict, deque
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.kit.servers import until

HEARTBEAT_S = 0.05
"""In place of each second."""
NOON = datetime(2023, 11, 15, 12, tzinfo=UTC)
_CHANNELS = ("matches", "heartbeat", "ticker")
_MAKER, _TAKER = "ac928c66-ca53-498f-9c13-a110027a60e8", "132fb6ae-456b-4654-b4e0-d681ac05cea1"
_OPENING_S = 10.0

Way = Literal["once", "twice", "never", "held"]
"""What becomes of a trade's messages: ``held`` ones come behind the next that are not."""


class Exchange:
    """Of ``products``, whose trades count from 1. ``page_max``: trades of a page."""

    def __init__(self, *products: str, page_max: int = 1_000) -> None:
        self.products, self.page_max = products, page_max
        self.trades: dict[str, list[dict[str, Any]]] = {each: [] for each in products}
        self.asked: list[str] = []
        self.answers: deque[tuple[int, dict[str, str], bytes]] = deque()
        """Of REST, before it answers as it should."""
        self.lost: set[tuple[str, int]] = set()
        """Trades that REST does not have."""
        self.errors = 0
        """Subscriptions that are refused yet."""
        self.is_silent = self.is_unplugged = self.is_stuck = False
        """No message goes out; nobody gets in; handshakes are not answered."""
        self.counts_zero = False
        """Heartbeats say 0, as they did for months."""
        self.subscribed = 0
        self._held: list[dict[str, Any]] = []
        self._connections: list[ServerConnection] = []
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._websocket = serve(self._serve, "127.0.0.1", 0, process_request=self._admit)
        self._rest = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.websocket_url = f"ws://127.0.0.1:{self._websocket.socket.getsockname()[1]}"
        self.rest_url = f"http://127.0.0.1:{self._rest.server_address[1]}"
        self._threads = [
            threading.Thread(target=each, daemon=True)
            for each in (self._websocket.serve_forever, self._rest.serve_forever, self._beat)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._websocket.shutdown()
        self._rest.shutdown()
        self._rest.server_close()
        for thread in self._threads:
            thread.join(_OPENING_S)

    def trade(self, product: str, second: float, price: str, size: str, side: str = "buy", *, way: Way = "once") -> int:
        """Have one made, so long after noon; its id. ``side`` is the maker's."""
        with self._lock:
            made = self.trades[product]
            number, at = len(made) + 1, NOON + timedelta(seconds=second)
            time = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
            made.append({"trade_id": number, "side": side, "size": size, "price": price, "time": time})
            said = [self._match("match", product, made[-1]), self._ticker(product, made[-1])]
            if way == "held":
                self._held += said[:1]
            elif way != "never":
                behind, self._held = self._held, []
                self.say(*said[: 2 if way == "once" else 1], *(said[:1] if way == "twice" else ()), *behind)
        return number

    def say(self, *messages: dict[str, Any] | str | bytes) -> None:
        """Send to all who listen."""
        with self._lock:
            for connection in () if self.is_silent else list(self._connections):
                with contextlib.suppress(ConnectionClosed):
                    for each in messages:
                        connection.send(json.dumps(each) if isinstance(each, dict) else each)

    def hang_up(self) -> None:
        """End all connections, without a word; once there is one."""
        until(lambda: bool(self._connections), _OPENING_S, "somebody has subscribed", every_s=0.005)
        with self._lock:
            for each in self._connections:
                each.close_socket()
            self._connections.clear()

    def _admit(self, connection: ServerConnection, _: Request) -> Response | None:
        while self.is_stuck and not self._ended.wait(HEARTBEAT_S):
            pass
        return connection.respond(503, "away\n") if self.is_unplugged else None

    def _serve(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            asked = json.loads(connection.recv(5))
            assert asked["type"] == "subscribe", asked
            wrong = [each for each in asked["product_ids"] if each not in self.products]
            if wrong or self.errors:
                self.errors = max(0, self.errors - 1)
                reason = f"{(wrong or asked['product_ids'])[0]} is not a valid product"
                connection.send(json.dumps({"type": "error", "message": "Failed to subscribe", "reason": reason}))
                return
            channels = [
                {"name": each, "product_ids": asked["product_ids"], "account_ids": None}
                for each in asked["channels"]
                if each in _CHANNELS
            ]
            with self._lock:
                self.subscribed += 1
                if not self.is_silent:
                    connection.send(json.dumps({"type": "subscriptions", "channels": channels}))
                    for product in asked["product_ids"]:
                        if self.trades[product]:
                            connection.send(json.dumps(self._match("last_match", product, self.trades[product][-1])))
                self._connections.append(connection)
            while True:
                connection.recv()

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            self.heartbeat()

    def heartbeat(self) -> None:
        """Of each product, at the time of its last trade."""
        with self._lock:
            for product, made in self.trades.items():
                none: dict[str, Any] = {"trade_id": 0, "time": NOON.isoformat(timespec="microseconds")}
                last = made[-1] if made else none
                number = 0 if self.counts_zero else last["trade_id"]
                told = {"last_trade_id": number, "product_id": product, "sequence": last["trade_id"] * 7, "time": last["time"]}
                self.say({"type": "heartbeat", **told})

    @staticmethod
    def _match(kind: str, product: str, trade: dict[str, Any]) -> dict[str, Any]:
        orders = {"maker_order_id": _MAKER, "taker_order_id": _TAKER}
        return {"type": kind, **orders, **trade, "product_id": product, "sequence": trade["trade_id"] * 7}

    @staticmethod
    def _ticker(product: str, trade: dict[str, Any]) -> dict[str, Any]:
        taker = {"buy": "sell", "sell": "buy"}[trade["side"]]
        best = {"best_bid": trade["price"], "best_bid_size": "1.5", "best_ask": trade["price"], "best_ask_size": "0.25"}
        day = {"open_24h": "100", "volume_24h": "8344.15909011", "low_24h": "1", "high_24h": "999", "volume_30d": "220137.6"}
        last = {"trade_id": trade["trade_id"], "last_size": trade["size"], "time": trade["time"], "side": taker}
        said = {"type": "ticker", "sequence": trade["trade_id"] * 7, "product_id": product, "price": trade["price"]}
        return {**said, **best, **day, **last}

    def page(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """What REST answers: newest first, the cursors of newer and older ones in headers."""
        with self._lock:
            self.asked.append(path)
            if self.answers:
                return self.answers.popleft()
            if self.is_unplugged:
                return 503, {}, b"{}"
            parts, query = urlsplit(path), defaultdict(lambda: [""], parse_qs(urlsplit(path).query))
            product = parts.path.removeprefix("/products/").removesuffix("/trades")
            if product not in self.products:
                return 404, {}, b'{"message":"NotFound"}'
            before, after = (int(query[each][0] or 0) for each in ("before", "after"))
            found = [
                each
                for each in reversed(self.trades[product])
                if before < each["trade_id"] < (after or 10**18) and (product, each["trade_id"]) not in self.lost
            ][: min(self.page_max, int(query["limit"][0] or 1_000))]
            ids = [str(each["trade_id"]) for each in found]
            return 200, {"CB-BEFORE": ids[0], "CB-AFTER": ids[-1]} if ids else {}, json.dumps(found).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self.page

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = page(self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler
