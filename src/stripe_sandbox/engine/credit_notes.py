"""Credit notes: what is taken back of a finalized invoice, and where the money of it goes.

Stripe: a note first lowers what is left to pay, down to nothing; what goes beyond was paid already and must be given
back in full by a refund, as a credit of the customer's balance, or outside of Stripe. Discounts and taxes of a credited
line follow it in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import balance, movements, reckon, settle
from stripe_sandbox.engine.amounts import round_half_up
from stripe_sandbox.engine.intents import intent_of
from stripe_sandbox.wire.errors import BadRequest

KIND = "credit_note"


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """How what was paid is given back, in minor units; ``refunds`` are made already and only named."""

    refund: int = 0
    credit: int = 0
    outside: int = 0
    refunds: list[Doc] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Return all of it."""
        named = sum(int(one["amount_refunded"]) for one in self.refunds)
        return self.refund + self.credit + self.outside + named


def credited_line(line: Doc, amount: int, earlier: list[Doc]) -> Doc:
    """Return an invoice's line of which an amount is credited, with its part of discounts and taxes.

    The last part takes what ``earlier`` credits of the line left, so that all parts together are the line.
    """
    last = amount + sum(one["amount"] for one in earlier) == line["amount"]

    def part(name: str, index: int, key: str) -> int:
        whole = line[name][index][key] or 0
        if last:
            return int(whole - sum(one[name][index][key] for one in earlier))
        return round_half_up(Decimal(whole) * amount / line["amount"])

    offs = [one | {"amount": part("discount_amounts", at, "amount")} for at, one in enumerate(line["discount_amounts"])]
    taxes = [
        entry | {key: part("taxes", at, key) for key in ("amount", "taxable_amount")}
        for at, entry in enumerate(line["taxes"])
    ]
    own = sum(one["amount"] for one in offs if one["discount"] in line["discounts"])
    held = sum(entry["amount"] for entry in taxes if entry["tax_behavior"] == "inclusive")
    money = {"discount_amounts": offs, "taxes": taxes, "_own_off": own, "_included_before": held}
    return {"amount": amount, "description": line["description"], "invoice_line_item": line["id"]} | money


def issued_of(ctx: Context, invoice_id: str) -> list[Doc]:
    """Return the notes of an invoice that count."""
    return [note for note in ctx.children(KIND, invoice_id) if note["status"] == "issued"]


def split(invoice: Doc, total: int) -> tuple[int, int]:
    """Return what a note takes off what is left to pay, and what it gives back of what was paid."""
    before = min(total, invoice["amount_remaining"]) if invoice["status"] in {"open", "uncollectible"} else 0
    return before, total - before


def carry_out(ctx: Context, note: Doc, invoice: Doc, back: GiveBack) -> Doc:
    """Store a note, move the money, and return the note as shown."""
    note["refunds"] = [*back.refunds, *_refunded(ctx, invoice, back.refund, note["reason"])]
    if back.credit:
        entry = balance.Entry(
            amount=-back.credit,
            type="credit_note",
            currency=note["currency"],
            invoice=invoice["id"],
            credit_note=note["id"],
        )
        note["customer_balance_transaction"] = (balance.post(ctx, invoice["customer"], entry) or {}).get("id")
    shown = ctx.add(note, "credit_note.created")
    _lower(ctx, invoice, note["pre_payment_amount"], note["post_payment_amount"])
    return shown


def _refunded(ctx: Context, invoice: Doc, amount: int, reason: str | None) -> list[Doc]:
    if not amount:
        return []
    intent = intent_of(ctx, invoice)
    charge = ctx.get("charge", intent["latest_charge"]) if intent and intent["latest_charge"] else None
    if charge is None or not charge["paid"] or amount > charge["amount"] - charge["amount_refunded"]:
        raise BadRequest("There is no payment of this invoice that could be refunded so far.", param="refund_amount")
    known = {"duplicate": "duplicate", "fraudulent": "fraudulent"}
    made = movements.refund(ctx, charge, amount, {"reason": known.get(reason or "", "requested_by_customer")})
    return [refund_entry(made["id"], amount)]


def refund_entry(refund_id: str, amount: int) -> Doc:
    """Return a refund as a note names it."""
    return {"amount_refunded": amount, "payment_record_refund": None, "refund": refund_id, "type": "refund"}


def _lower(ctx: Context, invoice: Doc, before: int, after: int) -> None:
    """Let a note count on its invoice; one that leaves nothing to pay is paid."""
    was = ctx.shown(ctx.get("invoice", invoice["id"]))
    invoice["pre_payment_credit_notes_amount"] += before
    invoice["post_payment_credit_notes_amount"] += after
    invoice["amount_due"] -= before
    invoice["amount_remaining"] -= before
    ctx.update(invoice, "invoice.updated", was)
    if not before:
        return
    if invoice["amount_remaining"] == 0:
        settle.cancel_payments(ctx, invoice, "failed_invoice")
        settle.paid_without_charge(ctx, invoice)
        return
    _ask_for(ctx, invoice)


def _ask_for(ctx: Context, invoice: Doc) -> None:
    """Let the payment of an invoice ask for what is left."""
    intent = intent_of(ctx, invoice)
    if intent is not None and intent["status"] not in {"succeeded", "canceled"}:
        ctx.write(intent | {"amount": invoice["amount_remaining"]})
        for payment in ctx.children("invoice_payment", invoice["id"]):
            if payment["status"] == "open":
                ctx.write(payment | {"amount_requested": invoice["amount_remaining"]})


def void(ctx: Context, note: Doc) -> Doc:
    """Take a note back; only what is still open can owe again."""
    invoice = ctx.get("invoice", note["invoice"])
    if note["status"] == "void" or invoice["status"] != "open" or note["post_payment_amount"]:
        raise BadRequest("You can only void an issued credit note of an open invoice.")
    note |= {"status": "void", "voided_at": ctx.now(invoice["test_clock"])}
    ctx.write(note)
    shown = ctx.shown(note)
    ctx.emit("credit_note.voided", shown)
    _lower_back(ctx, invoice, note["pre_payment_amount"])
    return shown


def _lower_back(ctx: Context, invoice: Doc, before: int) -> None:
    was = ctx.shown(invoice)
    invoice["pre_payment_credit_notes_amount"] -= before
    invoice["amount_due"] += before
    invoice["amount_remaining"] += before
    ctx.update(invoice, "invoice.updated", was)
    _ask_for(ctx, invoice)


def summed(lines: list[Doc]) -> Doc:
    """Return the sums of a note from its lines."""
    found = reckon.totals(lines)
    offs = reckon.sum_discounts(lines, [])
    off = sum(one["amount"] for one in offs)
    return found | {
        "amount": found["total"],
        "discount_amount": off,
        "discount_amounts": offs,
        "pretax_credit_amounts": reckon.pretax(offs),
    }
