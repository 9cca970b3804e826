"""The hosted page of a checkout session: pay, be declined, confirm with the bank, go back, come too late."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.responses import Response

from stripe_sandbox.documents import Doc
from stripe_sandbox.objects import checkout_session, checkout_sums
from stripe_sandbox.objects.checkout_complete import Buyer, EnteredCard, complete, needs_card
from stripe_sandbox.pages import card_form, render
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.wire.errors import BadRequest, CardDeclined, NotFound, StripeError

_PLACEHOLDER = "{CHECKOUT_SESSION_ID}"
_EMAIL_SHAPE = r"[^@\s]+@[^@\s]+"
_UNCONFIRMED = "Your bank could not confirm that it is you. Try again, or use another card."


def _session(visit: Visit) -> Doc:
    session = visit.ctx.find(checkout_session.NAME, visit.ids["session"])
    if session is None:
        raise NotFound("There is no such checkout.")
    return session


def _not_open(session: Doc) -> Response | None:
    """Return what a session that is over shows, or None for an open one."""
    if session["status"] == "open":
        return None
    if session["status"] == "complete":
        return render.go(_success_url(session))
    link = (session["cancel_url"], "Go back") if session["cancel_url"] else None
    text = "The time for this payment is over. Nothing was charged. Go back and start again."
    return render.notice("This checkout has expired", text, link=link, status=410)


def _success_url(session: Doc) -> str:
    return str(session["success_url"]).replace(_PLACEHOLDER, session["id"])


def show(visit: Visit) -> Response:
    """Show the page of an open session."""
    session = _session(visit)
    return _not_open(session) or _form(visit, session, {}, {})


def pay(visit: Visit) -> Response:
    """Take the form: go on to the bank, complete the session, or say what is wrong where it is wrong."""
    session = _session(visit)
    over = _not_open(session)
    if over:
        return over
    if visit.form.get("act") in _ACTS:
        return _recount(visit, session, _ACTS[visit.form["act"]])
    email, errors = _email(visit, session)
    if session["automatic_tax"]["status"] == "requires_location_inputs":
        errors["country"] = "Enter your country, so that the tax can be counted."
    card = None
    if needs_card(session):
        card, wrong = card_form.read(visit.form, visit.ctx.now())
        errors |= wrong
    if errors:
        return _form(visit, session, visit.form, errors, 422)
    buyer = Buyer(email=email, name=visit.form.get("billingName"), card=card)
    if card and card.needs_authentication:
        return _ask_bank(visit, session, buyer)
    return _complete(visit, session, buyer)


def _take_code(visit: Visit, session: Doc) -> None:
    if not session["allow_promotion_codes"]:
        raise BadRequest("This checkout takes no codes.")
    checkout_sums.take_code(visit.ctx, session, visit.form.get("promotionCode", ""))


def _take_country(visit: Visit, session: Doc) -> None:
    if not session["automatic_tax"]["enabled"]:
        raise BadRequest("This checkout counts no tax.")
    checkout_sums.take_country(visit.ctx, session, visit.form.get("country", ""))


_ACTS = {"code": _take_code, "country": _take_country}


def _recount(visit: Visit, session: Doc, act: Callable[[Visit, Doc], None]) -> Response:
    """Count anew with what was typed; the page shows what comes of it, or why nothing does."""
    try:
        act(visit, session)
    except StripeError as refusal:
        field = {"promotion_code": "promotionCode", "country": "country"}.get(refusal.param or "", "form")
        return _form(visit, _session(visit), visit.form, {field: refusal.message}, 422)
    visit.ctx.write(session)
    return _form(visit, session, visit.form, {})


def _email(visit: Visit, session: Doc) -> tuple[str, dict[str, str]]:
    email = _fixed_email(visit, session) or visit.form.get("email", "")
    if re.fullmatch(_EMAIL_SHAPE, email):
        return email, {}
    return email, {"email": "Enter an e-mail address, such as name@example.com."}


def _fixed_email(visit: Visit, session: Doc) -> str | None:
    customer = visit.ctx.find("customer", session["customer"]) if session["customer"] else None
    found: str | None = (customer or {}).get("email") or session["customer_email"]
    return found


def _complete(visit: Visit, session: Doc, buyer: Buyer) -> Response:
    """Complete the session, or leave everything as it was and show the refusal."""
    try:
        with visit.ctx.store.attempt():
            complete(visit.ctx, session, buyer)
    except CardDeclined as refusal:
        return _refused(visit, refusal, card_form.field_of(refusal))
    except StripeError as refusal:
        return _refused(visit, refusal, "form")
    return render.go(_success_url(session))


def _refused(visit: Visit, refusal: StripeError, field: str) -> Response:
    """Show the form again; the session is read anew, because the refused attempt changed its copy."""
    session = _session(visit)
    return _form(visit, session, visit.form, {field: refusal.message}, refusal.status)


def _ask_bank(visit: Visit, session: Doc, buyer: Buyer) -> Response:
    card = buyer.card
    pending: Doc = {"email": buyer.email, "name": buyer.name}
    if card:
        pending |= {"token": card.token, "month": card.exp_month, "year": card.exp_year, "holder": card.holder}
    visit.ctx.write(session | {"_pending": pending})
    return render.go(f"{_path(visit)}/authenticate")


def _path(visit: Visit) -> str:
    return checkout_session.page_path(visit.ctx.account, visit.ids["session"])


def bank(visit: Visit) -> Response:
    """Show the bank's page."""
    session = _session(visit)
    over = _not_open(session)
    if over:
        return over
    if not session.get("_pending"):
        return render.go(_path(visit))
    return render.page("authenticate.html", amount=session["amount_total"] or 0, currency=session["currency"])


