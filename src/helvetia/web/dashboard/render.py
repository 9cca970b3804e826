"""Turns a template and its values into a page; a value that a template misses is an error, never a blank."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from helvetia.web.config import WebConfig

_HERE = Path(__file__).parent
STATIC_PATH = _HERE / "static"


class Renderer:
    """Holds the templates; every page knows whether the payments behind it are the sandbox's."""

    def __init__(self, config: WebConfig) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(static=static_url, is_sandbox=config.is_sandbox)

    def render(
        self,
        template: str,
        values: Mapping[str, object],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        page = self._environment.get_template(template).render(values)
        return HTMLResponse(page, status, dict(headers or {}))


@cache
def static_url(name: str) -> str:
    """The address of a static file, which changes with its content."""
    digest = hashlib.sha256((STATIC_PATH / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"
