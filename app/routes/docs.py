"""GET /docs: Swagger UI on /openapi.json, offline. GET /redoc leads there.

Swagger UI's files are kept in ``docs/swagger-ui`` as it publishes them, with its version and licence; `just swagger-ui` brings
newer ones. They are read once, and served from memory. The page is ours, without inline scripts, so that a strict content
security policy holds.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from app.routes.assets import Asset, Page

PATH = "/docs"
_OURS = Path(__file__).resolve().parent.parent / "docs"
_THEIRS = _OURS / "swagger-ui"
# Swagger UI's style sheet draws its arrows with data URLs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SCRIPT, _STYLE = "text/javascript", "text/css"


async def to_docs(_: Request) -> Response:
    """For those who look for the page where other servers have one: its address is relative, for those behind a path prefix."""
    return Response(status_code=307, headers={"Location": PATH.removeprefix("/"), "Cache-Control": "no-cache"})


def docs_page() -> Page:
    """The page, and what it loads."""
    page = Asset((_OURS / "index.html").read_bytes(), "text/html", {"Content-Security-Policy": POLICY})
    files = {
        "docs.js": Asset((_OURS / "docs.js").read_bytes(), _SCRIPT),
        "docs.css": Asset((_OURS / "docs.css").read_bytes(), _STYLE),
        "swagger-ui-bundle.js": Asset((_THEIRS / "swagger-ui-bundle.js").read_bytes(), _SCRIPT),
        "swagger-ui.css": Asset((_THEIRS / "swagger-ui.css").read_bytes(), _STYLE),
        "favicon.png": Asset((_THEIRS / "favicon-32x32.png").read_bytes(), "image/png"),
    }
    return Page(page, files)
