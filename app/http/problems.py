"""Errors as RFC 9457 ``application/problem+json``: one shape for the lane, the routes and what Starlette raises itself."""

from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.errors import Problem
from app.messages import body_of

MEDIA_TYPE = "application/problem+json"
_SHOWN_MAX = 100
_STATUS_SLUGS = {404: "not-found", 405: "method-not-allowed"}

_encoder = msgspec.json.Encoder()


def response_of(problem: Problem, request_id: str | None) -> Response:
    """The response of ``problem``."""
    return Response(
        _encoder.encode(body_of(problem, request_id)),
        status_code=problem.status,
        headers=dict(problem.headers),
        media_type=MEDIA_TYPE,
    )


def internal_error() -> Problem:
    """What a caller learns of a fault of ours: nothing but that it was one."""
    return Problem(500, "internal", "Internal error", "the server failed; the log has the details under this request id")


async def on_problem(request: Request, error: Exception) -> Response:
    """Starlette's handler for `Problem`."""
    assert isinstance(error, Problem)
    return response_of(error, request.scope["arrival"].request_id)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler for what its router raises: 404 and 405 (with Allow)."""
    assert isinstance(error, HTTPException)
    slug = _STATUS_SLUGS[error.status_code]
    path, method = request.scope["path"][:_SHOWN_MAX], request.scope["method"][:_SHOWN_MAX]
    detail = f"there is no {path}" if error.status_code == HTTPStatus.NOT_FOUND else f"{method} is not for {path}"
    problem = Problem(error.status_code, slug, error.detail, detail, headers=tuple((error.headers or {}).items()))
    return response_of(problem, request.scope["arrival"].request_id)


async def on_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for everything else; the error itself goes on to `app.http.edge`, which logs it."""
    del error
    return response_of(internal_error(), request.scope["arrival"].request_id)
