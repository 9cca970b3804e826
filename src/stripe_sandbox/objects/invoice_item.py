"""Invoice items: amounts that wait for the customer's next invoice, or go onto a draft at once.

Stripe: made by hand or by prorations; one on an invoice that is no longer a draft can neither change nor go.
"""

from __future__ import annotations

from decimal import Decimal

from stripe_sandbox.context import TEST_CLOCK, Context
from stripe_sandbox.documents import Call, Doc, Kind, Params, deleted_stub, public
from stripe_sandbox.engine import discounts, invoice_items, taxes
from stripe_sandbox.engine.amounts import line_amount, plain, truncate
from stripe_sandbox.engine.draft import total_up
from stripe_sandbox.engine.invoice_items import Charge
from stripe_sandbox.objects.discount import DISCOUNTS
from stripe_sandbox.objects.tax_rate import RATES
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Boolean,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Number,
    Range,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)


def show_item(ctx: Context, item: Doc) -> Doc:
    """Return an invoice item with its tax rates."""
    return public(item) | {"tax_rates": taxes.shown_rates(ctx, item["tax_rates"])}


KIND = Kind(
    name=invoice_items.KIND,
    render=show_item,
    label="invoice item",
    parent=lambda item: item["invoice"],
    expandable={
        "customer": "customer",
        "discounts": "discount",
        "invoice": "invoice",
        "pricing.price_details.price": "price",
        "parent.subscription_details.subscription": "subscription",
        "test_clock": TEST_CLOCK,
    },
    omitted=(
        "frozen_fields",
        "invoicing_rules",
        "proration_details",
        "proration_details.credited_items.invoice_item",
        "proration_details.credited_items.invoice_line_item_details",
    ),
)
_MAX_MINOR = 99_999_999_999
_PERIOD = Hash(fields={"start": Integer(minimum=0), "end": Integer(minimum=0)}, required=("start", "end"))
SHARED: dict[str, Type] = {
    "amount": Integer(minimum=-_MAX_MINOR, maximum=_MAX_MINOR),
    "description": Text(clearable=True),
    "discountable": Boolean(),
    "discounts": DISCOUNTS,
    "metadata": Metadata(),
    "period": _PERIOD,
    "price_data": NotSimulated(),
    "pricing": Hash(fields={"price": Text()}),
    "quantity": Integer(minimum=0),
    "quantity_decimal": Number(),
    "tax_behavior": NotSimulated(("unspecified",)),
    "tax_code": NotSimulated(("",)),
    "tax_rates": RATES,
    "unit_amount_decimal": Number(),
}
CREATE = table(
    {
        **SHARED,
        "currency": Text(pattern=r"[A-Za-z]{3}"),
        "customer": Text(),
        "invoice": Text(),
        "subscription": Text(),
    }
)
UPDATE = table(SHARED)
LIST = list_table({"created": Range(), "customer": Text(), "invoice": Text(), "pending": Boolean()})
_LISTING = Listing(
    kind=invoice_items.KIND,
    url="/v1/invoiceitems",
    equals={"customer": "customer", "invoice": json_field("invoice")},
    ranges={"created": "created"},
)


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    if "customer" not in sent:
        raise missing_param("customer")
    customer = ctx.get("customer", sent["customer"], "customer")
    now_s = ctx.now(customer["test_clock"])
    if "subscription" in sent:
        ctx.get("subscription", sent["subscription"], "subscription")
    item = invoice_items.new_invoice_item(customer, read_charge(ctx, customer, sent, now_s), now_s)
    item["discountable"] = sent.get("discountable", item["amount"] >= 0)
    item["metadata"] = sent.get("metadata") or {}
    apply_money(ctx, customer, item, sent)
    if customer["currency"] is None:
        ctx.update(customer | {"currency": item["currency"]}, "customer.updated")
    elif customer["currency"] != item["currency"]:
        raise BadRequest(f"This customer is billed in {customer['currency']}.", param="currency")
    shown = ctx.add(item, "invoiceitem.created")
    if "invoice" in sent:
        _put_on(ctx, item, _draft(ctx, sent["invoice"]))
        return ctx.shown(ctx.get(invoice_items.KIND, item["id"]))
    return shown


def apply_money(ctx: Context, customer: Doc, item: Doc, sent: Params) -> None:
    """Apply the discounts and tax rates a caller gives an item."""
    if "tax_rates" in sent:
        item["tax_rates"] = taxes.check_rates(ctx, sent["tax_rates"], "tax_rates")
    if "discounts" in sent:
        holder = discounts.Holder(
            customer=customer["id"],
            currency=item["currency"],
            at_s=ctx.now(customer["test_clock"]),
            worth=item["amount"],
            invoice_item=item["id"],
        )
        item["discounts"] = discounts.redeem_all(ctx, sent["discounts"], holder, item["discounts"], "discounts")


