"""Subscription items: a price of a subscription with its own period.

Stripe: the price is shown whole; a metered item has no ``quantity`` key; no ``livemode`` on an item.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, new_id, public
from stripe_sandbox.wire.paging import Listing, answer_list
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Text, list_table, table

LIST = list_table({"subscription": Text()}, ("subscription",))


def show_item(ctx: Context, item: Doc) -> Doc:
    """Return an item with its price, and the legacy plan that live bodies still echo."""
    price = ctx.find("price", item["price"]) or {}
    return public(item) | {"price": public(price), "plan": _plan(price)}


def _subscription_of(item: Doc) -> str | None:
    found: str | None = item["subscription"]
    return found


KIND = Kind(
    name="subscription_item",
    label="subscription_item",
    parent=_subscription_of,
    render=show_item,
)


def new_item(subscription: Doc, price: Doc, sent: Doc, period: tuple[int, int]) -> Doc:
    """Return a new item document; only licensed items have a quantity."""
    item: Doc = {
        "id": new_id("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": subscription["created"],
        "current_period_end": period[1],
        "current_period_start": period[0],
        "current_trial": None,
        "discounts": [],
        "metadata": sent.get("metadata") or {},
        "price": price["id"],
        "subscription": subscription["id"],
        "tax_rates": [],
        "_customer": subscription["customer"],
    }
    if price["recurring"]["usage_type"] == "licensed":
        item["quantity"] = sent.get("quantity", 1)
    return item


def _plan(price: Doc) -> Doc:
    recurring = price.get("recurring") or {}
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
    return {name: price.get(name) for name in same} | {
        "object": "plan",
        "amount": price.get("unit_amount"),
        "amount_decimal": price.get("unit_amount_decimal"),
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "meter": recurring.get("meter"),
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring.get("usage_type"),
    }


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("subscription_item", call.ids[0]))


def _list(call: Call) -> Doc:
    subscription = call.ctx.get("subscription", call.params["subscription"], "subscription")
    listing = Listing(kind="subscription_item", url="/v1/subscription_items")
    return answer_list(call, listing, (("parent=?", subscription["id"]),))


ENDPOINTS = (
    Endpoint("GET", "/v1/subscription_items", LIST, _list),
    Endpoint("GET", "/v1/subscription_items/*", table(), _get),
)
