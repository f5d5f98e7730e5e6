"""What never changes while the server runs, served from memory: with an ETag, and 304 to whoever has it already."""

import hashlib
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

REVALIDATED = "no-cache"
"""May be kept, and is asked for each time; the answer is then 304, mostly."""


class Asset:
    """One such thing."""

    def __init__(self, body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> None:
        self.body = body
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        self._media_type = media_type
        self._headers = {"Cache-Control": REVALIDATED, **(headers or {}), "ETag": self.etag}

    async def get(self, request: Request) -> Response:
        """200 with it, or 304 if the caller says that it has it."""
        if self._is_held(request.headers.getlist("if-none-match")):
            return Response(status_code=304, headers=self._headers)
        return Response(self.body, headers=self._headers, media_type=self._media_type)

    def _is_held(self, fields: list[str]) -> bool:
        """Weak comparison, as RFC 9110 asks of If-None-Match."""
        tags = [tag.strip().removeprefix("W/") for field in fields for tag in field.split(",")]
        return self.etag in tags or tags == ["*"]


class Page:
    """A page, and the ``files`` beside it by name."""

    def __init__(self, page: Asset, files: Mapping[str, Asset]) -> None:
        self.page = page.get
        self._files = files

    async def file(self, request: Request) -> Response:
        """One of its files.

        Raises:
            HTTPException: 404, it has none of this name.
        """
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return await found.get(request)
