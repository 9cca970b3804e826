"""Cards in the portal: add one by a test number, choose which one pays, remove one."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from stripe_sandbox.documents import Doc
from stripe_sandbox.engine.renew import ENDED
from stripe_sandbox.objects import desk
from stripe_sandbox.objects.checkout_complete import attach_entered
from stripe_sandbox.pages import card_form
from stripe_sandbox.pages.portal_stay import Stay, finished, stay_of
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, CardDeclined, NotFound
from stripe_sandbox.wire.forms import Raw

_FEATURE = "payment_method_update"


def cards_of(stay: Stay) -> list[Doc]:
    """Return the customer's cards, newest first, each with whether it is the default and whether it may go."""
    page = Page(kind="payment_method", conditions=("customer=?",), arguments=(stay.customer["id"],))
    chosen = stay.customer["invoice_settings"]["default_payment_method"]
    paying = _paying(stay)
    return [
        method | {"is_default": method["id"] == chosen, "may_go": method["id"] not in paying}
        for method in stay.ctx.select(page)
    ]


def _paying(stay: Stay) -> set[str]:
    """Return the cards that running subscriptions depend on: these stay until another one pays."""
    page = Page(kind="subscription", conditions=("customer=?",), arguments=(stay.customer["id"],))
    default = stay.customer["invoice_settings"]["default_payment_method"]
    running = [doc for doc in stay.ctx.select(page) if doc["status"] not in ENDED]
    return {doc["default_payment_method"] or default for doc in running}


def form(visit: Visit) -> Response:
    """Show the form for a new card."""
    return _form(stay_of(visit), {}, {})


def add(visit: Visit) -> Response:
    """Attach the typed card and let it pay from now on, if asked or if it was what the customer came for."""
    stay = stay_of(visit)
    stay.allow(_FEATURE)
    card, errors = card_form.read(visit.form, stay.ctx.now())
    if card is None:
        return _form(stay, visit.form, errors, 422)
    try:
        with stay.ctx.store.attempt():
            method = attach_entered(stay.ctx, card, stay.customer["id"], email=stay.customer["email"])
    except CardDeclined as refusal:
        return _form(stay, visit.form, {card_form.field_of(refusal): refusal.message}, refusal.status)
    if stay.flow or visit.form.get("default") == "yes":
        _make_default(stay, method)
        return finished(stay, "default")
    return finished(stay, "added")


def make_default(visit: Visit) -> Response:
    """Let a card of the customer pay from now on."""
    stay = stay_of(visit)
    stay.allow(_FEATURE)
    _make_default(stay, _own(stay)["id"])
    return finished(stay, "default")


def remove(visit: Visit) -> Response:
    """Detach a card that nothing depends on."""
    stay = stay_of(visit)
    stay.allow(_FEATURE)
    method = _own(stay)
    if method["id"] in _paying(stay):
        raise BadRequest("This card pays for a running subscription. Let another card pay first.")
    desk.act(stay.ctx, "POST", f"/v1/payment_methods/{method['id']}/detach")
    return finished(stay, "removed")


def _make_default(stay: Stay, method_id: str) -> None:
    fields: dict[str, Raw] = {"invoice_settings": {"default_payment_method": method_id}}
    desk.act(stay.ctx, "POST", f"/v1/customers/{stay.customer['id']}", fields)


def _own(stay: Stay) -> Doc:
    method = stay.ctx.find("payment_method", stay.visit.ids["method"])
    if method is None or method["customer"] != stay.customer["id"]:
        raise NotFound("There is no such card.")
    return method


def _form(stay: Stay, typed: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    stay.allow(_FEATURE)
    kept = {name: typed[name] for name in typed if name != "cardCvc"}
    cards = cards_of(stay)
    return stay.page("portal_card.html", status, typed=kept, errors=errors, cards=cards, suggested=card_form.SUGGESTED)


PAGES: tuple[tuple[str, str, Callable[[Visit], Response]], ...] = (
    ("GET", "/cards/new", form),
    ("POST", "/cards/new", add),
    ("POST", "/cards/{method}/default", make_default),
    ("POST", "/cards/{method}/remove", remove),
)
