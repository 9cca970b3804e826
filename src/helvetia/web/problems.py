"""Every error as a problem document (RFC 9457), or as a page with the same code where a browser asked for a page.

An expected condition keeps its own code and figures; anything unexpected is a plain 500 whose cause is only in our log,
under the request id that the answer carries.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from helvetia.kernel.errors import HelvetiaError, Invalid, NotSignedIn
from helvetia.web.api.schemas.wire import to_wire_instant
from helvetia.web.dashboard.error_view import to_error_view
from helvetia.web.dashboard.render import Renderer
from helvetia.web.middleware.authenticate import ORGANIZATION_PARAMETER

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
_FIELDS_NAMED_MAX = 20
_API_PREFIXES = ("/api/", "/healthz", "/readyz", "/metrics")
HTTP_WORDS = {
    HTTPStatus.BAD_REQUEST: ("malformed_request", "The request could not be read."),
    HTTPStatus.NOT_FOUND: ("page_not_found", "There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "This address does not take this method."),
}


class ValidationFailed(Invalid):
    """The request does not fit what this address takes."""

    code = "validation_failed"


class Unexpected(HelvetiaError):
    """Something went wrong on our side. We keep a record of it under the request id."""

    code = "unexpected"
    status = 500


def request_id_of(request: Request) -> str:
    """The id that the request got on its way in; empty outside the application."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def to_wire_figure(value: object) -> Any:
    """A figure of an error as JSON: decimals as strings, instants in UTC with a Z."""
    if isinstance(value, Enum):
        return to_wire_figure(value.value)
    if isinstance(value, datetime):
        return to_wire_instant(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {to_camel(str(key)): to_wire_figure(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [to_wire_figure(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def problem_response(request: Request, error: HelvetiaError) -> Response:
    """The answer to an expected condition."""
    headers = problem_headers(error)
    if _wants_page(request):
        return _page_response(request, error, headers)
    return JSONResponse(to_problem(error, request_id_of(request)), error.status, headers, MEDIA_TYPE)


def to_problem(error: HelvetiaError, request_id: str) -> dict[str, Any]:
    """The document: what every problem has, and the figures that explain this one."""
    document = {
        "type": f"urn:helvetia:problem:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "requestId": request_id,
    }
    figures = {to_camel(key): to_wire_figure(value) for key, value in error.figures.items()}
    return {**figures, **document}


def add_problem_handlers(app: FastAPI) -> None:
    """Let every exception that a route or the router raises end as a problem."""
    app.add_exception_handler(HelvetiaError, _on_expected)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_expected(request: Request, error: Exception) -> Response:
    if not isinstance(error, HelvetiaError):
        raise error
    return problem_response(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return problem_response(request, ValidationFailed(errors=_fields(error.errors())))


async def _on_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code, detail = HTTP_WORDS.get(HTTPStatus(error.status_code), ("refused", str(error.detail)))
    expected = HelvetiaError(detail)
    expected.code, expected.status = code, error.status_code
    response = problem_response(request, expected)
    response.headers.update(error.headers or {})
    return response


def _fields(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Where and what, without echoing the values that were sent."""
    return [
        {"field": ".".join(str(part) for part in error["loc"])[:200], "message": str(error["msg"])[:300]}
        for error in errors[:_FIELDS_NAMED_MAX]
    ]


def problem_headers(error: HelvetiaError) -> dict[str, str]:
    """When to try again, and how to authenticate."""
    headers = {}
    if "retry_after_s" in error.figures:
        headers["Retry-After"] = str(error.figures["retry_after_s"])
    elif error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def _wants_page(request: Request) -> bool:
    path = request.url.path
    wants = "text/html" in request.headers.get("accept", "") or request.headers.get("hx-request") == "true"
    return wants and not path.startswith(_API_PREFIXES)


def _page_response(request: Request, error: HelvetiaError, headers: dict[str, str]) -> Response:
    """The page of an error, or only its content where a page that is already open asked for a part."""
    is_part = request.headers.get("hx-request") == "true"
    if isinstance(error, NotSignedIn) and not is_part:
        return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    renderer: Renderer = request.app.state.renderer
    named = request.query_params.get(ORGANIZATION_PARAMETER)
    query = f"?{ORGANIZATION_PARAMETER}={quote(named)}" if named else ""
    shown = f"{request.url.path}?{request.url.query}".rstrip("?") if request.method == "GET" else ""
    voice = renderer.voice(request)
    view = to_error_view(error, path=shown, query=query, request_id=request_id_of(request), voice=voice)
    template = "parts/error.html" if is_part else "error.html"
    return renderer.render(request, template, {"view": view}, status=error.status, headers=headers)
