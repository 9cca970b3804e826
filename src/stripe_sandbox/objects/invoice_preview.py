"""Previews: the code that bills, carried out inside a rehearsal that is undone.

Stripe: ``customer`` (with items: of a new subscription), ``subscription`` (its next invoice, or what a change would
bill) or ``schedule``; nothing upcoming is ``invoice_upcoming_none``. With ``always_invoice`` a preview holds only what
is due at once; mode ``recurring`` leaves one-off items out.
"""

from __future__ import annotations

from stripe_sandbox.context import TEST_CLOCK, Context
from stripe_sandbox.documents import Call, Doc, Params, list_of, new_id, public
from stripe_sandbox.engine import balance, invoice_items, renew, resumption, standstill, taxes
from stripe_sandbox.engine.end import Ending, end_now, final_invoice
from stripe_sandbox.engine.finalize import GRACE_S, SMALLEST_CHARGE_MINOR
from stripe_sandbox.objects import invoice_item
from stripe_sandbox.objects.discount import DISCOUNTS
from stripe_sandbox.objects.schedule_phases import PHASES
from stripe_sandbox.objects.subscription_create import open_subscription
from stripe_sandbox.objects.subscription_params import AUTOMATIC_TAX, CANCEL_WORDS, ITEM_FIELDS, MAX_ITEMS
from stripe_sandbox.objects.subscription_pause import PAUSE_FIELDS, check_pausable, pause_wish, resume_wish
from stripe_sandbox.objects.subscription_schedule import update_schedule
from stripe_sandbox.objects.subscription_update import ITEM, carry_out_update
from stripe_sandbox.objects.tax_rate import RATES
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, NotFound, StripeError, missing_param
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Array, Boolean, Choice, Either, Hash, Integer, NotSimulated, Text, table

_BEHAVIORS = ("always_invoice", "create_prorations", "none")
_DETAILS = Hash(
    fields={
        "billing_cycle_anchor": Hash(fields={"type": Choice(words=("now", "unchanged"))}, required=("type",)),
        "billing_mode": Hash(fields={"type": NotSimulated(("flexible",))}),
        "cancel_at": Either((*CANCEL_WORDS, ""), Integer(minimum=1)),
        "cancel_at_period_end": Boolean(),
        "cancel_now": Boolean(),
        "default_tax_rates": RATES,
        "items": Array(ITEM, MAX_ITEMS),
        "pause": Hash(fields=PAUSE_FIELDS),
        "proration_behavior": Choice(words=_BEHAVIORS),
        "proration_date": Integer(minimum=1),
        "resume_at": Choice(words=("now",)),
        "start_date": NotSimulated(),
        "trial_end": Either(("now",), Integer(minimum=1)),
    }
)
_SCHEDULE_DETAILS = Hash(
    fields={
        "end_behavior": Choice(words=("cancel", "release")),
        "phases": PHASES,
        "proration_behavior": Choice(words=_BEHAVIORS),
    }
)
_ITEM_NAMES = (
    "amount",
    "description",
    "discountable",
    "discounts",
    "metadata",
    "period",
    "pricing",
    "quantity",
    "tax_rates",
)
_EXTRA_ITEM = Hash(
    fields={name: invoice_item.SHARED[name] for name in (*_ITEM_NAMES, "quantity_decimal", "unit_amount_decimal")}
    | {"currency": Text(pattern=r"[A-Za-z]{3}")}
)
PREVIEW = table(
    {
        "automatic_tax": AUTOMATIC_TAX,
        "currency": Text(pattern=r"[A-Za-z]{3}"),
        "customer": Text(),
        "customer_details": NotSimulated(),
        "discounts": DISCOUNTS,
        "invoice_items": Array(_EXTRA_ITEM, 250),
        "preview_mode": Choice(words=("next", "recurring")),
        "schedule": Text(),
        "schedule_details": _SCHEDULE_DETAILS,
        "subscription": Text(),
        "subscription_details": _DETAILS,
    }
)


