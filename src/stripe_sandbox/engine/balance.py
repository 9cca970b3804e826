"""A customer's balance: what is owed to the customer (below 0) or by the customer (above 0).

Stripe: every move of the balance is a transaction of its own; a negative amount is a credit to the customer.
"""

from __future__ import annotations

from dataclasses import dataclass

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One move of a customer's balance, in minor units, and what it is for."""

    amount: int
    type: str
    currency: str
    invoice: str | None = None
    credit_note: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None


def post(ctx: Context, customer_id: str, entry: Entry) -> Doc | None:
    """Move the balance and return the transaction as shown; nothing happens for an amount of 0."""
    if entry.amount == 0:
        return None
    customer = ctx.get("customer", customer_id)
    transaction = record(ctx, customer, entry, customer["balance"] + entry.amount)
    ctx.update(customer | {"balance": customer["balance"] + entry.amount}, "customer.updated")
    return transaction


def record(ctx: Context, customer: Doc, entry: Entry, ending: int) -> Doc:
    """Store the transaction of a move that led to the balance ``ending``."""
    transaction: Doc = {
        "id": new_id("cbtxn"),
        "object": "customer_balance_transaction",
        "amount": entry.amount,
        "checkout_session": None,
        "created": ctx.now(customer["test_clock"]),
        "credit_note": entry.credit_note,
        "currency": entry.currency,
        "customer": customer["id"],
        "customer_account": None,
        "description": entry.description,
        "ending_balance": ending,
        "invoice": entry.invoice,
        "livemode": False,
        "metadata": entry.metadata or {},
        "type": entry.type,
    }
    return ctx.add(transaction, None)


def apply_to_invoice(ctx: Context, invoice: Doc, *, smallest_charge: int) -> None:
    """Set what is due on an invoice from its total and the balance, and move the balance by it.

    Stripe: a credit is used up to the total; what is left below zero stays as credit; an amount below the smallest
    charge is not charged but carried over.
    """
    starting = int(ctx.get("customer", invoice["customer"])["balance"])
    due, ending = split(invoice["total"], starting, smallest_charge)
    applied = min(invoice["total"] + starting, 0)
    moves = ((applied - starting, "applied_to_invoice"), (ending - applied, "invoice_too_small"))
    for amount, kind in moves:
        entry = Entry(amount=amount, type=kind, currency=invoice["currency"], invoice=invoice["id"])
        post(ctx, invoice["customer"], entry)
    invoice["starting_balance"], invoice["ending_balance"] = starting, ending
    invoice["amount_due"] = invoice["amount_remaining"] = due


def split(total: int, starting: int, smallest_charge: int) -> tuple[int, int]:
    """Return (amount due, ending balance) of a total on a starting balance."""
    owed = total + starting
    if 0 < owed < smallest_charge:
        return 0, owed
    return max(owed, 0), min(owed, 0)


def give_back(ctx: Context, invoice: Doc) -> None:
    """Return the credit that a voided invoice had used."""
    if invoice["ending_balance"] is None:
        return
    entry = Entry(
        amount=invoice["starting_balance"] - invoice["ending_balance"],
        type="unapplied_from_invoice",
        currency=invoice["currency"],
        invoice=invoice["id"],
    )
    post(ctx, invoice["customer"], entry)
