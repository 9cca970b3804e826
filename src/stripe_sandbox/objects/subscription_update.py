"""Changing a subscription: metadata, payment method, planned cancellation, its items and its billing cycle.

Stripe: a canceled subscription takes only metadata and cancellation details; an incomplete one only metadata,
description and payment method; ``pending_if_incomplete`` goes with items and billing cycle only.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Params
from stripe_sandbox.engine import discounts, pausing, schedules, taxes, trials
from stripe_sandbox.engine.changes.apply import carry_out
from stripe_sandbox.engine.changes.plan import Request
from stripe_sandbox.engine.renew import ENDED, arm_boundary, items_of
from stripe_sandbox.objects import payment_method
from stripe_sandbox.objects.subscription_params import (
    CANCELLATION,
    ITEM_FIELDS,
    MAX_ITEMS,
    SHARED,
    automatic_tax,
    cancel_at_of,
    collection_of,
    holder_of,
)
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.schema import Array, Boolean, Choice, Hash, Integer, NotSimulated, Text, merge_metadata, table

__all__ = ["CANCELLATION", "ITEM", "UPDATE", "carry_out_update", "update"]
ITEM = Hash(fields={**ITEM_FIELDS, "id": Text(), "deleted": Boolean(), "clear_usage": Boolean()})
UPDATE = table(
    {
        **SHARED,
        "billing_cycle_anchor": Hash(fields={"type": Choice(words=("now", "unchanged"))}, required=("type",)),
        "cancellation_details": CANCELLATION,
        "items": Array(ITEM, MAX_ITEMS),
        "pause_collection": Hash(
            fields={
                "behavior": Choice(words=("keep_as_draft", "mark_uncollectible", "void")),
                "resumes_at": Integer(minimum=1),
            },
            required=("behavior",),
            clearable=True,
        ),
        "proration_date": Integer(minimum=1),
        "trial_from_plan": NotSimulated(("false",)),
    }
)
_IF_PENDING = frozenset(
    {
        "add_invoice_items",
        "billing_cycle_anchor",
        "expand",
        "items",
        "off_session",
        "payment_behavior",
        "proration_behavior",
        "proration_date",
        "trial_end",
        "trial_from_plan",
    }
)
_IF_CANCELED = frozenset({"metadata", "cancellation_details", "expand"})
_IF_INCOMPLETE = frozenset({"metadata", "description", "default_payment_method", "default_source", "expand"})


def update(call: Call) -> Doc:
    """Apply what was sent and answer with the subscription."""
    ctx, sent = call.ctx, call.params
    subscription = ctx.get("subscription", call.ids[0])
    before = ctx.shown(subscription)
    carry_out_update(ctx, subscription, sent)
    return ctx.update(ctx.get("subscription", subscription["id"]), "customer.subscription.updated", before)


def carry_out_update(ctx: Context, subscription: Doc, sent: Params, *, until_draft: bool = False) -> Doc | None:
    """Apply what was sent; return the invoice this made, if it made one."""
    _check_allowed(subscription, sent)
    _apply_plain(ctx, subscription, sent)
    _apply_cancellation(ctx, subscription, sent)
    ctx.write(subscription)
    _apply_trial(ctx, subscription, sent)
    invoice = None
    if _touches_items(sent):
        request = _request(ctx, subscription, sent, until_draft=until_draft)
        invoice = carry_out(ctx, subscription, request)
        schedules.fold(ctx, ctx.get("subscription", subscription["id"]))
    current = ctx.get("subscription", subscription["id"])
    if current["status"] not in ENDED:
        arm_boundary(ctx, current)
    return invoice


def _apply_trial(ctx: Context, subscription: Doc, sent: Params) -> None:
    if "trial_end" not in sent:
        return
    end_at = trials.end_of(sent, ctx.now(subscription["test_clock"]))
    if end_at is not None:
        trials.extend(ctx, subscription, end_at)
    elif subscription["status"] != "trialing":
        message = "The subscription is not in a trial."
        raise BadRequest(message, code="status_transition_invalid", param="trial_end")


def change_items(ctx: Context, subscription: Doc, sent: Params) -> None:
    """Change the items of a subscription on behalf of the endpoints of single items."""
    before = ctx.shown(subscription)
    known = ("items", "off_session", "payment_behavior", "proration_behavior", "proration_date")
    carry_out_update(ctx, subscription, {name: sent[name] for name in known if name in sent})
    ctx.update(ctx.get("subscription", subscription["id"]), "customer.subscription.updated", before)


def _touches_items(sent: Params) -> bool:
    return bool(sent.get("items")) or _resets(sent)


def _resets(sent: Params) -> bool:
    return (sent.get("billing_cycle_anchor") or {}).get("type") == "now" or sent.get("trial_end") == "now"


def _request(ctx: Context, subscription: Doc, sent: Params, *, until_draft: bool) -> Request:
    behavior = sent.get("proration_behavior", "create_prorations")
    now_s = ctx.now(subscription["test_clock"])
    at_s = sent.get("proration_date", now_s)
    if "proration_date" in sent:
        if behavior == "none":
            raise BadRequest("proration_date cannot go with proration_behavior=none.", param="proration_date")
        items = items_of(ctx, subscription["id"])
        starts, ends = ([item[f"current_period_{edge}"] for item in items] for edge in ("start", "end"))
        if not max(starts) <= at_s <= min(ends):
            raise BadRequest("proration_date must lie within the current period.", param="proration_date")
    return Request(
        items=sent.get("items") or [],
        behavior=behavior,
        at_s=at_s,
        resets=_resets(sent),
        until_draft=until_draft,
        payment=sent.get("payment_behavior", "allow_incomplete"),
    )


def _check_allowed(subscription: Doc, sent: Params) -> None:
    if subscription["status"] in ENDED:
        refused = sorted(set(sent) - _IF_CANCELED)
        if refused:
            raise BadRequest(
                "A canceled subscription can only update its cancellation_details and metadata.",
                code="invalid_canceled_subscription_fields",
                param=refused[0],
            )
    if subscription["status"] == "incomplete":
        refused = sorted(set(sent) - _IF_INCOMPLETE)
        if refused:
            raise BadRequest(
                f"This cannot be changed while the subscription is incomplete: {', '.join(refused)}.",
                code="status_transition_invalid",
                param=refused[0],
            )
    if subscription["status"] == "paused" and _resets(sent):
        raise BadRequest("Resume the subscription to start its billing cycle.", code="status_transition_invalid")
    if subscription["schedule"] and {"cancel_at", "cancel_at_period_end"} & set(sent):
        raise BadRequest(
            f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating any"
            " cancelation behavior directly is not allowed. Please update the schedule instead.",
            param="cancel_at_period_end" if "cancel_at_period_end" in sent else "cancel_at",
        )
    if sent.get("payment_behavior") == "pending_if_incomplete":
        refused = sorted(set(sent) - _IF_PENDING)
        if refused:
            raise BadRequest(
                "With payment_behavior=pending_if_incomplete only items and the billing cycle can change; remove"
                f" {', '.join(refused)}.",
                param=refused[0],
            )


def _apply_plain(ctx: Context, subscription: Doc, sent: Params) -> None:
    method = sent.get("default_payment_method")
    if method:
        payment_method.check_owner(ctx, method, subscription["customer"], "default_payment_method")
    subscription |= {name: sent[name] for name in ("default_payment_method", "description") if name in sent}
    if "pause_collection" in sent:
        pausing.set_collection(ctx, subscription, sent["pause_collection"])
    if sent.get("trial_settings"):
        subscription["trial_settings"] = trials.settings_of(sent["trial_settings"])
    if "metadata" in sent:
        subscription["metadata"] = merge_metadata(subscription["metadata"], sent["metadata"])
    _apply_money(ctx, subscription, sent)
    for name in ("payment_settings", "cancellation_details"):
        if sent.get(name):
            subscription[name] = subscription[name] | sent[name]


def _apply_money(ctx: Context, subscription: Doc, sent: Params) -> None:
    """Apply what changes later invoices: how they are collected, their discounts and taxes."""
    if {"collection_method", "days_until_due"} & set(sent):
        subscription |= collection_of(sent, subscription)
    if "default_tax_rates" in sent:
        subscription["default_tax_rates"] = taxes.check_rates(ctx, sent["default_tax_rates"], "default_tax_rates")
    if sent.get("automatic_tax"):
        subscription["automatic_tax"] = automatic_tax(sent["automatic_tax"])
        customer = ctx.get("customer", subscription["customer"])
        taxes.check_location(customer, enabled=subscription["automatic_tax"]["enabled"])
    if "discounts" in sent:
        old = subscription["discounts"]
        holder = holder_of(ctx, subscription, items_of(ctx, subscription["id"]))
        subscription["discounts"] = discounts.redeem_all(ctx, sent["discounts"], holder, old, "discounts")
        discounts.detach_missing(ctx, old, subscription["discounts"])


def _apply_cancellation(ctx: Context, subscription: Doc, sent: Params) -> None:
    """Stripe: asking keeps the time of the request in canceled_at; undoing clears all three traces."""
    if "cancel_at" not in sent and "cancel_at_period_end" not in sent:
        return
    now_s = ctx.now(subscription["test_clock"])
    cancel_at = cancel_at_of(sent, items_of(ctx, subscription["id"]), now_s)
    subscription["cancel_at"] = cancel_at
    subscription["cancel_at_period_end"] = bool(sent.get("cancel_at_period_end"))
    details = subscription["cancellation_details"]
    if cancel_at is None:
        subscription["canceled_at"] = None
        subscription["cancellation_details"] = details | {"reason": None}
    else:
        subscription["canceled_at"] = subscription["canceled_at"] or now_s
        subscription["cancellation_details"] = details | {"reason": "cancellation_requested"}
