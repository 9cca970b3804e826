"""Who may see a page: browsers on this machine, under a name of this machine, posting from its own pages.

The Host header is checked because a foreign site can point its own name at 127.0.0.1; a POST's Origin is checked on
top of the unguessable token that every page's address holds.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import Request

from stripe_sandbox.wire.errors import StripeError

_OWN_SITES = frozenset({"same-origin", "none"})


class Forbidden(StripeError):
    """The page is not for this visitor."""

    status = 403


def check(request: Request) -> None:
    """Refuse whoever is not a browser of this machine on a page of this server."""
    if not _is_loopback(request.client.host if request.client else ""):
        raise Forbidden("The sandbox's pages are for browsers on the machine it runs on.")
    host = request.headers.get("host", "")
    if not _is_local_name(urlsplit(f"//{host}").hostname or ""):
        raise Forbidden("The sandbox's pages answer only under the name of this machine, such as 127.0.0.1.")
    if request.method == "POST":
        _check_origin(request, host)


def _check_origin(request: Request, host: str) -> None:
    if request.headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        raise Forbidden("This form was sent from another site.")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        raise Forbidden("This form was sent from another site.")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_local_name(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)
