"""What a checkout session comes to: its lines with discounts and taxes, counted by the code that bills.

Stripe: ``amount_total`` is what is due now; a trial makes that nothing; a session takes one coupon or promotion code.
"""

from __future__ import annotations

import re

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, Params
from stripe_sandbox.engine import discounts, reckon, taxes
from stripe_sandbox.engine.discounts import Holder
from stripe_sandbox.objects import promotion_code
from stripe_sandbox.wire.errors import BadRequest, missing_param


def automatic_tax(sent: Params, customer: Doc | None) -> Doc:
    """Return the automatic tax of a session."""
    enabled = bool((sent.get("automatic_tax") or {}).get("enabled"))
    if customer is not None and (sent.get("customer_update") or {}).get("address") != "auto":
        taxes.check_location(customer, enabled=enabled)
    found = taxes.automatic(enabled=enabled, customer=customer)
    return {name: found[name] for name in ("enabled", "liability", "provider", "status")}


def read_discounts(ctx: Context, session: Doc, sent: Params) -> list[Doc]:
    """Return the discounts a session starts with; nothing is redeemed before it completes."""
    found = []
    for index, wish in enumerate(sent.get("discounts") or []):
        where = f"discounts[{index}]"
        if ("coupon" in wish) == ("promotion_code" in wish):
            raise missing_param(f"{where}[coupon]")
        holder = holder_of(ctx, session)
        if "coupon" in wish:
            discounts.usable_coupon(ctx, wish["coupon"], holder.currency, holder.at_s, f"{where}[coupon]")
        else:
            code = ctx.get("promotion_code", wish["promotion_code"], f"{where}[promotion_code]")
            discounts.usable_code(ctx, code, holder, f"{where}[promotion_code]")
        found.append({"coupon": wish.get("coupon"), "promotion_code": wish.get("promotion_code")})
    return found


def take_code(ctx: Context, session: Doc, typed: str) -> None:
    """Let a typed promotion code lower an open session; one that does not fit is refused."""
    code = promotion_code.active_code(ctx, typed)
    if code is None:
        raise BadRequest("This code is not valid.", code="promotion_code_invalid", param="promotion_code")
    discounts.usable_code(ctx, code, holder_of(ctx, session), "promotion_code")
    session["discounts"] = [{"coupon": None, "promotion_code": code["id"]}]
    sum_up(ctx, session)


def take_country(ctx: Context, session: Doc, typed: str) -> None:
    """Let a session be taxed by the country its buyer lives in."""
    country = typed.upper()
    if not re.fullmatch(r"[A-Z]{2}", country):
        raise BadRequest("Enter the two letters of your country, such as CH.", param="country")
    session["_country"] = country
    session["automatic_tax"] = session["automatic_tax"] | {"status": "complete"}
    sum_up(ctx, session)


def holder_of(ctx: Context, session: Doc) -> Holder:
    """Return for whom a session's discounts are redeemed."""
    worth = sum(item["_amount"] for item in session["_lines"])
    return Holder(customer=session["customer"], currency=session["currency"], at_s=ctx.now(), worth=worth)


def sum_up(ctx: Context, session: Doc) -> None:
    """Set the sums of a session and of its lines."""
    trial = bool({"trial_end", "trial_period_days"} & session["_data"].keys())
    lines = [_as_line(item, free=trial) for item in session["_lines"]]
    lines = reckon.discount(lines, lambda _line: [], _offs(ctx, session))
    invoice = _as_invoice(ctx, session)
    lines = [reckon.tax(line, taxes.of_line(ctx, invoice, line)) for line in lines]
    items = [_summed(item, line) for item, line in zip(session["_lines"], lines, strict=True)]
    sums = {name: sum(item[name] for item in items) for name in items[0] if name.startswith("amount_")} if items else {}
    session["_lines"] = items
    for name in ("amount_subtotal", "amount_total"):
        session[name] = None if session["mode"] == "setup" else sums.get(name, 0)
    session["payment_status"] = "unpaid" if session["amount_total"] else "no_payment_required"
    details = {name: sums.get(name, 0) for name in ("amount_discount", "amount_tax")}
    session["total_details"] = {"amount_shipping": 0} | details


def _offs(ctx: Context, session: Doc) -> list[reckon.Off]:
    found = []
    for one in session["discounts"]:
        coupon_id = one["coupon"] or ctx.get("promotion_code", one["promotion_code"])["promotion"]["coupon"]
        coupon = ctx.find("coupon", coupon_id)
        if coupon is not None:
            found.append(discounts.off_of(coupon, coupon_id, session["currency"]))
    return found


def _as_line(item: Doc, *, free: bool) -> Doc:
    """Return a sold line as the code that bills sees one."""
    details = {"price": item["price"]["id"], "product": item["price"]["product"]}
    return {
        "amount": 0 if free else item["_amount"],
        "discountable": True,
        "pricing": {"price_details": details},
        "_tax_rates": item["_tax_rates"],
    }


def _as_invoice(ctx: Context, session: Doc) -> Doc:
    customer = ctx.find("customer", session["customer"]) if session["customer"] else None
    typed = session.get("_country")
    return {
        "automatic_tax": session["automatic_tax"],
        "customer_address": {"country": typed} if typed else (customer or {}).get("address"),
        "customer_tax_exempt": (customer or {}).get("tax_exempt", "none"),
        "default_tax_rates": session["_data"].get("default_tax_rates") or [],
    }


def _summed(item: Doc, line: Doc) -> Doc:
    added = sum(tax["amount"] for tax in line["taxes"] if tax["tax_behavior"] == "exclusive")
    return item | {
        "amount_discount": line["amount"] - reckon.net(line),
        "amount_subtotal": line["amount"],
        "amount_tax": sum(tax["amount"] for tax in line["taxes"]),
        "amount_total": reckon.net(line) + added,
    }
