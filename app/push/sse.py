"""Server-sent events, as the HTML standard has them (9.2): their framing, and what such an answer is sent with."""

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nobody on the way may keep it or collect it (the second is nginx's own)."""
HEARTBEAT = b":\n\n"
"""A comment, which clients pass over."""


def frame(data: bytes, event: str | None = None, event_id: str | None = None) -> bytes:
    """One event. ``data`` is a single line, as JSON without line breaks is; the others have none either."""
    head = b"" if event is None else b"event: %b\n" % event.encode()
    if event_id is not None:
        head += b"id: %b\n" % event_id.encode()
    return b"%bdata: %b\n\n" % (head, data)