def read_charge(ctx: Context, customer: Doc, sent: Params, now_s: int) -> Charge:
    """Return what is charged: an amount, or a price or unit amount times a quantity."""
    period = sent.get("period") or {"start": now_s, "end": now_s}
    quantity = sent.get("quantity_decimal", Decimal(sent.get("quantity", 1)))
    price = _price(ctx, sent)
    unit = price["unit_amount_decimal"] if price else sent.get("unit_amount_decimal")
    if unit is None and "amount" not in sent:
        raise missing_param("amount")
    unit_text = str(sent["amount"]) if unit is None else plain(Decimal(unit))
    amount = sent["amount"] if unit is None else line_amount(quantity, unit_text)
    currency = price["currency"] if price else sent.get("currency") or customer["currency"] or "usd"
    return Charge(
        amount=amount,
        currency=currency.lower(),
        description=sent.get("description") or _name(ctx, price),
        period=(period["start"], period["end"]),
        quantity=Decimal(1) if unit is None else quantity,
        price=price,
        subscription=sent.get("subscription"),
        unit_amount_decimal=unit_text,
    )


def _price(ctx: Context, sent: Params) -> Doc | None:
    price_id = (sent.get("pricing") or {}).get("price")
    if price_id is None:
        return None
    price = ctx.get("price", price_id, "pricing[price]")
    if price["recurring"] is not None:
        raise BadRequest("An invoice item takes a one-time price.", param="pricing[price]")
    return price


def _name(ctx: Context, price: Doc | None) -> str | None:
    found = ctx.find("product", price["product"]) if price else None
    return found["name"] if found else None


def _draft(ctx: Context, invoice_id: str) -> Doc:
    invoice = ctx.get("invoice", invoice_id, "invoice")
    if invoice["status"] != "draft":
        raise BadRequest("Only a draft invoice takes further items.", code="invoice_not_editable", param="invoice")
    return invoice


def _put_on(ctx: Context, item: Doc, invoice: Doc) -> None:
    invoice["_lines"] = invoice_items.take(ctx, invoice, [item]) + invoice["_lines"]
    total_up(ctx, invoice)
    ctx.update(invoice, "invoice.updated")


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(invoice_items.KIND, call.ids[0]))


def _editable(ctx: Context, item_id: str) -> Doc:
    item = ctx.get(invoice_items.KIND, item_id)
    if item["invoice"] is not None:
        _draft(ctx, item["invoice"])
    return item


def _update(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    item = _editable(ctx, call.ids[0])
    if {"amount", "pricing", "quantity", "quantity_decimal", "unit_amount_decimal"} & set(sent):
        if item["proration"]:
            raise BadRequest("The amount of a proration cannot change.", param="amount")
        _recharge(ctx, item, sent)
    for name in ("description", "discountable", "period"):
        if sent.get(name) is not None:
            item[name] = sent[name]
    if "metadata" in sent:
        item["metadata"] = merge_metadata(item["metadata"], sent["metadata"])
    apply_money(ctx, ctx.get("customer", item["customer"]), item, sent)
    ctx.write(item)
    shown = ctx.shown(item)
    if item["invoice"] is not None:
        invoice = ctx.get("invoice", item["invoice"])
        invoice["_lines"] = [line for line in invoice["_lines"] if line["id"] != item["_line"]]
        _put_on(ctx, item, invoice)
    return shown


def _recharge(ctx: Context, item: Doc, sent: Params) -> None:
    known = {"currency": item["currency"], "period": item["period"], "description": item["description"]}
    if "amount" not in sent and "pricing" not in sent and item["pricing"]:
        known["unit_amount_decimal"] = item["pricing"]["unit_amount_decimal"]
    charge = read_charge(ctx, ctx.get("customer", item["customer"]), known | sent, item["date"])
    item |= {
        "amount": charge.amount,
        "net_amount": charge.amount,
        "quantity": truncate(charge.quantity),
        "quantity_decimal": plain(charge.quantity),
    }


def _delete(call: Call) -> Doc:
    ctx = call.ctx
    item = _editable(ctx, call.ids[0])
    if item["invoice"] is not None:
        invoice = ctx.get("invoice", item["invoice"])
        invoice["_lines"] = [line for line in invoice["_lines"] if line["id"] != item["_line"]]
        total_up(ctx, invoice)
        ctx.update(invoice, "invoice.updated")
    ctx.emit("invoiceitem.deleted", ctx.shown(item))
    ctx.write(item | {"deleted": True})
    return deleted_stub(item)


def _list(call: Call) -> Doc:
    extra: list[tuple[str, object]] = []
    if "pending" in call.params:
        extra.append((f"{json_field('invoice')} IS {'' if call.params['pending'] else 'NOT '}NULL", None))
    return answer_list(call, _LISTING, tuple(extra))


ENDPOINTS = (
    Endpoint("POST", "/v1/invoiceitems", CREATE, _create),
    Endpoint("GET", "/v1/invoiceitems", LIST, _list),
    Endpoint("GET", "/v1/invoiceitems/*", table(), _get),
    Endpoint("POST", "/v1/invoiceitems/*", UPDATE, _update),
    Endpoint("DELETE", "/v1/invoiceitems/*", table(), _delete),
)
