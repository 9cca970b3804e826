"""The last resort: whatever escapes a route is logged with its request id and answered with a plain 500."""

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helvetia.kernel.errors import HelvetiaError
from helvetia.web.problems import Unexpected, problem_response

_log = structlog.get_logger(__name__)


class CatchUnexpectedMiddleware:
    """An answer that has begun cannot be taken back: then the connection breaks, and the log says why."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            if has_begun:
                raise
            expected = error if isinstance(error, HelvetiaError) else Unexpected()
            if expected is not error:
                _log.exception("request failed unexpectedly", method=scope["method"], path=scope["path"])
            await problem_response(Request(scope), expected)(scope, receive, send)
