"""Faults that an account asked for: which of them strike a request, a webhook or usage, and the log of each strike.

A fault has a filter, a number of strikes and a probability. Its luck is a seeded sequence over the requests that
matched, so a test run with the same seed meets the same faults. Drawing happens inside the caller's transaction.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from stripe_sandbox import clock
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.store import Page

if TYPE_CHECKING:
    from stripe_sandbox.context import Context
    from stripe_sandbox.store import Store

FAULT = "sandbox.fault"
INJECTION = "sandbox.fault_injection"
ANSWERED = ("rate_limit", "lock_timeout", "server_error", "unavailable")
AFTERWARDS = ("reset_after", "malformed_json")
REQUEST_KINDS = (*ANSWERED, "slow", "reset_before", *AFTERWARDS)
WEBHOOK_KINDS = ("webhook_duplicate", "webhook_reorder", "webhook_delay", "webhook_drop")
REJECT_USAGE = "reject_usage"
KINDS = (*REQUEST_KINDS, *WEBHOOK_KINDS, REJECT_USAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """How the webhook of one event goes out: how often, and when at the earliest (Unix seconds)."""

    copies: int
    next_at: float


def has_any(store: Store, account: str) -> bool:
    """Return whether an account has asked for faults at all: one look, without a transaction."""
    return store.row("SELECT 1 FROM objects WHERE account=? AND kind=? LIMIT 1", account, FAULT) is not None


def for_request(ctx: Context, method: str, path: str) -> list[Doc]:
    """Return the faults that strike a request: any number of delays, then at most one that decides the answer."""

    def wanted(fault: Doc) -> bool:
        return fault["kind"] in REQUEST_KINDS and fault["method"] in (None, method) and fnmatchcase(path, fault["path"])

    about = {"request": {"id": ctx.cause.request_id, "method": method, "path": path}, "event": None, "usage": None}
    return _draw(ctx, wanted, about, lambda fault: fault["kind"] != "slow")


def for_webhook(ctx: Context, event: Doc) -> Shipment:
    """Return how an event goes out to one endpoint once the account's webhook faults have struck."""

    def wanted(fault: Doc) -> bool:
        return fault["kind"] in WEBHOOK_KINDS and fnmatchcase(event["type"], fault["event"])

    about = {"request": None, "event": {"id": event["id"], "type": event["type"]}, "usage": None}
    copies, next_at = 1, clock.wall_precise_s()
    for fault in _draw(ctx, wanted, about, lambda fault: fault["kind"] == "webhook_drop"):
        if fault["kind"] == "webhook_drop":
            copies = 0
        elif fault["kind"] == "webhook_duplicate":
            copies *= 2
        elif fault["kind"] == "webhook_delay":
            next_at += fault["delay_ms"] / 1000
        else:
            next_at += _luck(fault, "order") * fault["delay_ms"] / 1000
    return Shipment(copies=copies, next_at=next_at)


def for_usage(ctx: Context, event_name: str, identifier: str) -> str | None:
    """Return the code under which accepted usage is rejected later, if a fault strikes it."""

    def wanted(fault: Doc) -> bool:
        return fault["kind"] == REJECT_USAGE and fnmatchcase(event_name, fault["event"])

    about = {"request": None, "event": None, "usage": {"identifier": identifier, "event_name": event_name}}
    return next((fault["code"] for fault in _draw(ctx, wanted, about, lambda _fault: True)), None)


def _draw(ctx: Context, wanted: Callable[[Doc], bool], about: Doc, last: Callable[[Doc], bool]) -> list[Doc]:
    """Let every wanted fault try its luck, oldest first, until one is the last."""
    struck: list[Doc] = []
    for fault in ctx.select(Page(kind=FAULT, oldest_first=True)):
        if fault["remaining"] == 0 or not wanted(fault):
            continue
        fault["matched"] += 1
        hit = _luck(fault, "hit") < fault["probability"]
        if hit:
            _strike(ctx, fault, about)
            struck.append(fault)
        ctx.write(fault)
        if hit and last(fault):
            break
    return struck


def _luck(fault: Doc, purpose: str) -> float:
    """Return the fault's random number for what it just matched."""
    return random.Random(f"{fault['seed']}:{fault['matched']}:{purpose}").random()  # noqa: S311 - seeded on purpose


def _strike(ctx: Context, fault: Doc, about: Doc) -> None:
    fault["injected"] += 1
    if fault["remaining"] is not None:
        fault["remaining"] -= 1
    injection = {
        "id": new_id("fi"),
        "object": INJECTION,
        "created": clock.wall_s(),
        "fault": fault["id"],
        "kind": fault["kind"],
        "livemode": False,
    }
    ctx.write(injection | about)
