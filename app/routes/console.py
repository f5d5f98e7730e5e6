"""The console at /: one page and its files, from memory. Nothing is built and nothing comes from elsewhere."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.routes.assets import REVALIDATED, Asset

_FOLDER = Path(__file__).resolve().parent.parent / "console"
_PAGE = "index.html"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS = {
    "Cache-Control": REVALIDATED,
    "Content-Security-Policy": "; ".join(
        (
            *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"),
            *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
            *("require-trusted-types-for 'script'", "trusted-types 'none'"),
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What every file is sent with: no inline script or style, nothing from another origin, no text that becomes script."""


class ConsoleRoutes:
    """The endpoints; the files are read once."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._files = {
            path.name: Asset(path.read_bytes(), _MEDIA_TYPES[path.suffix], HEADERS)
            for path in sorted(folder.iterdir())
            if path.suffix in _MEDIA_TYPES
        }

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/", self._files[_PAGE].get), Route("/console/{name}", self.file)]

    async def file(self, request: Request) -> Response:
        """One of its files."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return await found.get(request)
