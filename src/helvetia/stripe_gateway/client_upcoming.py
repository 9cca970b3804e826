"""The part of the client that looks ahead to the next invoice; StripeClientGateway inherits it.

Four to five calls for one reading, more only where an item has discounts of its own (an expansion ends at four levels)
or Stripe Tax is on (a preview and its rates).
"""

from typing import Any

import stripe

from helvetia.kernel.clock import from_unix_s
from helvetia.kernel.period import Period
from helvetia.stripe_gateway.convert_automatic_tax import from_stripe_automatic_tax, named_rates
from helvetia.stripe_gateway.convert_upcoming import (
    from_stripe_discounts,
    from_stripe_preview,
    from_stripe_tax_rates,
    from_stripe_upcoming_item,
    from_stripe_waiting_item,
)
from helvetia.stripe_gateway.errors import StripeObjectMissing, StripeRefused
from helvetia.stripe_gateway.fields import Json, read_id, read_instant, read_path
from helvetia.stripe_gateway.transport import all_pages, call, refuse_transaction
from helvetia.stripe_gateway.upcoming import AutomaticTax, PreviewInvoice, UpcomingFacts

_COUPONS = "discounts.source.coupon.applies_to"
_NONE_UPCOMING = "invoice_upcoming_none"
_EXEMPT = {"exempt", "reverse"}
_IN_FORCE = {"not_started", "active"}


class UpcomingReader:
    """Wants `_client` of its heir."""

    _client: stripe.StripeClient

    async def read_upcoming(self, customer_id: str, subscription_id: str) -> UpcomingFacts:
        refuse_transaction()
        v1 = self._client.v1
        customer = await call(v1.customers.retrieve_async(customer_id))
        raw = await call(v1.subscriptions.retrieve_async(subscription_id, {"expand": [_COUPONS]}))
        if customer.get("deleted") or not raw["items"]["data"]:
            raise StripeObjectMissing
        items = [await self._whole(item, v1.subscription_items) for item in raw["items"]["data"]]
        waiting = await all_pages(v1.invoice_items.list_async, {"customer": customer_id, "pending": True})
        # The invoice takes them newest first, those of one second in the order they were made.
        waiting.reverse()
        waiting.sort(key=lambda one: -int(one["date"]))
        has_automatic_tax = bool(read_path(raw, "automatic_tax", "enabled"))
        main = next((item for item in items if not _is_metered(item)), items[0])
        return UpcomingFacts(
            customer_id=customer_id,
            subscription_id=subscription_id,
            currency=raw["currency"],
            period=_period(main),
            cancel_at=read_instant(raw.get("cancel_at")),
            balance_minor=customer.get("balance") or 0,
            is_tax_exempt=customer.get("tax_exempt") in _EXEMPT,
            has_automatic_tax=has_automatic_tax,
            items=tuple(from_stripe_upcoming_item(item) for item in await self._next_items(raw, items, main)),
            waiting=tuple([from_stripe_waiting_item(await self._whole(one, v1.invoice_items)) for one in waiting]),
            discounts=from_stripe_discounts(raw.get("discounts") or ()),
            tax_rates=from_stripe_tax_rates(raw.get("default_tax_rates")),
            automatic_tax=await self._automatic_tax(subscription_id) if has_automatic_tax else None,
        )

    async def preview_upcoming(self, subscription_id: str) -> PreviewInvoice | None:
        refuse_transaction()
        raw = await self._preview(subscription_id)
        return None if raw is None else from_stripe_preview(raw)

    async def _preview(self, subscription_id: str) -> Json | None:
        try:
            return await call(self._client.v1.invoices.create_preview_async({"subscription": subscription_id}))
        except (StripeObjectMissing, StripeRefused) as error:
            if getattr(error.__cause__, "code", None) == _NONE_UPCOMING:
                return None
            raise

    async def _automatic_tax(self, subscription_id: str) -> AutomaticTax | None:
        """By which rates Stripe Tax taxes the lines; it says so nowhere but in a preview."""
        raw = await self._preview(subscription_id)
        if raw is None:
            return None
        found = [await self._tax_rate(rate_id) for rate_id in sorted(named_rates(raw))]
        return from_stripe_automatic_tax(raw, {rate["id"]: rate for rate in found if rate is not None})

    async def _tax_rate(self, rate_id: str) -> Json | None:
        """None if it cannot be read: then it is not known what its lines are taxed by."""
        try:
            return await call(self._client.v1.tax_rates.retrieve_async(rate_id))
        except StripeObjectMissing:
            return None

    async def _whole(self, raw: Json, source: Any) -> Json:
        """The object with its own discounts expanded; most have none, and then it is whole already."""
        if not raw.get("discounts"):
            return raw
        return await call(source.retrieve_async(raw["id"], {"expand": [_COUPONS]}))

    async def _next_items(self, raw: Json, items: list[Json], main: Json) -> list[Json]:
        """The items as they are after the period turns: a schedule may put a new fixed one at the end."""
        schedule_id = read_id(raw.get("schedule"))
        if schedule_id is None:
            return items
        schedule = await call(self._client.v1.subscription_schedules.retrieve_async(schedule_id))
        turn = main["current_period_end"]
        following = [phase for phase in schedule["phases"] if phase["start_date"] == turn]
        if schedule["status"] not in _IN_FORCE or not following:
            return items
        known = {item["price"]["id"] for item in items}
        for wanted in following[0]["items"]:
            price_id = read_id(wanted["price"]) or ""
            if price_id not in known:
                price = await call(self._client.v1.prices.retrieve_async(price_id))
                new = {"price": price, "quantity": wanted.get("quantity") or 1, "tax_rates": wanted.get("tax_rates")}
                return [*(item for item in items if item["id"] != main["id"]), new]
        return items


def _is_metered(item: Json) -> bool:
    return bool(read_path(item, "price", "recurring", "usage_type") == "metered")


def _period(item: Json) -> Period:
    return Period(starts_at=from_unix_s(item["current_period_start"]), ends_at=from_unix_s(item["current_period_end"]))
