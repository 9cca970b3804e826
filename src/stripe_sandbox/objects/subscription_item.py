"""Subscription items: a price of a subscription with its own period.

Stripe: the price is shown whole; a metered item has no ``quantity`` key; no ``livemode`` on an item. Adding, changing
and removing one behaves as an update of its subscription does.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, deleted_stub, public
from stripe_sandbox.engine import taxes
from stripe_sandbox.engine.renew import items_of
from stripe_sandbox.objects.subscription_params import ITEM_FIELDS, SHARED
from stripe_sandbox.objects.subscription_update import change_items
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import Listing, answer_list
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Boolean, Integer, Text, list_table, table

LIST = list_table({"subscription": Text()}, ("subscription",))


def show_item(ctx: Context, item: Doc) -> Doc:
    """Return an item with its price, and the legacy plan that live bodies still echo."""
    price = ctx.find("price", item["price"]) or {}
    rates = taxes.shown_rates(ctx, item["tax_rates"])
    return public(item) | {"price": public(price), "plan": _plan(price), "tax_rates": rates}


def _subscription_of(item: Doc) -> str | None:
    found: str | None = item["subscription"]
    return found


KIND = Kind(
    name="subscription_item",
    label="subscription_item",
    parent=_subscription_of,
    render=show_item,
    expandable={"discounts": "discount"},
)


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


def _create(call: Call) -> Doc:
    wish = {name: call.params[name] for name in ITEM_FIELDS if name in call.params}
    subscription = call.ctx.get("subscription", call.params["subscription"], "subscription")
    known = {item["id"] for item in items_of(call.ctx, subscription["id"])}
    change_items(call.ctx, subscription, call.params | {"items": [wish]})
    added = [item for item in items_of(call.ctx, subscription["id"]) if item["id"] not in known]
    if not added:
        raise BadRequest("The item waits for its payment; read the subscription's pending_update.")
    return call.ctx.shown(added[-1])


def _update(call: Call) -> Doc:
    item = call.ctx.get("subscription_item", call.ids[0])
    wish = {name: call.params[name] for name in ITEM_FIELDS if name in call.params} | {"id": item["id"]}
    subscription = call.ctx.get("subscription", item["subscription"])
    change_items(call.ctx, subscription, call.params | {"items": [wish]})
    return call.ctx.shown(call.ctx.get("subscription_item", item["id"]))


def _delete(call: Call) -> Doc:
    item = call.ctx.get("subscription_item", call.ids[0])
    wish = {"id": item["id"], "deleted": True, "clear_usage": call.params.get("clear_usage", False)}
    subscription = call.ctx.get("subscription", item["subscription"])
    change_items(call.ctx, subscription, call.params | {"items": [wish]})
    return deleted_stub(item)


_HOW = {name: SHARED[name] for name in ("off_session", "payment_behavior", "proration_behavior")} | {
    "proration_date": Integer(minimum=1)
}
CREATE = table({**ITEM_FIELDS, **_HOW, "subscription": Text()}, ("subscription",))
UPDATE = table({**ITEM_FIELDS, **_HOW})
DELETE = table(
    {"clear_usage": Boolean(), "proration_behavior": SHARED["proration_behavior"], "proration_date": Integer(minimum=1)}
)
ENDPOINTS = (
    Endpoint("POST", "/v1/subscription_items", CREATE, _create),
    Endpoint("POST", "/v1/subscription_items/*", UPDATE, _update),
    Endpoint("DELETE", "/v1/subscription_items/*", DELETE, _delete),
    Endpoint("GET", "/v1/subscription_items", LIST, _list),
    Endpoint("GET", "/v1/subscription_items/*", table(), _get),
)
