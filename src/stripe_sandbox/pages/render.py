"""Template and data → an HTML answer that runs no scripts and is kept by nobody."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from stripe_sandbox.pages import words

HERE = Path(__file__).parent
# Chromium holds a form's target *and* every redirect after it against form-action; a session leads on to the
# address its integration chose, and to wherever that one redirects. So any web address is allowed there.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self' http: https:;"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (
        words.money,
        words.unit_price,
        words.day,
        words.instant,
        words.rhythm,
        words.card_name,
        words.card_expiry,
        words.sentence,
    ):
        environment.filters[function.__name__] = function
    return environment


def page(template: str, status: int = 200, **data: object) -> Response:
    """Return a rendered page."""
    return HTMLResponse(_environment().get_template(template).render(data), status, HEADERS)


def go(url: str) -> Response:
    """Send the browser on with a GET."""
    return RedirectResponse(url, 303, HEADERS)


def notice(title: str, text: str, *, status: int = 200, link: tuple[str, str] | None = None) -> Response:
    """Return a page that only says something; ``link`` is an address and its text."""
    return page("notice.html", status, title=title, text=text, link=link)
