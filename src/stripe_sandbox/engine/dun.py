"""Failed payments over time: retries on a schedule, then a settable outcome.

Stripe: retries and outcome are account settings. Here: retries one, three, five and seven days after the first
failure; then the subscription is marked unpaid, is canceled, or stays past_due. The failed invoice stays open.
"""

from __future__ import annotations

import json

from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import settle, timers

RETRIES_AFTER_S = (1 * DAY_S, 3 * DAY_S, 5 * DAY_S, 7 * DAY_S)
OUTCOMES = ("unpaid", "cancel", "past_due")
DEFAULT_OUTCOME = "unpaid"
_RETRIED = frozenset({"subscription_cycle", "subscription_update"})
_STILL_LIVE = frozenset({"active", "past_due", "unpaid"})


def plan_retry(ctx: Context, invoice: Doc, subscription: Doc | None, *, automatic: bool) -> None:
    """Set when the invoice is tried next after a failed attempt; a caller's own attempt moves nothing."""
    live = subscription is not None and subscription["status"] in _STILL_LIVE
    held = invoice.get("_holds_update", False)
    if invoice["billing_reason"] not in _RETRIED or not live or held or not invoice["auto_advance"]:
        invoice["next_payment_attempt"] = None
        return
    if not automatic and "_first_failed_at" in invoice:
        return
    first_at = invoice.setdefault("_first_failed_at", ctx.now(invoice["test_clock"]))
    done = invoice.get("_retries", 0)
    if done < len(RETRIES_AFTER_S):
        invoice["_retries"] = done + 1
        invoice["next_payment_attempt"] = first_at + RETRIES_AFTER_S[done]
        timers.arm(ctx, invoice, "collect", invoice["next_payment_attempt"])
    else:
        invoice["next_payment_attempt"] = None
        invoice["_exhausted"] = True


def reflect_failure(ctx: Context, invoice: Doc, subscription: Doc | None) -> None:
    """Let a failed attempt show on the subscription and the customer."""
    customer = ctx.get("customer", invoice["customer"])
    if not customer["delinquent"]:
        ctx.update(customer | {"delinquent": True}, "customer.updated")
    if subscription is None or invoice.get("_holds_update"):
        return
    if invoice["billing_reason"] in _RETRIED and subscription["status"] == "active":
        settle.set_status(ctx, subscription, "past_due")
    if invoice.get("_exhausted"):
        _conclude(ctx, ctx.get("subscription", subscription["id"]))


def _conclude(ctx: Context, subscription: Doc) -> None:
    if subscription["status"] != "past_due":
        return
    chosen = outcome(ctx)
    if chosen == "unpaid":
        settle.set_status(ctx, subscription, "unpaid")
    elif chosen == "cancel":
        now_s = ctx.now(subscription["test_clock"])
        settle.mark_canceled(ctx, subscription, now_s, reason="payment_failed")


def outcome(ctx: Context) -> str:
    """Return what the account does when retries are exhausted."""
    row = ctx.store.row("SELECT body FROM accounts WHERE id=?", ctx.account)
    settings = json.loads(row["body"]) if row else {}
    return str(settings.get("_dunning_outcome", DEFAULT_OUTCOME))
