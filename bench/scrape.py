"""What the server says of itself: ``/metrics`` of every replica, summed, and what changed between two looks."""

import http.client
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families

from bench.addresses import Address, HttpConnection
from bench.credentials import key_headers

_TIMEOUT_S = 10.0
A = TypeVar("A", bound=Address)
Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]


class ServerError(Exception):
    """The server does not say what the harness must know."""


class NotFoundError(ServerError):
    """The server has not what it was asked for."""


def get(address: Address, path: str, body: bytes | None = None) -> bytes:
    """The body of the answer to a GET (a POST of JSON, if there is a ``body``), which must be 200.

    Raises:
        ServerError: it did not.
    """
    method = "GET" if body is None else "POST"
    connection = HttpConnection(address, _TIMEOUT_S)
    try:
        connection.request(method, path, body, key_headers() | ({"Content-Type": "application/json"} if body else {}))
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"{method} {address.url(path)}: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if response.status == http.HTTPStatus.NOT_FOUND:
        raise NotFoundError(f"{method} {address.url(path)} answered 404")
    if response.status != http.HTTPStatus.OK:
        raise ServerError(f"{method} {address.url(path)} answered {response.status}: {answer[:200]!r}")
    return answer


def get_json(address: Address, path: str) -> dict[str, object]:
    """The same, decoded."""
    found = json.loads(get(address, path))
    if not isinstance(found, dict):
        raise ServerError(f"{path} is no JSON object")
    return found


def symbols(address: Address) -> list[str]:
    """The whole universe, page by page."""
    found: list[str] = []
    after = ""
    while True:
        page = get_json(address, f"/symbols?limit=1000{after}")
        names = page["symbols"]
        assert isinstance(names, list)
        found += names
        if page["next_after"] is None:
            return found
        after = f"&after={page['next_after']}"


def closes(address: Address, names: Iterable[str]) -> dict[str, float]:
    """The last close of each symbol that has any."""
    found = {}
    for name in names:
        try:
            history = get_json(address, f"/history/{quote(name, safe='')}")
        except NotFoundError:
            continue
        assert isinstance(history["closes"], list)
        found[name] = float(history["closes"][-1])
    return found


def samples(text: str) -> Samples:
    """Every sample of an exposition by name and labels."""
    families = text_string_to_metric_families(text)
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples}


def look(addresses: Sequence[A]) -> dict[A, Samples]:
    """The metrics of every replica."""
    return {address: samples(get(address, "/metrics").decode("utf-8")) for address in addresses}


def change(before: Mapping[A, Samples], after: Mapping[A, Samples]) -> Samples:
    """By how much counters grew, over all replicas. One that is lower than before was started anew, and counts from nothing."""
    total: Samples = {}
    for address, now in after.items():
        then = before.get(address, {})
        for key, value in now.items():
            grown = value - then.get(key, 0.0)
            total[key] = total.get(key, 0.0) + (grown if grown >= 0 else value)
    return total


def total(grown: Samples, name: str, **labels: str) -> float:
    """The sum of a counter's series that have these labels."""
    wanted = set(labels.items())
    return sum(value for (each, found), value in grown.items() if each == name and wanted <= set(found))


def hit_rate(grown: Samples) -> float | None:
    """L1's: hits and known unknowns over all that was asked of it; None if nothing was."""
    results = {
        result: total(grown, "decide_cache_gets_total", tier="l1", result=result) for result in ("hit", "negative", "miss")
    }
    asked = sum(results.values())
    return (results["hit"] + results["negative"]) / asked if asked else None


def server_errors(grown: Samples) -> int:
    """Requests that the server answered with 5xx by its own count, but for the probes, whose 503 is an answer."""
    return round(
        sum(
            value
            for (name, labels), value in grown.items()
            if name == "decide_request_duration_seconds_count"
            and dict(labels)["status"].startswith("5")
            and dict(labels)["route"] not in ("/readyz", "/livez")
        )
    )


def memory_bytes(now: Mapping[A, Samples]) -> float | None:
    """Resident memory of the largest worker, where the server tells."""
    found = [
        each[("process_resident_memory_bytes", ())] for each in now.values() if ("process_resident_memory_bytes", ()) in each
    ]
    return max(found, default=None)
