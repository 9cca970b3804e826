"""Drawn faults → what happens to one request instead of, before or after its work.

A refusal comes before the work: nothing is done and nothing is kept under the idempotency key, so the retry that a
client owes such an answer finds a fresh endpoint. ``reset_after`` and ``malformed_json`` spoil the answer of work that
was done and committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from stripe_sandbox.documents import Doc
from stripe_sandbox.faults import ANSWERED
from stripe_sandbox.wire.errors import ServerFault, StripeError, TooManyRequests
from stripe_sandbox.wire.idempotency import Answer

_LOCK_TEXT = (
    "This object cannot be accessed right now because another API request or process is currently accessing it."
    " (Injected by a fault switch of the sandbox.)"
)


class ConnectionCut(Exception):
    """The connection is to be reset instead of an answer."""


async def around(
    struck: list[Doc], told: Callable[[StripeError], Answer], work: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Run the work with the drawn faults; return the answer to send, or raise ConnectionCut.

    ``told`` puts a refusal into the envelope of the path's version.
    """
    deciding = None
    for fault in struck:
        if fault["kind"] == "slow":
            await asyncio.sleep(fault["delay_ms"] / 1000)
        else:
            deciding = fault
    if deciding is None:
        return await work()
    if deciding["kind"] == "reset_before":
        raise ConnectionCut
    if deciding["kind"] in ANSWERED:
        return _refusal(deciding, told)
    answer = await work()
    if deciding["kind"] == "reset_after":
        raise ConnectionCut
    return replace(answer, body=answer.body[: max(1, len(answer.body) * 2 // 3)])


def _refusal(fault: Doc, told: Callable[[StripeError], Answer]) -> Answer:
    error, headers = _error(fault)
    if fault["should_retry"] is not None:
        headers["Stripe-Should-Retry"] = "true" if fault["should_retry"] else "false"
    return replace(told(error), headers=headers)


def _error(fault: Doc) -> tuple[StripeError, dict[str, str]]:
    if fault["kind"] == "rate_limit":
        message = "Request rate limit exceeded. (Injected by a fault switch of the sandbox.)"
        return TooManyRequests(message, code="rate_limit"), {"Stripe-Rate-Limited-Reason": "global-rate"}
    if fault["kind"] == "lock_timeout":
        error: StripeError = TooManyRequests(_LOCK_TEXT, code="lock_timeout")
        error.status = fault["status"]
        return error, {}
    error = ServerFault("Something went wrong on our side. (Injected by a fault switch of the sandbox.)")
    error.status = 503 if fault["kind"] == "unavailable" else 500
    return error, {}
