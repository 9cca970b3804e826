"""Coupons and promotion codes → discounts: redeemed, attached, used up.

Stripe: a discount begins when its coupon is redeemed; ``once`` ends with the first invoice it lowers, ``repeating``
after its months, ``forever`` never; deleting a coupon leaves its discounts alone. A discount keeps the terms its
coupon had when it was redeemed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, Params, new_id
from stripe_sandbox.engine import settle, timers
from stripe_sandbox.engine.periods import boundary
from stripe_sandbox.engine.reckon import Off
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, missing_param

KIND = "discount"
TIMER = "end_discount"
MAX_DISCOUNTS = 20
_TERMS = ("amount_off", "applies_to", "currency", "currency_options", "duration", "duration_in_months", "_percent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """What a discount is redeemed for: whose it is, where it hangs, from when, in which currency."""

    customer: str | None
    currency: str
    at_s: int
    test_clock: str | None = None
    worth: int | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    invoice: str | None = None
    invoice_item: str | None = None
    checkout_session: str | None = None


def is_valid(coupon: Doc, now_s: int) -> bool:
    """Return whether a coupon can still be redeemed."""
    used_up = coupon["max_redemptions"] is not None and coupon["times_redeemed"] >= coupon["max_redemptions"]
    late = coupon["redeem_by"] is not None and coupon["redeem_by"] <= now_s
    return not (used_up or late or coupon.get("deleted"))


def usable_coupon(ctx: Context, coupon_id: str, currency: str, at_s: int, param: str) -> Doc:
    """Return a coupon that can be redeemed now, in that currency."""
    coupon = ctx.get("coupon", coupon_id, param)
    if not is_valid(coupon, at_s):
        raise BadRequest(f"Coupon expired: {coupon_id}", code="coupon_expired", param=param)
    if coupon["_percent"] is None and amount_in(coupon, currency) is None:
        raise BadRequest(f"The coupon {coupon_id} takes nothing off an amount in {currency}.", param=param)
    return coupon


def amount_in(terms: Doc, currency: str) -> int | None:
    """Return the amount a coupon takes off in a currency."""
    if terms["currency"] == currency:
        return int(terms["amount_off"])
    found = (terms["currency_options"] or {}).get(currency)
    return int(found["amount_off"]) if found else None


def usable_code(ctx: Context, code: Doc, holder: Holder, param: str) -> Doc:
    """Check a promotion code against everything it is restricted to; return its coupon."""
    late = code["expires_at"] is not None and code["expires_at"] <= holder.at_s
    used_up = code["max_redemptions"] is not None and code["times_redeemed"] >= code["max_redemptions"]
    if not code["active"] or late or used_up:
        raise _refused_code("This promotion code is not active any more.", param)
    if code["customer"] not in (None, holder.customer):
        raise _refused_code("This promotion code is for another customer.", param)
    limits = code["restrictions"]
    if limits["first_time_transaction"] and holder.customer and _has_paid(ctx, holder.customer):
        raise _refused_code("This promotion code is for first purchases only.", param)
    least = _least(limits, holder.currency)
    if least is not None and holder.worth is not None and holder.worth < least:
        raise _refused_code("The amount is below what this promotion code asks for.", param)
    return usable_coupon(ctx, code["promotion"]["coupon"], holder.currency, holder.at_s, param)


def _least(limits: Doc, currency: str) -> int | None:
    if limits["minimum_amount"] is not None and limits["minimum_amount_currency"] == currency:
        return int(limits["minimum_amount"])
    found = (limits.get("currency_options") or {}).get(currency)
    return int(found["minimum_amount"]) if found else None


def _refused_code(message: str, param: str) -> BadRequest:
    return BadRequest(message, code="promotion_code_invalid", param=param)


def _has_paid(ctx: Context, customer: str) -> bool:
    condition = "json_extract(body,'$.paid')=1"
    page = Page(kind="charge", conditions=("customer=?", condition), arguments=(customer,), limit=1)
    return bool(ctx.select(page))


def redeem_all(ctx: Context, sent: list[Params] | None, holder: Holder, kept: list[str], param: str) -> list[str]:
    """Return the ids of the discounts a caller asks for: redeemed now, or kept from before."""
    wishes = sent or []
    found = [_redeem(ctx, wish, holder, kept, f"{param}[{index}]") for index, wish in enumerate(wishes)]
    if len(set(found)) < len(found):
        raise BadRequest("The same discount cannot be there twice.", param=param)
    return found


def _redeem(ctx: Context, wish: Params, holder: Holder, kept: list[str], where: str) -> str:
    named = [name for name in ("coupon", "discount", "promotion_code") if wish.get(name)]
    if len(named) > 1:
        message = f"You may only specify one of these parameters: {', '.join(named)}."
        raise BadRequest(message, code="parameters_exclusive", param=where)
    if not named:
        raise missing_param(f"{where}[coupon]")
    value = wish[named[0]]
    if named[0] == "discount":
        return _reused(ctx, value, holder, kept, f"{where}[discount]")
    if named[0] == "coupon":
        coupon = usable_coupon(ctx, value, holder.currency, holder.at_s, f"{where}[coupon]")
        return str(redeem(ctx, coupon, None, holder)["id"])
    code = ctx.get("promotion_code", value, f"{where}[promotion_code]")
    coupon = usable_code(ctx, code, holder, f"{where}[promotion_code]")
    return str(redeem(ctx, coupon, code, holder)["id"])


def _reused(ctx: Context, discount_id: str, holder: Holder, kept: list[str], param: str) -> str:
    found = ctx.get(KIND, discount_id, param)
    if discount_id not in kept and found["customer"] != holder.customer:
        raise BadRequest("This discount belongs to another customer.", param=param)
    return discount_id


def redeem(ctx: Context, coupon: Doc, code: Doc | None, holder: Holder) -> Doc:
    """Make a discount of a coupon; whoever it hangs on is changed by the caller."""
    ctx.write(coupon | {"times_redeemed": coupon["times_redeemed"] + 1})
    if code is not None:
        ctx.write(code | {"times_redeemed": code["times_redeemed"] + 1})
    made: Doc = {
        "id": new_id("di"),
        "object": KIND,
        "checkout_session": holder.checkout_session,
        "customer": holder.customer,
        "customer_account": None,
        "end": _end(coupon, holder.at_s),
        "invoice": holder.invoice,
        "invoice_item": holder.invoice_item,
        "promotion_code": code["id"] if code else None,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": holder.at_s,
        "subscription": holder.subscription,
        "subscription_item": holder.subscription_item,
        "_terms": {name: coupon[name] for name in _TERMS},
    }
    recurring = holder.subscription is not None
    ctx.add(made, "customer.discount.created" if recurring else None)
    if recurring and made["end"] is not None:
        timers.arm(ctx, {"id": made["id"], "test_clock": holder.test_clock}, TIMER, made["end"])
    return made


def _end(coupon: Doc, at_s: int) -> int | None:
    if coupon["duration"] != "repeating":
        return None
    return boundary(at_s, "month", coupon["duration_in_months"], 1)


def offs(ctx: Context, ids: list[str], currency: str, at_s: int) -> list[Off]:
    """Return the terms of the discounts that are still running."""
    found = []
    for discount_id in ids:
        kept = ctx.find(KIND, discount_id)
        if kept is None or not runs(kept, at_s):
            continue
        found.append(off_of(kept["_terms"], discount_id, currency))
    return found


def off_of(terms: Doc, name: str, currency: str) -> Off:
    """Return what the terms of a coupon take off in a currency."""
    percent = Decimal(terms["_percent"]) if terms["_percent"] is not None else None
    amount = None if percent is not None else amount_in(terms, currency) or 0
    limited = terms["applies_to"]
    products = frozenset(limited["products"]) if limited else None
    return Off(id=name, percent=percent, amount=amount, products=products)


def runs(kept: Doc, at_s: int) -> bool:
    """Return whether a discount lowers an invoice made at that time."""
    return kept["end"] is None or at_s < kept["end"]


def running(ctx: Context, ids: list[str], at_s: int) -> list[str]:
    """Return those of the discounts that lower an invoice made at that time."""
    return [one for one in ids if (kept := ctx.find(KIND, one)) is not None and runs(kept, at_s)]


def unused(ctx: Context, ids: list[str]) -> list[str]:
    """Return those of the discounts that were not taken off yet."""
    return [one for one in ids if (kept := ctx.find(KIND, one)) is not None and not kept.get("_over")]


def lasting(ctx: Context, ids: list[str]) -> list[str]:
    """Return those of the discounts that lower more than one invoice."""
    return [one for one in ids if (kept := ctx.find(KIND, one)) and kept["_terms"]["duration"] != "once"]


def use_up(ctx: Context, subscription: Doc, invoice: Doc) -> None:
    """Take the discounts that count once off what they hang on, if this invoice was lowered by them."""
    for line in invoice["_lines"]:
        for taken in line["discount_amounts"]:
            kept = ctx.find(KIND, taken["discount"])
            if kept and taken["amount"] and kept["_terms"]["duration"] == "once" and not kept.get("_over"):
                detach(ctx, kept, subscription)


def detach(ctx: Context, kept: Doc, subscription: Doc | None = None) -> Doc:
    """Take a discount off its subscription or item; a document passed in is brought up to date."""
    shown = ctx.shown(kept)
    timers.disarm(ctx, kept["id"], TIMER)
    ctx.write(kept | {"_over": True})
    if kept["subscription"] is None:
        return shown
    for owner in (subscription, _stored(ctx, kept)):
        if owner is not None and kept["id"] in owner["discounts"]:
            owner["discounts"] = [one for one in owner["discounts"] if one != kept["id"]]
            if owner is not subscription:
                ctx.write(owner)
    ctx.emit("customer.discount.deleted", shown)
    return shown


def detach_missing(ctx: Context, old: list[str], new: list[str]) -> None:
    """Take off the discounts that a caller's new list leaves out."""
    for discount_id in old:
        kept = ctx.find(KIND, discount_id)
        if discount_id not in new and kept is not None:
            detach(ctx, kept)


def _stored(ctx: Context, kept: Doc) -> Doc | None:
    if kept["subscription_item"] is not None:
        return ctx.find("subscription_item", kept["subscription_item"])
    return ctx.find("subscription", kept["subscription"])


def end(ctx: Context, discount_id: str) -> None:
    """Take a discount off because its months are over."""
    kept = ctx.get(KIND, discount_id)
    subscription = ctx.find("subscription", kept["subscription"])
    before = ctx.shown(subscription) if subscription else None
    detach(ctx, kept)
    if before is not None:
        ctx.update(ctx.get("subscription", kept["subscription"]), settle.SUBSCRIPTION_UPDATED, before)
