"""Another price or quantity in the portal: chosen there or prepared by the integration, shown first, then carried out.

Stripe: only prices the configuration offers, only for a subscription of one item and without a schedule. A change that
meets a condition of ``schedule_at_period_end`` waits for the end of the period; any other happens at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from starlette.responses import Response

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine.amounts import line_amount
from stripe_sandbox.engine.lines import is_metered
from stripe_sandbox.engine.renew import items_of
from stripe_sandbox.objects import desk, promotion_code
from stripe_sandbox.pages import render
from stripe_sandbox.pages.portal_stay import Stay, finished, stay_of
from stripe_sandbox.pages.portal_subscription import own, path_of
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.wire.errors import BadRequest, NotFound, StripeError
from stripe_sandbox.wire.forms import Raw

_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_MOST = 999_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a subscription's one item is to become."""

    subscription: Doc
    item: Doc
    old: Doc
    new: Doc
    quantity: int | None
    discounts: tuple[dict[str, Raw], ...] = ()

    @property
    def fields(self) -> dict[str, Raw]:
        """The item as the API takes it."""
        wish: dict[str, Raw] = {"id": self.item["id"], "price": self.new["id"]}
        return wish | ({} if self.quantity is None else {"quantity": str(self.quantity)})


def may_change(stay: Stay, subscription: Doc) -> bool:
    """Return whether the portal can change this subscription."""
    settings = stay.features["subscription_update"]
    items = items_of(stay.ctx, subscription["id"])
    free = subscription["schedule"] is None and subscription["cancel_at"] is None
    return bool(settings["enabled"] and settings["products"] and free and len(items) == 1)


def choose(visit: Visit) -> Response:
    """Show what the configuration offers."""
    stay = stay_of(visit)
    return _choice(stay, own(stay))


def _choice(stay: Stay, subscription: Doc, error: str | None = None) -> Response:
    settings = stay.allow("subscription_update")
    if not may_change(stay, subscription):
        raise NotFound("There is no such page.")
    item = items_of(stay.ctx, subscription["id"])[0]
    typed = {"quantity": str(item.get("quantity", 1))} | stay.visit.query
    return stay.page(
        "portal_change.html",
        200 if error is None else 422,
        offers=_offers(stay.ctx, settings, item),
        chosen=typed.get("price", item["price"]),
        quantity="quantity" in settings["default_allowed_updates"] and "quantity" in item,
        code="promotion_code" in settings["default_allowed_updates"],
        typed=typed,
        error=error,
    )


def _offers(ctx: Context, settings: Doc, item: Doc) -> list[Doc]:
    """Return every offered price with its product's name; without leave to change it, only the present one."""
    found = []
    for product in settings["products"]:
        named = ctx.find("product", product["product"]) or {}
        for price_id in product["prices"]:
            price = ctx.get("price", price_id)
            name = price["nickname"] or named.get("name", "")
            found.append({"price": price, "name": name, "is_current": price_id == item["price"]})
    if "price" in settings["default_allowed_updates"]:
        return found
    return [offer for offer in found if offer["is_current"]]


def ask_update(visit: Visit) -> Response:
    """Show what the change costs, and when."""
    stay = stay_of(visit)
    try:
        change = _wanted(stay, visit.query)
    except BadRequest as refusal:
        return _choice(stay, own(stay), refusal.message)
    return _confirmation(stay, change)


def confirm_update(visit: Visit) -> Response:
    """Carry out the change; a declined payment is told and changes nothing."""
    stay = stay_of(visit)
    change = _wanted(stay, visit.form)
    try:
        with stay.ctx.store.attempt():
            if _waits(stay, change):
                _schedule(stay, change)
            else:
                _change_now(stay, change)
    except StripeError as refusal:
        return _confirmation(stay, change, refusal)
    return finished(stay, "scheduled" if _waits(stay, change) else "changed")


