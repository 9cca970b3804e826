"""The customer's tax ids in the portal: added and taken away, where the configuration allows it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import tax_ids
from stripe_sandbox.objects import desk
from stripe_sandbox.pages import render
from stripe_sandbox.pages.portal_stay import Stay, stay_of
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.wire.errors import BadRequest, NotFound

# What the form offers; the API takes every kind.
KINDS = {
    "eu_vat": "European Union: VAT number",
    "ch_vat": "Switzerland: VAT number",
    "ch_uid": "Switzerland: UID number",
    "gb_vat": "United Kingdom: VAT number",
    "li_vat": "Liechtenstein: VAT number",
    "no_vat": "Norway: VAT number",
    "us_ein": "United States: EIN",
}


def may_change(stay: Stay) -> bool:
    """Return whether the configuration lets a customer change tax ids."""
    return "tax_id" in stay.allow("customer_update")["allowed_updates"]


def shown(stay: Stay) -> list[Doc]:
    """Return what the details page says of each tax id."""
    found = tax_ids.of_customer(stay.ctx, stay.customer["id"])
    return [one | {"label": KINDS.get(one["type"], one["type"].replace("_", " ").upper())} for one in found]


def _stay(visit: Visit) -> Stay:
    stay = stay_of(visit)
    if not may_change(stay):
        raise NotFound("There is no such page.")
    return stay


def add(visit: Visit) -> Response:
    """Add a tax id as the API would; one that cannot be right is told in place."""
    from stripe_sandbox.pages.portal import details_form

    stay = _stay(visit)
    wish = {name: visit.form.get(name, "").strip() for name in ("kind", "value")}
    try:
        with stay.ctx.store.attempt():
            path = f"/v1/customers/{stay.customer['id']}/tax_ids"
            desk.act(stay.ctx, "POST", path, {"type": wish["kind"], "value": wish["value"]})
    except BadRequest:
        return details_form(stay, wish, {"value": "This cannot be such a number. Look at how it is written."}, 422)
    return render.go(f"{stay.home}/details?told=tax_id")


def remove(visit: Visit) -> Response:
    """Take a tax id away."""
    stay = _stay(visit)
    desk.act(stay.ctx, "DELETE", f"/v1/customers/{stay.customer['id']}/tax_ids/{visit.ids['tax_id']}")
    return render.go(f"{stay.home}/details?told=no_tax_id")


PAGES: tuple[tuple[str, str, Callable[[Visit], Response]], ...] = (
    ("POST", "/tax-ids", add),
    ("POST", "/tax-ids/{tax_id}/remove", remove),
)
