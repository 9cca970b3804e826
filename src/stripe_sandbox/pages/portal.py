"""The customer portal: its overview, the customer's own details, and the page after a flow."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.responses import Response

from stripe_sandbox.documents import Doc
from stripe_sandbox.engine.renew import ENDED, items_of
from stripe_sandbox.objects import desk
from stripe_sandbox.objects.customer import ADDRESS_FIELDS
from stripe_sandbox.pages import portal_cards, portal_change, portal_subscription, portal_tax_ids, render
from stripe_sandbox.pages.portal_stay import Stay, finished, log_in, stay_of
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.forms import Raw

_MAX_INVOICES = 24
_SHOWN_INVOICES = frozenset({"open", "paid", "uncollectible", "void"})
# What a page says after something was done; the address only names the sentence.
TOLD = {
    "added": "The card was added.",
    "canceled": "Your subscription will end. You can keep it until then.",
    "changed": "Your subscription was changed.",
    "default": "This card pays from now on.",
    "details": "Your details were saved.",
    "ended": "Your subscription has ended.",
    "kept": "Your subscription goes on.",
    "no_tax_id": "The tax number was removed.",
    "removed": "The card was removed.",
    "scheduled": "Your subscription will change at the end of the period.",
    "tax_id": "The tax number was added.",
    "unscheduled": "Your subscription stays as it is.",
}
_LABELS = {
    "email": "E-mail",
    "name": "Name",
    "phone": "Phone",
    "line1": "Street and number",
    "line2": "Addition",
    "postal_code": "Postal code",
    "city": "City",
    "state": "State or canton",
    "country": "Country (two letters)",
}
_FLOW_PAGES = {
    "customer_update": "/details",
    "payment_method_update": "/cards/new",
    "subscription_cancel": "/subscriptions/{subscription}/cancel",
    "subscription_update": "/subscriptions/{subscription}/change",
    "subscription_update_confirm": "/subscriptions/{subscription}/confirm",
}


def home(visit: Visit) -> Response:
    """Show the overview, or go to the page of the flow the customer was sent here for."""
    stay = stay_of(visit)
    if stay.flow:
        details = stay.flow.get(stay.flow["type"]) or {}
        return render.go(stay.home + _FLOW_PAGES[stay.flow["type"]].format(subscription=details.get("subscription")))
    return stay.page(
        "portal.html",
        headline=stay.headline,
        told=TOLD.get(visit.query.get("told", "")),
        customer=stay.customer,
        features=stay.features,
        subscriptions=[_subscription(stay, doc) for doc in _select(stay, "subscription") if doc["status"] not in ENDED],
        cards=portal_cards.cards_of(stay),
        invoices=[stay.ctx.shown(doc) for doc in _select(stay, "invoice") if doc["status"] in _SHOWN_INVOICES],
    )


def _select(stay: Stay, kind: str) -> list[Doc]:
    page = Page(kind=kind, conditions=("customer=?",), arguments=(stay.customer["id"],), limit=_MAX_INVOICES)
    return stay.ctx.select(page)


def _subscription(stay: Stay, subscription: Doc) -> Doc:
    """Return what the overview says about a subscription."""
    items = items_of(stay.ctx, subscription["id"])
    prices = [stay.ctx.get("price", item["price"]) for item in items]
    product = stay.ctx.find("product", prices[0]["product"]) or {}
    fixed = [(item, price) for item, price in zip(items, prices, strict=True) if "quantity" in item]
    own = subscription["default_payment_method"]
    method = stay.ctx.find("payment_method", own) if own else None
    return {
        "id": subscription["id"],
        "name": product.get("name", "Subscription"),
        "status": subscription["status"],
        "cancel_at": subscription["cancel_at"],
        "renews_at": min(item["current_period_end"] for item in items),
        "currency": subscription["currency"],
        "rhythm": prices[0]["recurring"],
        "fixed": portal_subscription.fixed_amount(fixed),
        "by_use": len(fixed) < len(items),
        "method": method,
        "own_card": own is not None and own != stay.customer["invoice_settings"]["default_payment_method"],
        "may_change": portal_change.may_change(stay, subscription),
        "coming_at": _coming(stay, subscription),
        "owed": _owed(stay, subscription),
    }


def _coming(stay: Stay, subscription: Doc) -> int | None:
    """Return when a change that was put off will come."""
    if not subscription["schedule"]:
        return None
    schedule = stay.ctx.get("subscription_schedule", subscription["schedule"])
    running = schedule["current_phase"]
    later = [
        phase["start_date"] for phase in schedule["phases"] if running and phase["start_date"] >= running["end_date"]
    ]
    return min(later, default=None)


def _owed(stay: Stay, subscription: Doc) -> Doc | None:
    """Return the open invoice that keeps a subscription from being active."""
    if subscription["status"] not in {"past_due", "unpaid", "incomplete"} or not subscription["latest_invoice"]:
        return None
    invoice = stay.ctx.get("invoice", subscription["latest_invoice"])
    return stay.ctx.shown(invoice) if invoice["status"] == "open" else None


def done(visit: Visit) -> Response:
    """Confirm that a flow is over, with the integration's own words if it gave some."""
    stay = stay_of(visit)
    after = (stay.session["flow"] or {}).get("after_completion") or {}
    custom = (after.get("hosted_confirmation") or {}).get("custom_message")
    text = custom or TOLD.get(visit.query.get("told", ""), "All done.")
    link = (stay.session["return_url"], "Go back") if stay.session["return_url"] else None
    return render.notice("Done", text, link=link)