def _wanted(stay: Stay, typed: dict[str, str]) -> Change:
    """Return the change that the integration prepared, or that the customer chose."""
    subscription, flow = own(stay), stay.flow or {}
    item = items_of(stay.ctx, subscription["id"])[0]
    if flow.get("type") == "subscription_update_confirm":
        prepared = flow["subscription_update_confirm"]
        wish = prepared["items"][0]
        discounts = tuple({k: v for k, v in one.items() if v} for one in prepared.get("discounts") or ())
    else:
        wish = _chosen(stay, subscription, item, typed)
        discounts = _code(stay, typed)
    new = stay.ctx.get("price", wish.get("price") or item["price"])
    quantity = None if is_metered(new) else wish.get("quantity") or item.get("quantity", 1)
    old = stay.ctx.get("price", item["price"])
    return Change(subscription=subscription, item=item, old=old, new=new, quantity=quantity, discounts=discounts)


def _chosen(stay: Stay, subscription: Doc, item: Doc, typed: dict[str, str]) -> Doc:
    settings = stay.allow("subscription_update")
    if not may_change(stay, subscription):
        raise NotFound("There is no such page.")
    price = str(typed.get("price", item["price"]))
    if price not in [offer["price"]["id"] for offer in _offers(stay.ctx, settings, item)]:
        raise BadRequest("Choose one of the plans.")
    if "quantity" not in settings["default_allowed_updates"] or "quantity" not in item:
        return {"price": price}
    limits = _limits(stay.ctx, settings, price)
    amount = typed.get("quantity", str(item["quantity"]))
    if not amount.isascii() or not amount.isdigit() or not limits[0] <= int(amount) <= limits[1]:
        raise BadRequest(f"The quantity must be a whole number from {limits[0]} to {limits[1]}.")
    return {"price": price, "quantity": int(amount)}


def _limits(ctx: Context, settings: Doc, price_id: str) -> tuple[int, int]:
    """Return the least and the most of a price's product that may be chosen."""
    wanted = ctx.get("price", price_id)["product"]
    product = next(product for product in settings["products"] if product["product"] == wanted)
    limits = product["adjustable_quantity"]
    if not limits["enabled"]:
        return 1, _MOST
    return max(limits.get("minimum") or 1, 1), limits.get("maximum") or _MOST


def _code(stay: Stay, typed: dict[str, str]) -> tuple[dict[str, Raw], ...]:
    allowed = "promotion_code" in stay.features["subscription_update"]["default_allowed_updates"]
    if not allowed or not typed.get("code"):
        return ()
    code = promotion_code.active_code(stay.ctx, typed["code"])
    if code is None:
        raise BadRequest("This promotion code is not valid.")
    return ({"promotion_code": code["id"]},)


def _waits(stay: Stay, change: Change) -> bool:
    """Return whether a condition of the configuration puts the change off to the end of the period."""
    conditions = stay.features["subscription_update"]["schedule_at_period_end"]["conditions"]
    kinds = {condition["type"] for condition in conditions}
    before, after = _days(change.old), _days(change.new)
    if "shortening_interval" in kinds and after < before:
        return True
    old_amount = _amount(change.old, change.item.get("quantity"))
    return "decreasing_item_amount" in kinds and _amount(change.new, change.quantity) < old_amount


def _days(price: Doc) -> int:
    return int(_DAYS[price["recurring"]["interval"]] * price["recurring"]["interval_count"])


def _amount(price: Doc, quantity: int | None) -> int:
    return line_amount(Decimal(1 if quantity is None else quantity), price["unit_amount_decimal"])


def _change_now(stay: Stay, change: Change) -> None:
    settings = stay.features["subscription_update"]
    fields: dict[str, Raw] = {
        "items": {"0": change.fields},
        "proration_behavior": settings["proration_behavior"],
        "payment_behavior": "error_if_incomplete",
    }
    desk.act(stay.ctx, "POST", path_of(change.subscription), fields | _extra(settings, change))