def answer_bank(visit: Visit) -> Response:
    """Take the holder's answer on the bank's page."""
    session = _session(visit)
    over = _not_open(session)
    pending = session.get("_pending")
    if over or not pending:
        return over or render.go(_path(visit))
    if visit.form.get("answer") != "authorise":
        visit.ctx.write(session | {"_pending": None})
        return _form(visit, session, {"email": pending["email"]}, {"cardNumber": _UNCONFIRMED}, 402)
    card = EnteredCard(
        token=pending["token"], exp_month=pending["month"], exp_year=pending["year"], holder=pending["holder"]
    )
    buyer = Buyer(email=pending["email"], name=pending["name"], card=card, authenticated=True)
    return _complete(visit, session, buyer)


def _meter_name(visit: Visit, line: Doc) -> str | None:
    """Return what a metered line counts, or None for a fixed one."""
    if not checkout_session.is_metered(line):
        return None
    meter = visit.ctx.find("billing.meter", line["price"]["recurring"]["meter"]) or {}
    return str(meter.get("display_name", "use"))


def _form(visit: Visit, session: Doc, typed: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    fixed = _fixed_email(visit, session)
    return render.page(
        "checkout.html",
        status,
        session=session,
        lines=[line | {"metered": _meter_name(visit, line)} for line in session["_lines"]],
        recurring=next((line["price"]["recurring"] for line in session["_lines"] if line["price"]["recurring"]), None),
        needs_card=needs_card(session),
        fixed_email=fixed,
        typed={"email": fixed or "", **{name: typed[name] for name in typed if name != "cardCvc"}},
        errors=errors,
        action=_path(visit),
        suggested=card_form.SUGGESTED,
    )


PAGES: tuple[tuple[str, str, Callable[[Visit], Response]], ...] = (
    ("GET", "/c/pay/{account}/{session}", show),
    ("POST", "/c/pay/{account}/{session}", pay),
    ("GET", "/c/pay/{account}/{session}/authenticate", bank),
    ("POST", "/c/pay/{account}/{session}/authenticate", answer_bank),
)
