"""The hosted invoice: what is billed, a way to pay it, and the file.

A failed payment is recorded on the invoice as one by the API is; a card that wants its holder leads to the bank's page.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable

from starlette.responses import Response

from stripe_sandbox.documents import Doc
from stripe_sandbox.engine.collect import Attempt, collect, payment_method_id
from stripe_sandbox.engine.intents import intent_of
from stripe_sandbox.objects import desk
from stripe_sandbox.objects.checkout_complete import attach_entered
from stripe_sandbox.objects.invoice import page_path
from stripe_sandbox.pages import card_form, render
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.wire.errors import CardDeclined, NotFound, StripeError

_UNCONFIRMED = "Your bank could not confirm that it is you. Try again, or use another card."


def _invoice(visit: Visit) -> Doc:
    invoice = visit.ctx.find("invoice", visit.ids["invoice"])
    token = (invoice or {}).get("_token", "")
    if invoice is None or not hmac.compare_digest(token.encode(), visit.ids["token"].encode()):
        raise NotFound("There is no such invoice.")
    return invoice


def seller(visit: Visit) -> str:
    """Return the name of whoever sells."""
    row = visit.ctx.store.row("SELECT body FROM accounts WHERE id=?", visit.ctx.account)
    body = json.loads(row["body"]) if row else {}
    return str(body["settings"]["dashboard"]["display_name"])


def show(visit: Visit) -> Response:
    """Show the invoice."""
    return _page(visit, _invoice(visit), {}, {})


def pdf(visit: Visit) -> Response:
    """Send the invoice as a file."""
    from stripe_sandbox.pages.invoice_pdf import draw

    invoice = _invoice(visit)
    headers = render.HEADERS | {"Content-Disposition": f'inline; filename="Invoice-{invoice["number"]}.pdf"'}
    return Response(draw(invoice, seller(visit)), media_type="application/pdf", headers=headers)


def pay(visit: Visit) -> Response:
    """Pay with the card on file or a typed one; paying what is paid changes nothing."""
    invoice = _invoice(visit)
    if invoice["status"] != "open":
        return render.go(_path(visit, invoice))
    if visit.form.get("with") == "saved":
        method = payment_method_id(visit.ctx, invoice)
        return _charge(visit, invoice, method) if method else render.go(_path(visit, invoice))
    card, errors = card_form.read(visit.form, visit.ctx.now())
    if card is None:
        return _page(visit, invoice, visit.form, errors, 422)
    try:
        with visit.ctx.store.attempt():
            method = attach_entered(visit.ctx, card, invoice["customer"], email=invoice["customer_email"])
    except CardDeclined as refusal:
        return _page(visit, invoice, visit.form, {card_form.field_of(refusal): refusal.message}, refusal.status)
    return _charge(visit, invoice, method, typed=True)


def _charge(visit: Visit, invoice: Doc, method: str, *, typed: bool = False, authenticated: bool = False) -> Response:
    attempt = Attempt(automatic=False, method=method, authenticated=authenticated)
    refusal = collect(visit.ctx, invoice, attempt)
    if refusal is None:
        return render.go(_path(visit, invoice))
    if _waits(visit, invoice):
        return render.go(f"{_path(visit, invoice)}/authenticate")
    return _declined(visit, method, refusal, typed=typed)


def _declined(visit: Visit, method: str, refusal: StripeError, *, typed: bool) -> Response:
    """Tell of the decline; a card that was typed for this payment only does not stay with the customer."""
    if typed:
        desk.act(visit.ctx, "POST", f"/v1/payment_methods/{method}/detach")
    field = card_form.field_of(refusal) if typed else "saved"
    return _page(visit, _invoice(visit), visit.form, {field: refusal.message}, refusal.status)


def _waits(visit: Visit, invoice: Doc) -> bool:
    """Return whether the payment waits for the holder's word."""
    intent = intent_of(visit.ctx, invoice)
    return intent is not None and intent["status"] == "requires_action"


def bank(visit: Visit) -> Response:
    """Show the bank's page while a payment waits for it."""
    invoice = _invoice(visit)
    if invoice["status"] != "open" or not _waits(visit, invoice):
        return render.go(_path(visit, invoice))
    return render.page("authenticate.html", amount=invoice["amount_remaining"], currency=invoice["currency"])


def answer_bank(visit: Visit) -> Response:
    """Take the holder's answer on the bank's page."""
    invoice = _invoice(visit)
    intent = intent_of(visit.ctx, invoice)
    if invoice["status"] != "open" or intent is None or intent["status"] != "requires_action":
        return render.go(_path(visit, invoice))
    if visit.form.get("answer") != "authorise":
        return _page(visit, invoice, {}, {"form": _UNCONFIRMED}, 402)
    return _charge(visit, invoice, intent["payment_method"], authenticated=True)


def _path(visit: Visit, invoice: Doc) -> str:
    return page_path(visit.ctx.account, invoice)


def _page(visit: Visit, invoice: Doc, typed: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    saved = payment_method_id(visit.ctx, invoice) if invoice["status"] == "open" else None
    return render.page(
        "invoice.html",
        status,
        invoice=invoice,
        lines=invoice["_lines"],
        seller=seller(visit),
        saved=visit.ctx.find("payment_method", saved) if saved else None,
        waits=invoice["status"] == "open" and _waits(visit, invoice),
        path=_path(visit, invoice),
        typed={name: typed[name] for name in typed if name != "cardCvc"},
        errors=errors,
        suggested=card_form.SUGGESTED,
    )


_BASE = "/i/{account}/{invoice}/{token}"
PAGES: tuple[tuple[str, str, Callable[[Visit], Response]], ...] = (
    ("GET", _BASE, show),
    ("POST", _BASE, pay),
    ("GET", f"{_BASE}/pdf", pdf),
    ("GET", f"{_BASE}/authenticate", bank),
    ("POST", f"{_BASE}/authenticate", answer_bank),
)
