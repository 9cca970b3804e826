"""Which tax rates apply to a line: its own, else the invoice's; or those of automatic tax.

Stripe: nothing is taxed for an exempt customer, and a reverse charge taxes at nothing. Automatic tax here is one rule:
the seller collects value added tax at the full rate in the countries of the table below, by the country of the
customer's address; elsewhere nothing. A price whose ``tax_behavior`` is inclusive holds its tax, any other is added to.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.engine.amounts import plain
from stripe_sandbox.engine.reckon import Rate
from stripe_sandbox.wire.errors import BadRequest

KIND = "tax_rate"
COLLECTED = {"AT": "20", "CH": "8.1", "DE": "19", "ES": "21", "FR": "20", "GB": "20", "IT": "22", "NL": "21"}
_REASONS = {"exempt": "customer_exempt", "reverse": "reverse_charge"}


def check_rates(ctx: Context, ids: list[str] | None, param: str) -> list[str]:
    """Return the ids of rates that can be used, refusing unknown, archived and repeated ones."""
    for index, rate_id in enumerate(ids or []):
        if not ctx.get(KIND, rate_id, f"{param}[{index}]")["active"]:
            raise BadRequest(f"The tax rate {rate_id} is archived.", param=f"{param}[{index}]")
    if len(set(ids or [])) < len(ids or []):
        raise BadRequest("The same tax rate cannot be there twice.", param=param)
    return list(ids or [])


def shown_rates(ctx: Context, ids: list[str]) -> list[Doc]:
    """Return rates as the objects that hold them show them."""
    return [ctx.shown(found) for rate_id in ids if (found := ctx.find(KIND, rate_id)) is not None]


def of_line(ctx: Context, invoice: Doc, line: Doc) -> list[Rate]:
    """Return the rates of one line of an invoice."""
    if invoice["automatic_tax"]["enabled"]:
        return _automatic(ctx, invoice, line)
    ids = line.get("_tax_rates") or invoice["default_tax_rates"]
    return [_rate(ctx.get(KIND, rate_id), invoice["customer_tax_exempt"]) for rate_id in ids]


def _rate(kept: Doc, exempt: str, *, reason: str = "not_available", inclusive: bool | None = None) -> Rate:
    free = exempt in _REASONS
    return Rate(
        id=kept["id"],
        percent=Decimal(0) if free else Decimal(kept["_percent"]),
        inclusive=kept["inclusive"] if inclusive is None else inclusive,
        reason=_REASONS.get(exempt, reason),
    )


def _automatic(ctx: Context, invoice: Doc, line: Doc) -> list[Rate]:
    country = (invoice["customer_address"] or {}).get("country")
    if not country:
        return []
    inclusive = _holds_tax(ctx, line)
    collected = COLLECTED.get(country)
    kept = rate_of(ctx, country, collected or "0", inclusive=inclusive)
    return [_rate(kept, invoice["customer_tax_exempt"], reason="standard_rated" if collected else "not_collecting")]


def keep_automatic_rates(ctx: Context, invoice: Doc) -> None:
    """Write the rates that a rehearsed invoice names: they can be read by their ids, though it was undone itself."""
    if invoice["automatic_tax"]["enabled"]:
        for line in invoice["_lines"]:
            of_line(ctx, invoice, line)


def _holds_tax(ctx: Context, line: Doc) -> bool:
    price_id = ((line["pricing"] or {}).get("price_details") or {}).get("price")
    price = ctx.find("price", price_id) if price_id else None
    return bool(price and price["tax_behavior"] == "inclusive")


def rate_of(ctx: Context, country: str, percent: str, *, inclusive: bool) -> Doc:
    """Return the archived rate automatic tax uses for a country; its id follows from what it is, as in a preview."""
    key = f"{country}:{percent}:{inclusive}"
    rate_id = f"txr_{hashlib.sha256(key.encode()).hexdigest()[:24]}"
    known = ctx.find(KIND, rate_id)
    if known is not None:
        return known
    made = rate_doc(ctx.now(), percent, inclusive=inclusive) | {"id": rate_id, "active": False}
    made |= {"country": country, "display_name": "VAT", "jurisdiction": country, "tax_type": "vat"}
    ctx.write(made | {"jurisdiction_level": "country"})
    return made


def rate_doc(now_s: int, percent: str, *, inclusive: bool) -> Doc:
    """Return a new tax rate document."""
    return {
        "id": new_id("txr"),
        "object": KIND,
        "active": True,
        "country": None,
        "created": now_s,
        "description": None,
        "display_name": None,
        "effective_percentage": None,
        "flat_amount": None,
        "inclusive": inclusive,
        "jurisdiction": None,
        "jurisdiction_level": None,
        "livemode": False,
        "metadata": {},
        "percentage": None,
        "rate_type": "percentage",
        "state": None,
        "tax_type": None,
        "_percent": plain(Decimal(percent)),
    }


def automatic(*, enabled: bool, customer: Doc | None) -> Doc:
    """Return the automatic tax of an invoice or session for a customer."""
    status = None
    if enabled:
        status = "complete" if located(customer) else "requires_location_inputs"
    liability = {"type": "self"} if enabled else None
    return {
        "disabled_reason": None,
        "enabled": enabled,
        "liability": liability,
        "provider": "stripe" if enabled else None,
        "status": status,
    }


def located(customer: Doc | None) -> bool:
    """Return whether it is known where a customer is taxed."""
    return bool(((customer or {}).get("address") or {}).get("country"))


def check_location(customer: Doc, *, enabled: bool) -> None:
    """Refuse automatic tax for a customer whose place is unknown."""
    if enabled and not located(customer):
        raise BadRequest(
            "The customer's location isn't recognized. Set a valid customer address in order to automatically"
            " calculate tax.",
            code="customer_tax_location_invalid",
            param="automatic_tax[enabled]",
        )
