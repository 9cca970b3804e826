"""Version 2 of the API: instants as ISO 8601, no ``expand``, and lists whose pages have addresses.

Stripe: newest first; ``next_page_url`` and ``previous_page_url`` carry the filters, the size and an opaque ``page``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from stripe_sandbox.documents import Call, Doc
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.forms import Raw
from stripe_sandbox.wire.paging import page_size
from stripe_sandbox.wire.schema import Hash, Integer, Text, Type

_TOKEN = re.compile(r"(?P<way>[np])(?P<created>\d{1,12})\.(?P<seq>\d{1,18})")
_LATEST_YEAR = 9000


def iso(at_s: int) -> str:
    """Return an instant as version 2 of the API writes it."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


@dataclass(frozen=True, slots=True)
class Instant:
    """An ISO 8601 instant with its offset, read as Unix seconds."""

    def parse(self, raw: Raw, path: str) -> int:
        """Return Unix seconds."""
        try:
            at = datetime.fromisoformat(str(raw))
        except ValueError:
            at = None
        if at is None or at.tzinfo is None or not 1 < at.year < _LATEST_YEAR or isinstance(raw, dict):
            raise BadRequest(f"Invalid timestamp: {path} must be an ISO 8601 instant with its offset", param=path)
        return int(at.timestamp())


def table_v2(fields: Mapping[str, Type] | None = None, required: tuple[str, ...] = ()) -> Hash:
    """Return the parameter table of an endpoint of version 2."""
    return Hash(fields=fields or {}, required=required)


def list_table_v2(fields: Mapping[str, Type] | None = None) -> Hash:
    """Return the parameter table of a list of version 2."""
    return table_v2({**(fields or {}), "limit": Integer(), "page": Text(max_length=100)})


def answer_page(call: Call, kind: str, url: str, where: tuple[tuple[str, object], ...] = ()) -> Doc:
    """Return one page of a kind; ``where`` are conditions with their argument (None for none)."""
    token = _read(call.params.get("page"))
    conditions = [condition for condition, _argument in where]
    arguments = [argument for condition, argument in where if "?" in condition]
    backwards = token is not None and token["way"] == "p"
    if token:
        conditions.append("(created, seq) > (?, ?)" if backwards else "(created, seq) < (?, ?)")
        arguments += [int(token["created"]), int(token["seq"])]
    limit = page_size(call.params)
    page = Page(
        kind=kind, conditions=tuple(conditions), arguments=tuple(arguments), limit=limit + 1, oldest_first=backwards
    )
    found = call.ctx.select(page)
    data, more = found[:limit], len(found) > limit
    if backwards:
        data.reverse()
    older = data and (more or backwards)
    newer = data and token and (more or not backwards)
    return {
        "data": [call.ctx.shown(doc) for doc in data],
        "next_page_url": _address(call, url, "n", data[-1]) if older else None,
        "previous_page_url": _address(call, url, "p", data[0]) if newer else None,
    }


def _read(token: str | None) -> re.Match[str] | None:
    if token is None:
        return None
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise BadRequest("Invalid page token: take it from next_page_url or previous_page_url.", param="page")
    return found


def _address(call: Call, url: str, way: str, edge: Doc) -> str:
    created, seq = call.ctx.store.place(call.ctx.account, edge["object"], edge["id"]) or (0, 0)
    fields: list[tuple[str, object]] = [("limit", page_size(call.params)), ("page", f"{way}{created}.{seq}")]
    for name, value in call.params.items():
        if isinstance(value, list):
            fields += [(f"{name}[{index}]", one) for index, one in enumerate(value)]
        elif isinstance(value, dict):
            fields += [(f"{name}[{key}]", iso(one)) for key, one in value.items()]
        elif name not in ("limit", "page"):
            fields.append((name, value))
    return f"{url}?{urlencode(fields)}"
