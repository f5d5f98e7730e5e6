"""What every answer carries for whoever shows it, and what is said of the server: nothing."""

from app.errors import Header

SERVER = (b"server", b"")
"""Granian names itself where the application does not."""
NOSNIFF = (b"x-content-type-options", b"nosniff")
OF_ALL = (
    SERVER,
    NOSNIFF,
    # Whatever an answer is taken for, it runs nothing, loads nothing and stands in nobody's frame.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


def secured(headers: list[Header]) -> list[Header]:
    """``headers`` with those of security; what an answer says for itself, as a page does, stands."""
    own = {name.lower() for name, _ in headers}
    return [*headers, *(each for each in OF_ALL if each[0] not in own)]
