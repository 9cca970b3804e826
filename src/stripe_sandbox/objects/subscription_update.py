"""Changing a subscription: metadata, payment method, planned cancellation, and the price of its fixed item.

Stripe: a canceled subscription takes only metadata and cancellation details; an incomplete one only metadata,
description and payment method. Prorations are not simulated: an item changes with ``proration_behavior=none`` only.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Params
from stripe_sandbox.engine.renew import ENDED, arm_boundary, items_of
from stripe_sandbox.objects import payment_method
from stripe_sandbox.objects.subscription_params import CANCELLATION, ITEM_FIELDS, MAX_ITEMS, SHARED, cancel_at_of
from stripe_sandbox.objects.subscription_params import price_for as checked_price
from stripe_sandbox.wire.errors import BadRequest, not_simulated
from stripe_sandbox.wire.schema import Array, Boolean, Choice, Hash, NotSimulated, Text, merge_metadata, table

__all__ = ["CANCELLATION", "UPDATE", "update"]
_ITEM = Hash(fields={**ITEM_FIELDS, "id": Text(), "deleted": Boolean(), "clear_usage": NotSimulated(("false",))})
UPDATE = table(
    {
        **SHARED,
        "billing_cycle_anchor": Hash(fields={"type": Choice(words=("now", "unchanged"))}, required=("type",)),
        "cancellation_details": CANCELLATION,
        "items": Array(_ITEM, MAX_ITEMS),
        "pause_collection": NotSimulated(("",)),
        "proration_date": NotSimulated(),
        "trial_from_plan": NotSimulated(("false",)),
    }
)
_IF_CANCELED = frozenset({"metadata", "cancellation_details", "expand"})
_IF_INCOMPLETE = frozenset({"metadata", "description", "default_payment_method", "default_source", "expand"})


def update(call: Call) -> Doc:
    """Apply what was sent and answer with the subscription."""
    ctx, sent = call.ctx, call.params
    subscription = ctx.get("subscription", call.ids[0])
    before = ctx.shown(subscription)
    _check_allowed(subscription, sent)
    _apply_plain(ctx, subscription, sent)
    for index, item in enumerate(sent.get("items") or []):
        _change_item(ctx, subscription, item, (index, sent.get("proration_behavior", "create_prorations")))
    _apply_cancellation(ctx, subscription, sent)
    shown = ctx.update(subscription, "customer.subscription.updated", before)
    if subscription["status"] not in ENDED:
        arm_boundary(ctx, subscription)
    return shown


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
    if (sent.get("billing_cycle_anchor") or {}).get("type") == "now":
        raise not_simulated("a reset of the billing cycle", "billing_cycle_anchor")


def _apply_plain(ctx: Context, subscription: Doc, sent: Params) -> None:
    method = sent.get("default_payment_method")
    if method:
        payment_method.check_owner(ctx, method, subscription["customer"], "default_payment_method")
    subscription |= {name: sent[name] for name in ("default_payment_method", "description") if name in sent}
    if "metadata" in sent:
        subscription["metadata"] = merge_metadata(subscription["metadata"], sent["metadata"])
    for name in ("payment_settings", "cancellation_details"):
        if sent.get(name):
            subscription[name] = subscription[name] | sent[name]


def _change_item(ctx: Context, subscription: Doc, sent: Params, place: tuple[int, str]) -> None:
    index, proration = place
    if "id" not in sent or sent.get("deleted"):
        raise not_simulated("adding or removing an item of a running subscription", f"items[{index}]")
    items = {item["id"]: item for item in items_of(ctx, subscription["id"])}
    item = items.get(sent["id"])
    if item is None:
        raise BadRequest(f"Invalid subscription_item id: {sent['id']}", param=f"items[{index}][id]")
    old = ctx.get("price", item["price"])
    new = checked_price(ctx, {"price": old["id"], **sent}, index) if "price" in sent else old
    _check_swap(old, new, [other["price"] for other in items.values() if other["id"] != item["id"]])
    changed = item | {"price": new["id"]}
    if "metadata" in sent:
        changed["metadata"] = merge_metadata(item["metadata"], sent["metadata"])
    if "quantity" in item and ("quantity" in sent or "price" in sent):
        changed["quantity"] = sent.get("quantity", 1)
    if _bills_differently(item, changed) and proration != "none":
        raise not_simulated("prorations (send proration_behavior=none)", "proration_behavior")
    ctx.write(changed)


def _bills_differently(item: Doc, changed: Doc) -> bool:
    return bool(item["price"] != changed["price"] or item.get("quantity") != changed.get("quantity"))


def _check_swap(old: Doc, new: Doc, others: list[str]) -> None:
    if old["id"] == new["id"]:
        return
    if new["id"] in others:
        raise BadRequest("Subscription items cannot have the same price twice.", param="plan")
    if "metered" in {old["recurring"]["usage_type"], new["recurring"]["usage_type"]}:
        raise not_simulated("a change of a metered item's price", "items")
    same = ("interval", "interval_count")
    if any(old["recurring"][name] != new["recurring"][name] for name in same):
        raise not_simulated("a change of the billing interval", "items")
    if old["currency"] != new["currency"]:
        raise BadRequest("The new price has another currency than the subscription.", param="items")


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
