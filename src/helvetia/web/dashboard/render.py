"""Turns a template and its values into a page; a value that a template misses is an error, never a blank.

Who reads decides how: their language and zone come from their settings, before that from what the browser asks for;
the theme from a cookie, else from the system.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from helvetia.accounts.model import User
from helvetia.kernel.clock import Clock
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.catalog import LANGUAGES
from helvetia.web.dashboard.voice import Voice

_HERE = Path(__file__).parent
STATIC_PATH = _HERE / "static"
THEMES = ("light", "dark")
THEME_COOKIE = "helvetia_theme"


class Renderer:
    """Holds the templates; every page knows whether the payments behind it are the sandbox's."""

    def __init__(self, config: WebConfig, clock: Clock) -> None:
        self._clock = clock
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(static=static_url, is_sandbox=config.is_sandbox)

    def voice(self, request: Request) -> Voice:
        """How this reader is spoken to: by their settings once they are known, else as their browser asks."""
        user: User | None = getattr(request.state, "user", None)
        language = (user and user.language) or _asked_language(request)
        zone = ZoneInfo((user and user.time_zone) or "UTC")
        return Voice(now=self._clock.now(), language=language, zone=zone)

    def render(
        self,
        request: Request,
        template: str,
        values: Mapping[str, object],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        return HTMLResponse(self.to_html(request, template, values), status, dict(headers or {}))

    def to_html(self, request: Request, template: str, values: Mapping[str, object]) -> str:
        """A page, or a part of one, as text."""
        voice = self.voice(request)
        theme = request.cookies.get(THEME_COOKIE)
        look = {"voice": voice, "say": voice.say, "many": voice.many, "theme": theme if theme in THEMES else None}
        return self._environment.get_template(template).render({**look, **values})


def _asked_language(request: Request) -> str:
    """The first of the browser's languages that we speak."""
    for part in request.headers.get("accept-language", "")[:200].split(","):
        language = part.split(";")[0].split("-")[0].strip().lower()
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


@cache
def static_url(name: str) -> str:
    """The address of a static file, which changes with its content."""
    digest = hashlib.sha256((STATIC_PATH / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"
