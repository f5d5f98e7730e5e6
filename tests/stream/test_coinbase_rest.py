"""What REST's answers mean."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.kit.coinbase import Exchange
from warm.stream.sources.coinbase_rest import Rest, RestError, retry_after_s

_NOW = datetime(2023, 11, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0), (" 0 ", 0.0), ("1.5", 1.5), ("86400", 3_600.0), ("Wed, 15 Nov 2023 12:00:10 GMT", 10.0),
        ("Wed, 15 Nov 2023 11:59:00 GMT", 0.0), ("Thu, 16 Nov 2023 12:00:00 GMT", 3_600.0),
        ("Wed, 15 Nov 2023 12:00:10 -0000", 10.0), ("", None), (None, None), ("-3", None), ("soon", None), ("１", None),
    ],
)  # fmt: skip
def test_a_retry_after_is_understood_in_all_its_forms(text: str | None, seconds: float | None) -> None:
    assert retry_after_s(text, _NOW) == seconds


def test_pages_go_down_by_the_cursor_of_older_ones() -> None:
    statuses = Counter[int]()
    with Exchange("BTC-USD", page_max=4) as exchange:
        for number in range(10):
            exchange.trade("BTC-USD", number, "1", "1")
        rest, pages, after = Rest(f"{exchange.rest_url}/", statuses), [], 11
        while (page := rest.page("BTC-USD", after)).older is not None:
            pages.append([each["trade_id"] for each in page.trades])
            after = page.older
        assert pages == [[10, 9, 8, 7], [6, 5, 4, 3], [2, 1]]
        assert exchange.asked[0] == "/products/BTC-USD/trades?limit=1000&after=11"
        with pytest.raises(RestError, match="404"):
            rest.page("X/Y", 1)
    assert statuses == {200: 4, 404: 1}
    with pytest.raises(RestError) as away:
        rest.page("BTC-USD", 1)
    assert (away.value.status, statuses[0]) == (0, 1)
