"""Security headers on every answer, errors included; nothing but static files may be kept by a cache."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helvetia.web.config import WebConfig

STATIC_PREFIX = "/static/"
_YEAR_S = 365 * 24 * 3_600


def content_security_policy(config: WebConfig) -> str:
    """Own files only, no inline code or styles; forms lead to us or to the configured payment pages.

    Chromium applies form-action to the redirect that answers a form, so the payment pages must stand here.
    """
    own = ("script-src", "style-src", "img-src", "font-src", "connect-src", "manifest-src")
    directives = [
        "default-src 'none'",
        *(f"{name} 'self'" for name in own),
        "base-uri 'none'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        " ".join(("form-action 'self'", *config.redirect_origins)),
    ]
    return "; ".join(directives)


def security_headers(config: WebConfig) -> dict[str, str]:
    headers = {
        "Content-Security-Policy": content_security_policy(config),
        "X-Content-Type-Options": "nosniff",
        # Not no-referrer: a form post would then say "Origin: null", which no check can tell from a foreign one.
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if config.is_https:
        headers["Strict-Transport-Security"] = f"max-age={_YEAR_S}; includeSubDomains"
    return headers


class SecurityHeadersMiddleware:
    def __init__(self, app: ASGIApp, config: WebConfig) -> None:
        self._app = app
        self._headers = security_headers(config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A style sheet is versioned by its query, a font by its name.
        has_version = scope["query_string"].startswith(b"v=") or scope["path"].endswith(".woff2")
        is_versioned = has_version and scope["path"].startswith(STATIC_PREFIX)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                is_kept = is_versioned and message["status"] < 400  # noqa: PLR2004 - the first error status
                headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable" if is_kept else "no-store"
            await send(message)

        await self._app(scope, receive, send_with_headers)
