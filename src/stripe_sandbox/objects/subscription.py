"""Subscriptions: their shape, reading, listing and canceling.

Stripe: periods stand on the items only; a list without ``status`` leaves canceled ones out; DELETE answers with the
whole subscription, and a second DELETE with 404.
"""

from __future__ import annotations

from stripe_sandbox.context import TEST_CLOCK, Context
from stripe_sandbox.documents import Call, Doc, Kind, list_of, public
from stripe_sandbox.engine import renew, taxes
from stripe_sandbox.engine.end import Ending, end_now
from stripe_sandbox.objects.subscription_create import CREATE, create
from stripe_sandbox.objects.subscription_update import CANCELLATION, UPDATE, update
from stripe_sandbox.wire.errors import missing_object
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Boolean, Choice, NotSimulated, Range, Text, list_table, table

_STATUSES = ("active", "past_due", "unpaid", "canceled", "incomplete", "incomplete_expired", "trialing", "paused")
LIST = list_table(
    {
        "automatic_tax": NotSimulated(),
        "collection_method": Choice(words=("charge_automatically", "send_invoice")),
        "created": Range(),
        "current_period_end": Range(),
        "current_period_start": Range(),
        "customer": Text(),
        "price": Text(),
        "status": Choice(words=(*_STATUSES, "all", "ended")),
        "test_clock": Text(),
    }
)
CANCEL = table({"cancellation_details": CANCELLATION, "invoice_now": Boolean(), "prorate": Boolean()})
_LISTING = Listing(
    kind="subscription",
    url="/v1/subscriptions",
    equals={
        "collection_method": json_field("collection_method"),
        "customer": "customer",
        "test_clock": json_field("test_clock"),
    },
    ranges={"created": "created"},
)
_ITEM_EXISTS = (
    "EXISTS (SELECT 1 FROM objects i WHERE i.account=objects.account AND i.kind='subscription_item'"
    " AND i.parent=objects.id AND json_extract(i.body, '$.{field}') {test})"
)
_OPERATORS = {"eq": "=?", "gt": ">?", "gte": ">=?", "lt": "<?", "lte": "<=?"}


def show_subscription(ctx: Context, subscription: Doc) -> Doc:
    """Return a subscription with its items."""
    items = [ctx.shown(item) for item in renew.items_of(ctx, subscription["id"])]
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    return public(subscription) | {
        "default_tax_rates": taxes.shown_rates(ctx, subscription["default_tax_rates"]),
        "items": list_of(url, items) | {"total_count": len(items)},
    }


KIND = Kind(
    name="subscription",
    label="subscription",
    render=show_subscription,
    omitted=("billing_mode.updated_at", "status_details"),
    expandable={
        "customer": "customer",
        "default_payment_method": "payment_method",
        "discounts": "discount",
        "latest_invoice": "invoice",
        "test_clock": TEST_CLOCK,
        # These are always null here; they can be asked for all the same.
        "default_source": "payment_method",
        "pending_setup_intent": "setup_intent",
        "schedule": "subscription_schedule",
    },
)


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("subscription", call.ids[0]))


def _list(call: Call) -> Doc:
    sent = call.params
    status = sent.get("status")
    column = json_field("status")
    extra: list[tuple[str, object]] = []
    if status is None:
        extra.append((f"{column} <> 'canceled'", None))
    elif status == "ended":
        extra.append((f"{column} IN ('canceled', 'incomplete_expired')", None))
    elif status != "all":
        extra.append((f"{column}=?", status))
    if "price" in sent:
        extra.append((_ITEM_EXISTS.format(field="price", test="=?"), sent["price"]))
    for name in ("current_period_start", "current_period_end"):
        for operator, bound in (sent.get(name) or {}).items():
            extra.append((_ITEM_EXISTS.format(field=name, test=_OPERATORS[operator]), bound))
    return answer_list(call, _LISTING, tuple(extra))


def _cancel(call: Call) -> Doc:
    ctx = call.ctx
    subscription = ctx.get("subscription", call.ids[0])
    if subscription["status"] in renew.ENDED:
        raise missing_object("subscription", call.ids[0])
    details = call.params.get("cancellation_details")
    if details:
        subscription["cancellation_details"] = subscription["cancellation_details"] | details
    subscription["canceled_at"] = None
    ctx.write(subscription)
    chosen = Ending(invoice_now=call.params.get("invoice_now", False), prorate=call.params.get("prorate", False))
    return end_now(ctx, subscription, chosen)


ENDPOINTS = (
    Endpoint("POST", "/v1/subscriptions", CREATE, create),
    Endpoint("GET", "/v1/subscriptions", LIST, _list),
    Endpoint("GET", "/v1/subscriptions/*", table(), _get),
    Endpoint("POST", "/v1/subscriptions/*", UPDATE, update),
    Endpoint("DELETE", "/v1/subscriptions/*", CANCEL, _cancel),
)
