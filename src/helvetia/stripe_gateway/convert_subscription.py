"""Stripe's subscription → ours. Periods are read from the items: the subscription itself carries none."""

from helvetia.kernel.clock import from_unix_s
from helvetia.kernel.period import Period
from helvetia.stripe_gateway.fields import Json, read_decimal, read_id, read_instant, read_own_id, read_path
from helvetia.stripe_gateway.model import PendingUpdate, Subscription, SubscriptionItem


def from_stripe_subscription(raw: Json) -> Subscription:
    return Subscription(
        subscription_id=read_own_id(raw, "subscription"),
        customer_id=read_id(raw["customer"]) or "",
        status=raw["status"],
        currency=raw["currency"],
        items=tuple(from_stripe_subscription_item(item) for item in raw["items"]["data"]),
        created_at=from_unix_s(raw["created"]),
        started_at=from_unix_s(raw["start_date"]),
        cancel_at=read_instant(raw.get("cancel_at")),
        canceled_at=read_instant(raw.get("canceled_at")),
        ended_at=read_instant(raw.get("ended_at")),
        latest_invoice_id=read_id(raw.get("latest_invoice")),
        metadata=dict(raw.get("metadata") or {}),
        schedule_id=read_id(raw.get("schedule")),
        default_payment_method_id=read_id(raw.get("default_payment_method")),
        pending_update=_pending_update(raw),
        ended_reason=read_path(raw, "cancellation_details", "reason"),
    )


def _pending_update(raw: Json) -> PendingUpdate | None:
    pending = raw.get("pending_update")
    if pending is None:
        return None
    items = pending.get("subscription_items") or []
    return PendingUpdate(
        price_ids=tuple(read_id(item["price"]) or "" for item in items),
        expires_at=from_unix_s(pending["expires_at"]),
    )


def from_stripe_subscription_item(raw: Json) -> SubscriptionItem:
    """A metered item has no quantity key at all."""
    price = raw["price"]
    return SubscriptionItem(
        item_id=raw["id"],
        price_id=price["id"],
        product_id=read_id(price["product"]) or "",
        is_metered=read_path(price, "recurring", "usage_type") == "metered",
        quantity=raw.get("quantity") or 0,
        unit_price_minor=read_decimal(price.get("unit_amount_decimal")),
        plan_hint=read_path(price, "metadata", "plan") or read_path(price, "product", "metadata", "plan"),
        period=Period(
            starts_at=from_unix_s(raw["current_period_start"]), ends_at=from_unix_s(raw["current_period_end"])
        ),
    )
