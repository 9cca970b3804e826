"""The items a caller asks for, matched with the items a subscription has.

Stripe: an element with ``id`` changes that item, without ``id`` it adds one; a new price without ``quantity`` resets
the quantity to 1; the same price cannot be there twice; the last item cannot be removed.
"""

from __future__ import annotations

from dataclasses import dataclass

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, Params, new_id
from stripe_sandbox.engine import taxes
from stripe_sandbox.engine.discounts import Holder, detach_missing, redeem_all
from stripe_sandbox.engine.lines import is_metered
from stripe_sandbox.engine.renew import items_of
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.schema import merge_metadata

MAX_ITEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One item before and after; None before means added, None after means removed."""

    old: Doc | None
    new: Doc | None
    clear_usage: bool = False

    @property
    def bills_differently(self) -> bool:
        """Whether money depends on the difference."""
        if self.old is None or self.new is None:
            return True
        return bool(self.old["price"] != self.new["price"] or self.old.get("quantity") != self.new.get("quantity"))


def read_items(ctx: Context, subscription: Doc, sent: list[Params], at_s: int) -> list[Swap]:
    """Return every item of the subscription with what becomes of it, and the added ones."""
    current = items_of(ctx, subscription["id"])
    swaps = {item["id"]: Swap(old=item, new=item) for item in current}
    added = []
    for index, wish in enumerate(sent):
        if "id" not in wish:
            added.append(Swap(old=None, new=_new(ctx, subscription, wish, index, at_s)))
            continue
        item = next((item for item in current if item["id"] == wish["id"]), None)
        if item is None:
            raise BadRequest(f"Invalid subscription_item id: {wish['id']}", param=f"items[{index}][id]")
        new = None if wish.get("deleted") else _changed(ctx, item, wish, index)
        swaps[item["id"]] = Swap(old=item, new=new, clear_usage=bool(wish.get("clear_usage")))
    found = [*swaps.values(), *added]
    check_set(ctx, subscription, [swap.new for swap in found if swap.new is not None])
    return found


def check_set(ctx: Context, subscription: Doc, items: list[Doc]) -> None:
    """Refuse a set of items that no subscription can have."""
    if not items:
        raise BadRequest(
            "A subscription must have at least one item. Cancel the subscription instead of removing its last item.",
            param="items",
        )
    if len(items) > MAX_ITEMS:
        raise BadRequest(f"A subscription can have at most {MAX_ITEMS} items.", param="items")
    if len({item["price"] for item in items}) < len(items):
        raise BadRequest("Subscription items cannot have the same price twice.", param="plan")
    if any(ctx.get("price", item["price"])["currency"] != subscription["currency"] for item in items):
        raise BadRequest("The new price has another currency than the subscription.", param="items")


def _new(ctx: Context, subscription: Doc, wish: Params, index: int, at_s: int) -> Doc:
    price = price_for(ctx, wish, index)
    return dress(ctx, subscription, new_item(subscription, price, wish, at_s), wish, f"items[{index}]")


def price_for(ctx: Context, item: Params, index: int) -> Doc:
    """Return the price of a sent item, refusing what cannot be subscribed to."""
    where = f"items[{index}]"
    if "price" not in item:
        raise missing_param(f"{where}[price]")
    price = ctx.get("price", item["price"], f"{where}[price]")
    if not price["active"]:
        raise BadRequest(f"The price {price['id']} is inactive.", param=f"{where}[price]")
    if price["recurring"] is None:
        raise BadRequest("A one-time price cannot be an item of a subscription.", param=f"{where}[price]")
    if price["recurring"]["usage_type"] == "metered":
        if "quantity" in item:
            raise BadRequest(
                f"A quantity cannot be given for a price with usage_type metered. Remove it from {where}.",
                param=f"{where}[quantity]",
            )
        if ctx.get("billing.meter", price["recurring"]["meter"])["status"] != "active":
            raise BadRequest(f"The meter of price {price['id']} is inactive.", param=f"{where}[price]")
    return price


def new_item(subscription: Doc, price: Doc, wish: Params, at_s: int) -> Doc:
    """Return a new item document without a period; only licensed items have a quantity."""
    item: Doc = {
        "id": new_id("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": at_s,
        "current_period_end": None,
        "current_period_start": None,
        "current_trial": None,
        "discounts": [],
        "metadata": wish.get("metadata") or {},
        "price": price["id"],
        "subscription": subscription["id"],
        "tax_rates": [],
        "_customer": subscription["customer"],
    }
    if not is_metered(price):
        item["quantity"] = wish.get("quantity", 1)
    return item


def _changed(ctx: Context, item: Doc, wish: Params, index: int) -> Doc:
    old = ctx.get("price", item["price"])
    checked = {name: wish[name] for name in ("quantity",) if name in wish} | {"price": wish.get("price", old["id"])}
    price = old if "price" not in wish and "quantity" not in wish else price_for(ctx, checked, index)
    changed = item | {"price": price["id"]}
    if "metadata" in wish:
        changed["metadata"] = merge_metadata(item["metadata"], wish["metadata"])
    if is_metered(price):
        changed.pop("quantity", None)
    elif "quantity" in wish or price["id"] != old["id"]:
        changed["quantity"] = wish.get("quantity", 1)
    subscription = ctx.get("subscription", item["subscription"])
    return dress(ctx, subscription, changed, wish, f"items[{index}]")


def dress(ctx: Context, subscription: Doc, item: Doc, wish: Params, where: str) -> Doc:
    """Return an item with the tax rates and discounts a caller gives it."""
    found = dict(item)
    if "tax_rates" in wish:
        found["tax_rates"] = taxes.check_rates(ctx, wish["tax_rates"], f"{where}[tax_rates]")
    if "discounts" in wish:
        holder = Holder(
            customer=subscription["customer"],
            currency=subscription["currency"],
            at_s=ctx.now(subscription["test_clock"]),
            test_clock=subscription["test_clock"],
            subscription=subscription["id"],
            subscription_item=item["id"],
        )
        old = item["discounts"]
        found["discounts"] = redeem_all(ctx, wish["discounts"], holder, old, f"{where}[discounts]")
        detach_missing(ctx, old, found["discounts"])
    return found
