"""Failed payments over time: retries on a schedule, then a settable outcome.

Stripe: retries and outcome are account settings. Here, unless set otherwise: retries one, three, five and seven days
after the first failure; then the subscription is marked unpaid, is canceled, is paused, or stays past_due. The
failed invoice stays open, or becomes uncollectible.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import resumption, settle, standstill, timers

OUTCOMES = ("unpaid", "cancel", "past_due", "pause")
INVOICE_OUTCOMES = ("open", "uncollectible")
SETTINGS = "_dunning"
_RETRIED = frozenset({"subscription_cycle", "subscription_update"})
_STILL_LIVE = frozenset({"active", "past_due", "unpaid"})


_RETRY_DAYS = (1, 3, 5, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an account does about failed payments; days are counted from the first failure."""

    outcome: str = "unpaid"
    retry_days: tuple[int, ...] = _RETRY_DAYS
    invoice_outcome: str = "open"


def plan_retry(ctx: Context, invoice: Doc, subscription: Doc | None, *, automatic: bool) -> None:
    """Set when the invoice is tried next after a failed attempt; a caller's own attempt moves nothing."""
    live = subscription is not None and (
        subscription["status"] in _STILL_LIVE or resumption.waits_for(subscription, invoice)
    )
    held = invoice.get("_holds_update", False)
    charged = invoice["collection_method"] == "charge_automatically" and invoice["auto_advance"]
    if invoice["billing_reason"] not in _RETRIED or not live or held or not charged:
        invoice["next_payment_attempt"] = None
        return
    if not automatic and "_first_failed_at" in invoice:
        return
    first_at = invoice.setdefault("_first_failed_at", ctx.now(invoice["test_clock"]))
    done = invoice.get("_retries", 0)
    days = policy(ctx).retry_days
    if done < len(days):
        invoice["_retries"] = done + 1
        invoice["next_payment_attempt"] = first_at + days[done] * DAY_S
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
    if resumption.waits_for(subscription, invoice):
        resumption.settled(ctx, invoice, paid=False)
        return
    charged = invoice["collection_method"] == "charge_automatically"
    if charged and invoice["billing_reason"] in _RETRIED and subscription["status"] == "active":
        settle.set_status(ctx, subscription, "past_due")
    if invoice.get("_exhausted"):
        if policy(ctx).invoice_outcome == "uncollectible" and invoice["status"] == "open":
            settle.mark_uncollectible(ctx, invoice, "max_payment_attempts")
        _conclude(ctx, ctx.get("subscription", subscription["id"]))


def _conclude(ctx: Context, subscription: Doc) -> None:
    if subscription["status"] != "past_due":
        return
    chosen = policy(ctx).outcome
    if chosen == "unpaid":
        settle.set_status(ctx, subscription, "unpaid")
    elif chosen == "pause":
        standstill.halt(ctx, subscription, ctx.now(subscription["test_clock"]), "final_payment_failure")
    elif chosen == "cancel":
        now_s = ctx.now(subscription["test_clock"])
        settle.mark_canceled(ctx, subscription, now_s, reason="payment_failed")


def policy(ctx: Context) -> Policy:
    """Return the account's settings."""
    row = ctx.store.row("SELECT body FROM accounts WHERE id=?", ctx.account)
    kept: Doc = (json.loads(row["body"]) if row else {}).get(SETTINGS) or {}
    return Policy(**(kept | {"retry_days": tuple(kept.get("retry_days", _RETRY_DAYS))}))
