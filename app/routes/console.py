"""The console at /: one page and its files, from memory. Nothing is built and nothing comes from elsewhere."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_FOLDER = Path(__file__).resolve().parent.parent / "console"
_PAGE = "index.html"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS = {
    "Cache-Control": "no-cache",
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

_tags = re.compile(r'(?:W/)?("[^"]*")').findall


class _File(NamedTuple):
    content: bytes
    headers: Mapping[str, str]


class ConsoleRoutes:
    """The endpoints; the files are read once."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._files = {path.name: _read(path) for path in sorted(folder.iterdir()) if path.suffix in _MEDIA_TYPES}

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/", self.page), Route("/console/{name}", self.file)]

    async def page(self, request: Request) -> Response:
        """The page itself."""
        return self._answer(_PAGE, request)

    async def file(self, request: Request) -> Response:
        """One of its files."""
        return self._answer(request.path_params["name"], request)

    def _answer(self, name: str, request: Request) -> Response:
        found = self._files.get(name)
        if found is None:
            raise HTTPException(404)
        if found.headers["ETag"] in _tags(request.headers.get("If-None-Match", "")):
            return Response(status_code=304, headers=found.headers)
        return Response(found.content, headers=found.headers)


def _read(path: Path) -> _File:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return _File(content, {**HEADERS, "ETag": tag, "Content-Type": _MEDIA_TYPES[path.suffix]})