def _extra(settings: Doc, change: Change) -> dict[str, Raw]:
    """Return what goes with the change besides its item."""
    extra: dict[str, Raw] = {}
    if change.discounts:
        extra["discounts"] = {str(index): dict(one) for index, one in enumerate(change.discounts)}
    if change.subscription["status"] == "trialing" and settings["trial_update_behavior"] == "end_trial":
        extra["trial_end"] = "now"
    elif settings["billing_cycle_anchor"] == "now":
        extra["billing_cycle_anchor"] = {"type": "now"}
    return extra


def _schedule(stay: Stay, change: Change) -> None:
    """Let the change come with the next period, by a schedule of two phases."""
    adopt: dict[str, Raw] = {"from_subscription": change.subscription["id"]}
    schedule = desk.act(stay.ctx, "POST", "/v1/subscription_schedules", adopt)
    running = schedule["phases"][0]
    kept: dict[str, Raw] = {"price": change.old["id"]}
    if "quantity" in change.item:
        kept["quantity"] = str(change.item["quantity"])
    coming = {name: value for name, value in change.fields.items() if name != "id"}
    times: dict[str, Raw] = {"start_date": str(running["start_date"]), "end_date": str(running["end_date"])}
    phases: dict[str, Raw] = {
        "0": {"items": {"0": kept}, **times},
        "1": {"items": {"0": coming}, "proration_behavior": "none"},
    }
    desk.act(stay.ctx, "POST", f"/v1/subscription_schedules/{schedule['id']}", {"phases": phases})


def stay_as_is(visit: Visit) -> Response:
    """Take back a change that waits for the end of the period."""
    stay = stay_of(visit)
    subscription = own(stay)
    stay.allow("subscription_update")
    if subscription["schedule"]:
        desk.act(stay.ctx, "POST", f"/v1/subscription_schedules/{subscription['schedule']}/release")
    return render.go(f"{stay.home}?told=unscheduled")


def _confirmation(stay: Stay, change: Change, refusal: StripeError | None = None) -> Response:
    product = stay.ctx.find("product", change.new["product"]) or {}
    waits = _waits(stay, change)
    return stay.page(
        "portal_confirm.html",
        200 if refusal is None else refusal.status,
        name=change.new["nickname"] or product.get("name", "Subscription"),
        price=change.new,
        quantity=1 if change.quantity is None else change.quantity,
        due=None if waits else _due_now(stay, change),
        starts_at=change.item["current_period_end"] if waits else None,
        typed={name: (stay.visit.form or stay.visit.query).get(name, "") for name in ("price", "quantity", "code")},
        errors={} if refusal is None else {"form": refusal.message},
    )


def _due_now(stay: Stay, change: Change) -> Doc | None:
    """Return the preview of what is charged at once, or None when nothing is."""
    settings = stay.features["subscription_update"]
    if settings["proration_behavior"] != "always_invoice":
        return None
    extra = _extra(settings, change)
    details: dict[str, Raw] = {"items": {"0": change.fields}, "proration_behavior": settings["proration_behavior"]}
    details |= {name: extra[name] for name in ("billing_cycle_anchor", "trial_end") if name in extra}
    fields: dict[str, Raw] = {"subscription": change.subscription["id"], "subscription_details": details}
    fields |= {name: extra[name] for name in ("discounts",) if name in extra}
    return desk.act(stay.ctx, "POST", "/v1/invoices/create_preview", fields)


PAGES: tuple[tuple[str, str, Callable[[Visit], Response]], ...] = (
    ("GET", "/subscriptions/{subscription}/change", choose),
    ("GET", "/subscriptions/{subscription}/confirm", ask_update),
    ("POST", "/subscriptions/{subscription}/confirm", confirm_update),
    ("POST", "/subscriptions/{subscription}/stay", stay_as_is),
)
