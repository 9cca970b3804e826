"""Acting as the API would from inside: the same endpoints, parameter checks and handlers, in a running transaction."""

from __future__ import annotations

from functools import cache

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc
from stripe_sandbox.objects.registry import build_router
from stripe_sandbox.wire.errors import NotFound
from stripe_sandbox.wire.forms import Raw
from stripe_sandbox.wire.routing import Router


@cache
def _router() -> Router:
    return build_router()


def act(ctx: Context, method: str, path: str, fields: dict[str, Raw] | None = None) -> Doc:
    """Carry out one API call and return its answer; a refusal raises as it does there."""
    found = _router().match(method, path)
    if found is None:
        raise NotFound(f"Unrecognized request URL ({method}: {path}).")
    endpoint, ids = found
    params = endpoint.params.parse(fields or {}, "") or {}
    return endpoint.handler(Call(ctx=ctx, ids=ids, params=params))
