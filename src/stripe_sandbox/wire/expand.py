"""Ids → objects where the caller asks for it with ``expand``.

Stripe: at most four levels, counting ``data`` of a list; a field that cannot be expanded is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.wire.errors import BadRequest, StripeError

MAX_LEVELS = 4


def expand(ctx: Context, answer: Doc, paths: Iterable[str]) -> Doc:
    """Return the answer with every path expanded."""
    for path in paths:
        levels = path.split(".")
        if len(levels) > MAX_LEVELS:
            message = f"You cannot expand more than {MAX_LEVELS} levels of a property: {path}"
            raise BadRequest(message, param="expand")
        _into(ctx, answer, levels, path)
    return answer


def _into(ctx: Context, node: Any, levels: list[str], path: str) -> None:
    """Expand below a whole object, list, or null."""
    if node is None or not levels:
        return
    if isinstance(node, list):
        for element in node:
            _into(ctx, element, levels, path)
        return
    if not isinstance(node, dict):
        raise _cannot(path)
    if node.get("object") in ("list", "search_result"):
        if levels[0] != "data":
            raise _cannot(path)
        _into(ctx, node["data"], levels[1:], path)
        return
    if node.get("deleted"):
        return
    _field(ctx, node, levels, path)


def _field(ctx: Context, owner: Doc, levels: list[str], path: str) -> None:
    """Expand one field of an object; the field may lie inside plain hashes of it."""
    kind = ctx.kinds.get(owner.get("object", ""))
    if kind is None:
        raise _cannot(path)
    if levels[0] in kind.includable:
        owner.setdefault(levels[0], kind.includable[levels[0]](ctx, owner))
        _into(ctx, owner[levels[0]], levels[1:], path)
        return
    holder: Any = owner
    for depth, name in enumerate(levels, start=1):
        dotted = ".".join(levels[:depth])
        if dotted in kind.expandable:
            _replace(ctx, holder, name, kind.expandable[dotted])
            _into(ctx, holder and holder.get(name), levels[depth:], path)
            return
        known = any(target.startswith(f"{dotted}.") for target in kind.expandable)
        below = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(below, dict) and "object" in below and depth < len(levels):
            _into(ctx, below, levels[depth:], path)
            return
        if not known:
            raise _cannot(path)
        holder = below
    raise _cannot(path)


def _replace(ctx: Context, holder: Any, name: str, kinds: str | tuple[str, ...]) -> None:
    if isinstance(holder, dict) and isinstance(holder.get(name), list):
        found_all = {one: _find(ctx, kinds, one) for one in holder[name] if isinstance(one, str)}
        holder[name] = [ctx.shown(doc) if (doc := found_all.get(one)) else one for one in holder[name]]
    if isinstance(holder, dict) and isinstance(holder.get(name), str):
        found = _find(ctx, kinds, holder[name])
        if found is not None:
            holder[name] = ctx.shown(found)


def _find(ctx: Context, kinds: str | tuple[str, ...], object_id: str) -> Doc | None:
    names = (kinds,) if isinstance(kinds, str) else kinds
    return next((found for name in names if (found := ctx.find(name, object_id))), None)


def _cannot(path: str) -> StripeError:
    return BadRequest(f"This property cannot be expanded ({path}).", param="expand")
