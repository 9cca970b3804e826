"""A bound on all calls to Stripe that one request makes together: who waits for an answer waits no longer."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

REQUEST_S = 10.0

_until_s: ContextVar[float | None] = ContextVar("stripe_until_s", default=None)


@contextmanager
def within(seconds: float = REQUEST_S) -> Iterator[None]:
    """Calls in this block end, all together, after so many seconds; an inner block never extends an outer one."""
    mine_s = asyncio.get_running_loop().time() + seconds
    outer_s = _until_s.get()
    token = _until_s.set(mine_s if outer_s is None else min(mine_s, outer_s))
    try:
        yield
    finally:
        _until_s.reset(token)


def call_ends_s(at_most_s: float) -> float:
    """When a call that begins now must have ended, by the clock of the running loop."""
    own_s = asyncio.get_running_loop().time() + at_most_s
    until_s = _until_s.get()
    return own_s if until_s is None else min(own_s, until_s)
