"""Trades of Coinbase Exchange that were made before: its REST, a page a call, newest first."""

import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from app.errors import DecideError
from app.version import VERSION
from warm.files.trades.messages import decoded

PAGE_MAX = 1_000
"""Trades of one page, which is the most that it gives."""
RETRY_AFTER_MAX_S = 3_600.0
_ANSWER_BYTES_MAX = 4 * 1024**2
_is_seconds = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII).fullmatch


class RestError(DecideError):
    """It gave no page. ``status``: of its answer, 0 where there was none; ``retry_after_s``: for how long it wants to be left
    alone.
    """

    def __init__(self, status: int, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.status, self.retry_after_s = status, retry_after_s


class Page(NamedTuple):
    """Trades as it writes them, and the cursor of older ones; None: it named none."""

    trades: list[dict[str, Any]]
    older: int | None


class Rest:
    """At ``url``. ``statuses`` counts its answers by their status, and as 0 what was none. ``now`` is for times at which it wants
    to be asked again.
    """

    def __init__(
        self,
        url: str,
        statuses: Counter[int],
        *,
        timeout_s: float = 5.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url, self._statuses, self._timeout_s, self._now = url.rstrip("/"), statuses, timeout_s, now

    def page(self, product: str, after: int) -> Page:
        """Trades of ``product`` with ids below ``after``.

        Raises:
            RestError: no page of trades came.
        """
        query = urllib.parse.urlencode({"limit": PAGE_MAX, "after": after})
        address = f"{self._url}/products/{urllib.parse.quote(product, safe='')}/trades?{query}"
        asked = urllib.request.Request(address, headers={"User-Agent": f"decide/{VERSION}", "Accept": "application/json"})  # noqa: S310 - a setting
        try:
            with urllib.request.urlopen(asked, timeout=self._timeout_s) as answer:  # noqa: S310 - as above
                body, older = answer.read(_ANSWER_BYTES_MAX + 1), answer.headers.get("CB-AFTER", "")
                status = answer.status
        except urllib.error.HTTPError as error:
            with error:
                self._statuses[error.code] += 1
                after_s = retry_after_s(error.headers.get("Retry-After"), self._now())
                raise RestError(error.code, f"{error.code} {error.reason}", after_s) from error
        except (OSError, http.client.HTTPException) as error:
            self._statuses[0] += 1
            raise RestError(0, str(error) or type(error).__name__) from error
        self._statuses[status] += 1
        return Page(_trades(body, status), int(older) if older.isascii() and older.isdigit() else None)


def _trades(body: bytes, status: int) -> list[dict[str, Any]]:
    try:
        found = decoded(body) if len(body) <= _ANSWER_BYTES_MAX else None
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise RestError(status, f"its answer of {len(body)} bytes is no page of trades")
    return found


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """For how many seconds a Retry-After of seconds, or of a date, wants nothing to be asked: an hour at most. None of none, and
    of one that cannot be read.
    """
    text = (text or "").strip()
    if _is_seconds(text):
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(0.0, (until - now).total_seconds()), RETRY_AFTER_MAX_S)