def _preview(call: Call) -> Doc:
    if not {"customer", "subscription", "schedule"} & set(call.params):
        raise missing_param("customer")
    with call.ctx.store.rehearsal():
        invoice = _rehearse(call.ctx, call.params)
    taxes.keep_automatic_rates(call.ctx, invoice)
    return _shown(call.ctx, invoice, call.params)


def upcoming(ctx: Context, subscription_id: str) -> Doc | None:
    """Return what the next boundary will bill as an event carries it, without an id; None when it bills nothing."""
    sent: Params = {"subscription": subscription_id}
    try:
        with ctx.store.rehearsal():
            invoice = _rehearse(ctx, sent)
    except NotFound as refusal:
        if refusal.code != "invoice_upcoming_none":
            raise
        return None
    return {name: value for name, value in _shown(ctx, invoice, sent).items() if name != "id"}


def _rehearse(ctx: Context, sent: Params) -> Doc:
    details = sent.get("subscription_details") or {}
    if "schedule" in sent:
        subscription = _of_schedule(ctx, sent)
    elif "subscription" in sent:
        subscription = ctx.get("subscription", sent["subscription"], "subscription")
    elif details.get("items"):
        return _new_subscription(ctx, sent, details)
    else:
        subscription = _next_of_customer(ctx, ctx.get("customer", sent["customer"], "customer"))
    if sent.get("customer", subscription["customer"]) != subscription["customer"]:
        raise BadRequest("The subscription belongs to another customer.", param="subscription")
    if subscription["status"] in renew.ENDED or (subscription["status"] == "paused" and "resume_at" not in details):
        raise _none(subscription["customer"])
    _add_items(ctx, subscription, sent)
    money: Params = {name: sent[name] for name in ("automatic_tax", "discounts") if name in sent}
    if money:
        carry_out_update(ctx, subscription, money)
    if "resume_at" in details:
        return resumption.resume(ctx, subscription, resume_wish(details, until_draft=True)) or _next(
            ctx, subscription["id"], sent
        )
    if details.get("pause"):
        return _paused(ctx, subscription, details["pause"])
    return _changed(ctx, subscription, details) or _next(ctx, subscription["id"], sent)


def _paused(ctx: Context, subscription: Doc, sent: Params) -> Doc:
    check_pausable(subscription)
    invoice = standstill.pause(ctx, subscription, pause_wish(sent, until_draft=True))
    if invoice is None:
        raise _none(subscription["customer"])
    return invoice


def _of_schedule(ctx: Context, sent: Params) -> Doc:
    schedule = ctx.get("subscription_schedule", sent["schedule"], "schedule")
    if schedule["subscription"] is None:
        raise _none(schedule["customer"])
    if sent.get("schedule_details"):
        update_schedule(ctx, schedule, sent["schedule_details"])
    return ctx.get("subscription", schedule["subscription"])


def _new_subscription(ctx: Context, sent: Params, details: Params) -> Doc:
    if "customer" not in sent:
        raise missing_param("customer")
    items = [{name: item[name] for name in ITEM_FIELDS if name in item} for item in details["items"]]
    wish = {"customer": sent["customer"], "items": items}
    wish |= {name: details[name] for name in ("default_tax_rates", "trial_end") if name in details}
    wish |= {name: sent[name] for name in ("automatic_tax", "discounts") if name in sent}
    shown, invoice = open_subscription(ctx, wish, until_draft=True)
    return invoice or _next(ctx, shown["id"], sent)


def _next_of_customer(ctx: Context, customer: Doc) -> Doc:
    page = Page(kind="subscription", conditions=("customer=?",), arguments=(customer["id"],))
    live = [found for found in ctx.select(page) if found["status"] not in renew.ENDED]
    if not live:
        raise _none(customer["id"])
    return min(live, key=lambda found: _boundary(ctx, found))


def _boundary(ctx: Context, subscription: Doc) -> int:
    return min(int(item["current_period_end"]) for item in renew.items_of(ctx, subscription["id"]))


