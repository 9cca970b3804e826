"""Invoices: reading, listing, and the acts a caller can do by hand (finalize, pay, void)."""

from __future__ import annotations

from stripe_sandbox.clock import HOUR_S
from stripe_sandbox.context import TEST_CLOCK, Context
from stripe_sandbox.documents import Call, Doc, Kind, list_of, public
from stripe_sandbox.engine import settle, taxes, timers
from stripe_sandbox.engine.collect import Attempt, collect
from stripe_sandbox.engine.draft import subscription_id, total_up
from stripe_sandbox.engine.finalize import finalize
from stripe_sandbox.engine.intents import intent_of
from stripe_sandbox.objects import invoice_acts, payment_method
from stripe_sandbox.objects.discount import DISCOUNTS
from stripe_sandbox.objects.subscription_params import AUTOMATIC_TAX
from stripe_sandbox.objects.tax_rate import RATES
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import Listing, answer_list, json_field, slice_list
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Boolean,
    Choice,
    Metadata,
    NotSimulated,
    Range,
    Text,
    list_table,
    merge_metadata,
    table,
)

_EMBEDDED_LINES = 10
STATUSES = ("draft", "open", "paid", "uncollectible", "void")
LIST = list_table(
    {
        "collection_method": Choice(words=("charge_automatically", "send_invoice")),
        "created": Range(),
        "customer": Text(),
        "due_date": Range(),
        "status": Choice(words=STATUSES),
        "subscription": Text(),
    }
)
PAY = table(
    {
        "forgive": NotSimulated(("false",)),
        "mandate": NotSimulated(),
        "off_session": Boolean(),
        "paid_out_of_band": Boolean(),
        "payment_method": Text(),
        "source": NotSimulated(),
    }
)
UPDATE = table(
    {
        "automatic_tax": AUTOMATIC_TAX,
        "default_tax_rates": RATES,
        "description": Text(clearable=True),
        "discounts": DISCOUNTS,
        "footer": Text(clearable=True),
        "metadata": Metadata(),
    }
)
_LISTING = Listing(
    kind="invoice",
    url="/v1/invoices",
    equals={
        "collection_method": json_field("collection_method"),
        "customer": "customer",
        "status": json_field("status"),
        "subscription": "parent",
    },
    ranges={"created": "created", "due_date": json_field("due_date")},
)


def page_path(account: str, invoice: Doc) -> str:
    """Return the path of a finalized invoice's page; the token in it is what lets a browser in."""
    return f"/i/{account}/{invoice['id']}/{invoice['_token']}"


def _links(ctx: Context, invoice: Doc) -> Doc:
    """Return the addresses of the page and the file, which exist from finalization on."""
    if "_token" not in invoice:
        return {}
    page = ctx.store.origin + page_path(ctx.account, invoice)
    return {"hosted_invoice_url": f"{page}?s=ap", "invoice_pdf": f"{page}/pdf?s=ap"}


def show_invoice(ctx: Context, invoice: Doc) -> Doc:
    """Return an invoice with its first lines."""
    lines = [public(line) for line in invoice["_lines"]]
    url = f"/v1/invoices/{invoice['id']}/lines"
    embedded = list_of(url, lines[:_EMBEDDED_LINES], has_more=len(lines) > _EMBEDDED_LINES)
    return (
        public(invoice)
        | _links(ctx, invoice)
        | {
            "default_tax_rates": taxes.shown_rates(ctx, invoice["default_tax_rates"]),
            "lines": embedded | {"total_count": len(lines)},
        }
    )


def _payments(ctx: Context, shown: Doc) -> Doc:
    payments = [ctx.shown(payment) for payment in ctx.children("invoice_payment", shown["id"])]
    return list_of(f"/v1/invoice_payments?invoice={shown['id']}", payments)


def _confirmation_secret(ctx: Context, shown: Doc) -> Doc | None:
    intent = intent_of(ctx, shown)
    return intent and {"client_secret": intent["client_secret"], "type": "payment_intent"}


KIND = Kind(
    name="invoice",
    label="invoice",
    parent=subscription_id,
    render=show_invoice,
    expandable={
        "customer": "customer",
        "default_payment_method": "payment_method",
        "discounts": "discount",
        "parent.subscription_details.subscription": "subscription",
        "test_clock": TEST_CLOCK,
    },
    includable={"payments": _payments, "confirmation_secret": _confirmation_secret},
)
LINE_KIND = Kind(
    name="line_item",
    label="line_item",
    expandable={
        "discounts": "discount",
        "pricing.price_details.price": "price",
        "pricing.price_details.product": "product",
    },
)


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("invoice", call.ids[0]))


