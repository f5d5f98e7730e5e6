"""Which partition a key's messages are in: Kafka's own choice."""

import pytest

from warm.stream.log import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_are_hashed_as_kafka_does(key: bytes, hashed: int) -> None:
    """The values are those of its own tests."""
    assert murmur2(key) == hashed % 2**32


def test_a_key_stays_in_its_partition() -> None:
    """In the log of an earlier version too; without a key it is the first one."""
    keys = [b"AAPL", b"GOOGL", b"MSFT", b"TSLA", b"AMZN", b"BTC-USD", b"", None]
    assert [partition_of(key, 4) for key in keys] == [each % 4 for each in (_positive(key) for key in keys)]
    assert partition_of(None, 4) == 0
    assert [partition_of(key, 1) for key in keys] == [0] * len(keys)


def _positive(key: bytes | None) -> int:
    return 0 if key is None else murmur2(key) % 2**31
