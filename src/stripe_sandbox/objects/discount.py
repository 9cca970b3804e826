"""Discounts: how callers ask for them, and how one is taken off again.

Stripe: a discount is made by redeeming a coupon or promotion code for a subscription, an item, an invoice or a
checkout. This version of the API has no way to give one to a customer as a whole, so a customer has none to delete.
"""

from __future__ import annotations

from stripe_sandbox.documents import Call, Doc, Kind, public
from stripe_sandbox.engine import discounts, settle
from stripe_sandbox.wire.errors import NotFound
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Array, Hash, Text, table

DISCOUNTS = Array(
    Hash(fields={"coupon": Text(), "discount": Text(), "promotion_code": Text()}),
    discounts.MAX_DISCOUNTS,
    clearable=True,
)
KIND = Kind(
    name=discounts.KIND,
    label="discount",
    expandable={"customer": "customer", "promotion_code": "promotion_code", "source.coupon": "coupon"},
)


def _deleted(shown: Doc) -> Doc:
    return shown | {"deleted": True}


def _delete_of_customer(call: Call) -> Doc:
    customer = call.ctx.get("customer", call.ids[0])
    raise NotFound(f"No active discount for customer: {customer['id']}", code="resource_missing", param="customer")


def _delete_of_subscription(call: Call) -> Doc:
    ctx = call.ctx
    subscription = ctx.get("subscription", call.ids[0])
    if not subscription["discounts"]:
        message = f"No active discount for subscription: {subscription['id']}"
        raise NotFound(message, code="resource_missing", param="subscription")
    before = ctx.shown(subscription)
    removed: Doc = {}
    for discount_id in list(subscription["discounts"]):
        removed = discounts.detach(ctx, ctx.get(discounts.KIND, discount_id))
    ctx.update(ctx.get("subscription", subscription["id"]), settle.SUBSCRIPTION_UPDATED, before)
    return _deleted(public(removed))


ENDPOINTS = (
    Endpoint("DELETE", "/v1/customers/*/discount", table(), _delete_of_customer),
    Endpoint("DELETE", "/v1/subscriptions/*/discount", table(), _delete_of_subscription),
)