def _list(call: Call) -> Doc:
    return answer_list(call, _LISTING)


def _lines(call: Call) -> Doc:
    invoice = call.ctx.get("invoice", call.ids[0])
    return slice_list(f"/v1/invoices/{invoice['id']}/lines", [public(line) for line in invoice["_lines"]], call.params)


def _update(call: Call) -> Doc:
    invoice, sent = call.ctx.get("invoice", call.ids[0]), call.params
    if "metadata" in sent:
        invoice["metadata"] = merge_metadata(invoice["metadata"], sent["metadata"])
    frozen = sorted({"automatic_tax", "default_tax_rates", "description", "discounts", "footer"} & set(sent))
    if frozen and invoice["status"] != "draft":
        message = f"A finalized invoice's {frozen[0]} cannot change."
        raise BadRequest(message, code="invoice_not_editable", param=frozen[0])
    invoice |= {name: sent[name] for name in ("description", "footer") if name in sent}
    customer = call.ctx.get("customer", invoice["customer"])
    money = invoice_acts.money_of(call.ctx, customer, sent, invoice)
    if money:
        invoice |= money
        invoice_acts.tie_discounts(call.ctx, invoice)
        total_up(call.ctx, invoice)
    return call.ctx.update(invoice, "invoice.updated")


def _finalize(call: Call) -> Doc:
    """Stripe: an invoice that advances by itself is charged about an hour after it was finalized by hand."""
    ctx = call.ctx
    invoice = finalize(ctx, call.ids[0])
    advances = call.params.get("auto_advance", invoice["auto_advance"])
    if invoice["status"] == "open":
        due_at = ctx.now(invoice["test_clock"]) + HOUR_S if advances else None
        invoice |= {"auto_advance": advances, "next_payment_attempt": due_at}
        ctx.write(invoice)
        if due_at is not None and invoice["collection_method"] == "charge_automatically":
            timers.arm(ctx, invoice, "collect", due_at)
    return ctx.shown(invoice)


def _pay(call: Call) -> Doc:
    """Pay by hand; a decline answers 402 and is recorded all the same."""
    ctx, sent = call.ctx, call.params
    invoice = ctx.get("invoice", call.ids[0])
    if invoice["status"] == "draft":
        invoice = finalize(ctx, invoice["id"])
    elif invoice["status"] == "paid":
        raise BadRequest("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] == "void":
        raise _not_open()
    if invoice["status"] in {"open", "uncollectible"}:
        _pay_open(ctx, invoice, sent)
    return ctx.shown(ctx.get("invoice", invoice["id"]))


def _pay_open(ctx: Context, invoice: Doc, sent: Doc) -> None:
    if sent.get("paid_out_of_band"):
        settle.cancel_payments(ctx, invoice, "failed_invoice")
        settle.paid_without_charge(ctx, invoice, off_stripe=True)
        return
    method = sent.get("payment_method")
    if method:
        payment_method.check_owner(ctx, method, invoice["customer"], "payment_method")
    refusal = collect(ctx, invoice, Attempt(automatic=False, method=method))
    if refusal is not None:
        refusal.keeps_changes = True
        raise refusal


def _not_open() -> BadRequest:
    return BadRequest("You can only pass in open invoices. This invoice isn't open.", code="invoice_not_open")


def _void(call: Call) -> Doc:
    invoice = call.ctx.get("invoice", call.ids[0])
    if invoice["status"] not in {"open", "uncollectible"}:
        raise _not_open()
    return settle.void(call.ctx, invoice)


ENDPOINTS = (
    Endpoint("GET", "/v1/invoices", LIST, _list),
    Endpoint("GET", "/v1/invoices/*", table(), _get),
    Endpoint("POST", "/v1/invoices/*", UPDATE, _update),
    Endpoint("GET", "/v1/invoices/*/lines", list_table(), _lines),
    Endpoint("POST", "/v1/invoices/*/finalize", table({"auto_advance": Boolean()}), _finalize),
    Endpoint("POST", "/v1/invoices/*/pay", PAY, _pay),
    Endpoint("POST", "/v1/invoices/*/void", table(), _void),
)
