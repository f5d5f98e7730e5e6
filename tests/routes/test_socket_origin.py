"""Which pages may open a websocket."""

import pytest

from app.routes.socket import is_own_origin


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        (b"http://decide.test:8000", b"decide.test:8000", True),
        (b"https://Decide.Test", b"decide.test", True),
        (b"http://decide.test", b"decide.test:80", True),
        (b"https://decide.test:443", b"decide.test", True),
        (b"http://decide.test:8001", b"decide.test:8000", False),
        (b"http://evil.test", b"decide.test", False),
        (b"http://decide.test.evil.test", b"decide.test", False),
        (b"http://decide.test@evil.test", b"decide.test", False),
        (b"null", b"decide.test", False),
        (b"file://", b"", False),
        (b"http://[", b"decide.test", False),
        (b"http://d\xff.test", b"d\xff.test", False),
    ],
)
def test_only_pages_of_the_server_itself_may_open_a_socket(origin: bytes, host: bytes, own: bool) -> None:  # noqa: FBT001
    assert is_own_origin(origin, host) is own
