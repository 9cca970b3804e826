"""Whether an unsafe request that a cookie vouches for really comes from our own pages.

Two walls: the browser's own word on where the request comes from (Origin, Sec-Fetch-Site), and, for forms, a token
derived from the session's secret, which no other site can know. A request that says nothing of its origin is refused.
"""

import hashlib
import hmac

from fastapi import Request

from helvetia.web.config import WebConfig
from helvetia.web.errors import CrossSiteRequest, FormExpired

FIELD = "csrfToken"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM_TYPE = "application/x-www-form-urlencoded"
_FIELDS_MAX = 50


def csrf_token(secret: str) -> str:
    """The token that forms of this session (or, before sign-in, of this browser) carry."""
    return hmac.new(secret.encode(), b"helvetia form", hashlib.sha256).hexdigest()


def check_same_origin(request: Request, config: WebConfig) -> None:
    """Raises CrossSiteRequest unless the browser says that the request comes from our own pages."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    is_own = origin.lower() in config.origins if origin is not None else site in {"same-origin", "none"}
    if not is_own or site not in {None, "same-origin", "none"}:
        raise CrossSiteRequest


async def check_csrf(request: Request, config: WebConfig, secret: str) -> None:
    """Raises CrossSiteRequest, FormExpired. JSON needs no token: no form of another site can send it."""
    check_same_origin(request, config)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        return
    if request.url.path.startswith("/api/") and not await request.body():
        return
    if not await has_csrf_token(request, secret):
        raise FormExpired


async def has_csrf_token(request: Request, secret: str) -> bool:
    """Whether the form carries the token of this secret; without a secret there is no right token."""
    sent = (await read_form(request)).get(FIELD, "")
    return bool(secret) and hmac.compare_digest(sent.encode(), csrf_token(secret).encode())


async def read_form(request: Request) -> dict[str, str]:
    """The text fields of a form; what is no such form has none."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        return {}
    form = await request.form(max_fields=_FIELDS_MAX, max_files=0)
    return {name: value for name, value in form.items() if isinstance(value, str)}