def details(visit: Visit) -> Response:
    """Show the customer's details as a form."""
    stay = stay_of(visit)
    return details_form(stay, {}, {})


def save_details(visit: Visit) -> Response:
    """Save the customer's details as an API update would."""
    stay = stay_of(visit)
    fields = _fields(stay)
    form = {name: visit.form.get(name, "") for name in fields}
    if "email" in fields and not re.fullmatch(r"[^@\s]+@[^@\s]+", form["email"]):
        return details_form(stay, form, {"email": "Enter an e-mail address, such as name@example.com."}, 422)
    sent: dict[str, Raw] = {name: form[name] for name in fields if name not in ADDRESS_FIELDS}
    if "line1" in fields:
        sent["address"] = {name: form[name] for name in ADDRESS_FIELDS}
    try:
        with stay.ctx.store.attempt():
            desk.act(stay.ctx, "POST", f"/v1/customers/{stay.customer['id']}", sent)
    except BadRequest as refusal:
        return details_form(stay, form, {refusal.param or "name": refusal.message}, 422)
    return finished(stay, "details")


def _fields(stay: Stay) -> dict[str, str]:
    """Return the fields the configuration lets a customer change, with their labels."""
    allowed = stay.allow("customer_update")["allowed_updates"]
    names = [name for name in ("name", "email", "phone") if name in allowed]
    names += [name for name in _LABELS if name in ADDRESS_FIELDS] if "address" in allowed else []
    return {name: _LABELS[name] for name in names}


def _typed(customer: Doc) -> dict[str, str]:
    values = {**customer, **(customer["address"] or {})}
    return {name: values.get(name) or "" for name in _LABELS}


def details_form(stay: Stay, typed: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    """Show the details page with what was typed over what is known."""
    return stay.page(
        "portal_details.html",
        status,
        fields=_fields(stay),
        typed=_typed(stay.customer) | typed,
        errors=errors,
        told=TOLD.get(stay.visit.query.get("told", "")),
        tax_ids=portal_tax_ids.shown(stay),
        kinds=portal_tax_ids.KINDS if portal_tax_ids.may_change(stay) else {},
    )


_BASE = "/p/{account}/{session}/{token}"
PAGES: tuple[tuple[str, str, Callable[[Visit], Response]], ...] = (
    ("GET", "/p/session/{account}/{session}/{token}", log_in),
    ("GET", _BASE, home),
    ("GET", f"{_BASE}/done", done),
    ("GET", f"{_BASE}/details", details),
    ("POST", f"{_BASE}/details", save_details),
    *((method, _BASE + path, answer) for method, path, answer in portal_cards.PAGES),
    *((method, _BASE + path, answer) for method, path, answer in portal_change.PAGES),
    *((method, _BASE + path, answer) for method, path, answer in portal_tax_ids.PAGES),
    *((method, _BASE + path, answer) for method, path, answer in portal_subscription.PAGES),
)
