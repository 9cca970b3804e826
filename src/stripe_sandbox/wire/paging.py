"""Lists: filters, cursors and the envelope.

Stripe: newest first; ``limit`` 10 by default, clamped to 1…100; ``starting_after`` and ``ending_before`` exclude
each other and must name an object of the list's kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Params, list_of
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, missing_object

DEFAULT_LIMIT = 10
MAX_LIMIT = 100
_OPERATORS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
NOT_DELETED = "json_extract(body, '$.deleted') IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list endpoint: its kind, its url, and the column or JSON path each filter compares."""

    kind: str
    url: str
    equals: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, str] = field(default_factory=dict)


def json_field(path: str) -> str:
    """Return the SQL expression of a field of the document."""
    return f"json_extract(body, '$.{path}')"


def answer_list(call: Call, listing: Listing, extra: tuple[tuple[str, object], ...] = ()) -> Doc:
    """Return one page; ``extra`` are further conditions with their argument (None for none)."""
    conditions, arguments = [NOT_DELETED], []
    filters = [*_equalities(call.params, listing), *_bounds(call.params, listing), *extra]
    for condition, argument in filters:
        conditions.append(condition)
        if "?" in condition:
            arguments.append(argument)
    return _page(call.ctx, listing, call.params, (tuple(conditions), tuple(arguments)))


def _equalities(params: Params, listing: Listing) -> list[tuple[str, object]]:
    sent = ((name, params[name]) for name in listing.equals if params.get(name) is not None)
    return [(f"{listing.equals[name]}=?", value) for name, value in sent]


def _bounds(params: Params, listing: Listing) -> list[tuple[str, object]]:
    return [
        (f"{expression} {_OPERATORS[operator]} ?", bound)
        for name, expression in listing.ranges.items()
        for operator, bound in (params.get(name) or {}).items()
    ]


def page_size(params: Params) -> int:
    """Return the limit, clamped as Stripe does."""
    return min(max(int(params.get("limit", DEFAULT_LIMIT)), 1), MAX_LIMIT)


def _page(ctx: Context, listing: Listing, params: Params, where: tuple[tuple[str, ...], tuple[object, ...]]) -> Doc:
    conditions, arguments = where
    refuse_two_cursors(params)
    backwards = "ending_before" in params
    cursor = params.get("ending_before") or params.get("starting_after")
    if cursor:
        conditions = (*conditions, "(created, seq) > (?, ?)" if backwards else "(created, seq) < (?, ?)")
        arguments = (*arguments, *_place(ctx, listing.kind, cursor, backwards=backwards))
    limit = page_size(params)
    page = Page(kind=listing.kind, conditions=conditions, arguments=arguments, limit=limit + 1, oldest_first=backwards)
    found = ctx.select(page)
    data = found[:limit]
    if backwards:
        data.reverse()
    return list_of(listing.url, [ctx.shown(doc) for doc in data], has_more=len(found) > limit)


def refuse_two_cursors(params: Params) -> None:
    """Refuse a request with both cursors."""
    if "ending_before" in params and "starting_after" in params:
        message = "You may only give one of these parameters: starting_after, ending_before."
        raise BadRequest(message, code="parameters_exclusive", param="ending_before")


def _place(ctx: Context, kind: str, cursor: str, *, backwards: bool) -> tuple[int, int]:
    place = ctx.store.place(ctx.account, kind, cursor)
    if place is None:
        raise missing_object(ctx.kinds[kind].label, cursor, "ending_before" if backwards else "starting_after")
    return place


def slice_list(url: str, data: list[Doc], params: Params) -> Doc:
    """Return one page of a list that is at hand, in its own order."""
    refuse_two_cursors(params)
    ids = [item["id"] for item in data]
    cursor = params.get("starting_after") or params.get("ending_before")
    if cursor and cursor not in ids:
        name = "starting_after" if "starting_after" in params else "ending_before"
        label = data[0]["object"] if data else "object"
        raise missing_object(label, cursor, name)
    limit = page_size(params)
    if "ending_before" in params:
        newer = data[: ids.index(cursor)]
        return list_of(url, newer[-limit:], has_more=len(newer) > limit)
    rest = data[ids.index(cursor) + 1 :] if cursor else data
    return list_of(url, rest[:limit], has_more=len(rest) > limit)
