"""A subscription in the portal: cancel it, keep it, choose which card pays.

Stripe: a cancellation in the portal of a flexible subscription sets ``cancel_at`` and leaves
``cancel_at_period_end`` false.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from starlette.responses import Response

from stripe_sandbox.documents import Doc
from stripe_sandbox.engine.amounts import line_amount
from stripe_sandbox.engine.renew import ENDED, items_of
from stripe_sandbox.objects import desk
from stripe_sandbox.objects.portal_configuration import REASONS
from stripe_sandbox.pages.portal_stay import Stay, finished, stay_of
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.wire.errors import NotFound
from stripe_sandbox.wire.forms import Raw

_MAX_COMMENT = 1000


def fixed_amount(fixed: list[tuple[Doc, Doc]]) -> int:
    """Return what the fixed items cost a period, in minor units."""
    return sum(line_amount(Decimal(item["quantity"]), price["unit_amount_decimal"]) for item, price in fixed)


def own(stay: Stay) -> Doc:
    subscription = stay.ctx.find("subscription", stay.visit.ids["subscription"])
    if subscription is None or subscription["customer"] != stay.customer["id"] or subscription["status"] in ENDED:
        raise NotFound("There is no such subscription.")
    return subscription


def path_of(subscription: Doc) -> str:
    """Return the subscription's address in the API."""
    return f"/v1/subscriptions/{subscription['id']}"


def _name(stay: Stay, subscription: Doc) -> str:
    price = stay.ctx.get("price", items_of(stay.ctx, subscription["id"])[0]["price"])
    return str((stay.ctx.find("product", price["product"]) or {}).get("name", "Subscription"))


def ask_cancel(visit: Visit) -> Response:
    """Say what a cancellation means before it is done."""
    stay = stay_of(visit)
    subscription, settings = own(stay), stay.allow("subscription_cancel")
    reason = settings["cancellation_reason"]
    return stay.page(
        "portal_cancel.html",
        name=_name(stay, subscription),
        ends_at=max(item["current_period_end"] for item in items_of(stay.ctx, subscription["id"])),
        at_once=settings["mode"] == "immediately",
        reasons=reason["options"] if reason["enabled"] else [],
    )


def cancel(visit: Visit) -> Response:
    """Cancel as the configuration says; canceling twice changes nothing more."""
    stay = stay_of(visit)
    subscription, settings = own(stay), stay.allow("subscription_cancel")
    why = _why(visit)
    if settings["mode"] == "immediately":
        prorate = settings["proration_behavior"]
        fields: dict[str, Raw] = {"cancellation_details": why} if why else {}
        if prorate != "none":
            fields |= {"prorate": "true", "invoice_now": "true" if prorate == "always_invoice" else "false"}
        desk.act(stay.ctx, "DELETE", path_of(subscription), fields)
        return finished(stay, "ended")
    if subscription["cancel_at"] is None:
        asked: dict[str, Raw] = {"cancel_at": "max_period_end"}
        desk.act(stay.ctx, "POST", path_of(subscription), asked | ({"cancellation_details": why} if why else {}))
    return finished(stay, "canceled")


def _why(visit: Visit) -> dict[str, Raw]:
    why: dict[str, Raw] = {}
    if visit.form.get("reason") in REASONS:
        why["feedback"] = visit.form["reason"]
    if visit.form.get("comment"):
        why["comment"] = visit.form["comment"][:_MAX_COMMENT]
    return why


def keep(visit: Visit) -> Response:
    """Take a planned cancellation back."""
    stay = stay_of(visit)
    subscription = own(stay)
    stay.allow("subscription_cancel")
    if subscription["cancel_at"] is not None:
        desk.act(stay.ctx, "POST", path_of(subscription), {"cancel_at": ""})
    return finished(stay, "kept")


def use_default_card(visit: Visit) -> Response:
    """Let the customer's default card pay for a subscription that had a card of its own."""
    stay = stay_of(visit)
    subscription = own(stay)
    stay.allow("payment_method_update")
    desk.act(stay.ctx, "POST", path_of(subscription), {"default_payment_method": ""})
    return finished(stay, "default")


PAGES: tuple[tuple[str, str, Callable[[Visit], Response]], ...] = (
    ("GET", "/subscriptions/{subscription}/cancel", ask_cancel),
    ("POST", "/subscriptions/{subscription}/cancel", cancel),
    ("POST", "/subscriptions/{subscription}/keep", keep),
    ("POST", "/subscriptions/{subscription}/card", use_default_card),
)