def _add_items(ctx: Context, subscription: Doc, sent: Params) -> None:
    customer = ctx.get("customer", subscription["customer"])
    now_s = ctx.now(customer["test_clock"])
    for wish in sent.get("invoice_items") or []:
        charge = invoice_item.read_charge(ctx, customer, wish | {"subscription": subscription["id"]}, now_s)
        item = invoice_items.new_invoice_item(customer, charge, now_s)
        item["discountable"] = wish.get("discountable", item["amount"] >= 0)
        invoice_item.apply_money(ctx, customer, item, wish)
        ctx.write(item)


def _changed(ctx: Context, subscription: Doc, details: Params) -> Doc | None:
    """Carry out the change and return the draft of what it would bill at once, if anything."""
    if details.get("cancel_now"):
        prorate = details.get("proration_behavior", "create_prorations") != "none"
        ended = end_now(ctx, subscription, Ending(invoice_now=True, prorate=prorate, until_draft=True))
        if ended["object"] != "invoice":
            raise _none(subscription["customer"])
        return ended
    if details:
        return carry_out_update(ctx, subscription, details, until_draft=True)
    return None


def _next(ctx: Context, subscription_id: str, sent: Params) -> Doc:
    """Let time go on to the next boundary and return the draft that it brings."""
    subscription = ctx.get("subscription", subscription_id)
    cancel_at = subscription["cancel_at"]
    boundary_at = _boundary(ctx, subscription)
    ends = cancel_at is not None and cancel_at <= boundary_at
    due_at = cancel_at if ends else boundary_at
    if sent.get("preview_mode") == "recurring":
        for item in invoice_items.waiting(ctx, subscription["customer"], subscription_id):
            ctx.write(item | {"deleted": True})
    later = _later(ctx, subscription, due_at)
    if not ends:
        return renew.renew(later, subscription, due_at)
    invoice = final_invoice(later, subscription, due_at, reason="subscription_cycle")
    if invoice is None:
        raise _none(subscription["customer"])
    return invoice


def _later(ctx: Context, subscription: Doc, at_s: int) -> Context:
    clock = subscription["test_clock"]
    if clock:
        ctx.write(ctx.get(TEST_CLOCK, clock) | {"frozen_time": at_s})
    return Context(ctx.store, ctx.kinds, ctx.account, ctx.cause, pinned_s=at_s)


def _none(customer: str) -> StripeError:
    return NotFound(f"No upcoming invoices for customer: {customer}", code="invoice_upcoming_none", param="customer")


def _shown(ctx: Context, invoice: Doc, sent: Params) -> Doc:
    """Return the draft as a preview: it is not stored, so it has neither number nor address."""
    preview_id = f"upcoming_{new_id('in')}"
    starting = ctx.get("customer", invoice["customer"])["balance"]
    due, ending = balance.split(invoice["total"], starting, SMALLEST_CHARGE_MINOR)
    lines = [public(line) | {"id": f"il_tmp_{line['id'][3:]}", "invoice": preview_id} for line in invoice["_lines"]]
    renews = invoice["billing_reason"] == "subscription_cycle"
    details = sent.get("subscription_details") or {}
    parent = dict(invoice["parent"])
    if {"items", "billing_cycle_anchor", "cancel_now"} & set(details):
        moment = details.get("proration_date", ctx.now(invoice["test_clock"]))
        parent["subscription_details"] = parent["subscription_details"] | {"subscription_proration_date": moment}
    return public(invoice) | {
        "id": preview_id,
        "amount_due": due,
        "amount_remaining": due,
        "billing_reason": "upcoming",
        "default_tax_rates": taxes.shown_rates(ctx, invoice["default_tax_rates"]),
        "ending_balance": ending,
        "lines": list_of(f"/v1/invoices/{preview_id}/lines", lines) | {"total_count": len(lines)},
        "next_payment_attempt": invoice["created"] + (GRACE_S if renews else 0),
        "parent": parent,
        "starting_balance": starting,
    }


ENDPOINTS = (Endpoint("POST", "/v1/invoices/create_preview", PREVIEW, _preview),)
