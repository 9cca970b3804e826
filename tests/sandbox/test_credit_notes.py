"""Credit notes of open and paid invoices: what is left to pay, what is given back, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from sandbox.harness import World


@pytest.fixture
def shop(world: World) -> tuple[World, str]:
    return world, world.customer()


def bill(world: World, customer: str, amount: int = 2000, **extra: Any) -> Any:
    """An open invoice of one amount."""
    v1 = world.client.v1
    v1.invoice_items.create({"customer": customer, "amount": amount, "currency": "usd", "description": "Work"})
    wish = {"customer": customer, "pending_invoice_items_behavior": "include", **extra}
    return v1.invoices.finalize_invoice(v1.invoices.create(wish).id)


def credit(world: World, invoice: Any, **params: Any) -> Any:
    return world.client.v1.credit_notes.create({"invoice": invoice.id, **params})


def refusal(world: World, invoice: Any, **params: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        credit(world, invoice, **params)
    return refused.value


def test_note_of_an_open_invoice_lowers_what_is_left_until_it_is_paid(shop: Any) -> None:
    world, customer = shop
    invoice = bill(world, customer)
    shown = world.client.v1.credit_notes.preview({"invoice": invoice.id, "amount": 500})
    note = credit(world, invoice, amount=500, reason="order_change", memo="Sorry")
    assert (note.number, note.type, note.status) == (f"{invoice.number}-CN-01", "pre_payment", "issued")
    assert (shown.total, shown.pre_payment_amount) == (note.total, note.pre_payment_amount) == (500, 500)
    lowered = world.client.v1.invoices.retrieve(invoice.id)
    assert (lowered.amount_due, lowered.amount_remaining, lowered.pre_payment_credit_notes_amount) == (1500, 1500, 500)
    assert (lowered.total, lowered.status) == (2000, "open")
    paid = world.client.v1.invoices.pay(invoice.id)
    assert (paid.status, paid.amount_paid) == ("paid", 1500)


def test_note_of_everything_open_pays_the_invoice_and_a_voided_one_owes_again(shop: Any) -> None:
    world, customer = shop
    invoice = bill(world, customer)
    part = credit(world, invoice, amount=1900)
    voided = world.client.v1.credit_notes.void_credit_note(part.id)
    assert (voided.status, bool(voided.voided_at)) == ("void", True)
    assert world.client.v1.invoices.retrieve(invoice.id).amount_remaining == 2000
    credit(world, invoice, lines=[{"type": "invoice_line_item", "invoice_line_item": line(invoice).id, "amount": 2000}])
    done = world.client.v1.invoices.retrieve(invoice.id)
    assert (done.status, done.amount_remaining, done.amount_paid) == ("paid", 0, 0)
    assert world.event_types().count("credit_note.voided") == 1
    with pytest.raises(stripe.InvalidRequestError):
        world.client.v1.credit_notes.void_credit_note(part.id)


def line(invoice: Any) -> Any:
    return invoice.lines.data[0]


def test_note_of_a_paid_invoice_is_given_back_by_refund_credit_and_outside(shop: Any) -> None:
    world, customer = shop
    v1 = world.client.v1
    invoice = v1.invoices.pay(bill(world, customer).id)
    note = credit(world, invoice, amount=1000, refund_amount=300, credit_amount=600, out_of_band_amount=100)
    assert (note.type, note.post_payment_amount, note.pre_payment_amount) == ("post_payment", 1000, 0)
    assert v1.refunds.retrieve(note.refunds[0].refund).amount == 300
    moved = v1.customers.balance_transactions.retrieve(customer, note.customer_balance_transaction)
    assert (moved.amount, moved.type, moved.credit_note) == (-600, "credit_note", note.id)
    after = v1.invoices.retrieve(invoice.id)
    assert (after.status, after.amount_paid, after.post_payment_credit_notes_amount) == ("paid", 2000, 1000)
    assert v1.customers.retrieve(customer).balance == -600
    made = v1.refunds.create({"payment_intent": intent(world, invoice), "amount": 400})
    linked = credit(world, invoice, amount=400, refunds=[{"refund": made.id}])
    assert (linked.refunds[0].refund, linked.refunds[0].amount_refunded) == (made.id, 400)
    assert [one.id for one in v1.credit_notes.list({"invoice": invoice.id}).data] == [linked.id, note.id]


def intent(world: World, invoice: Any) -> str:
    payment = world.client.v1.invoice_payments.list({"invoice": invoice.id}).data[0]
    return str(payment.payment.payment_intent)


def test_discount_and_tax_of_a_credited_line_follow_it(shop: Any) -> None:
    world, customer = shop
    v1 = world.client.v1
    tenth = v1.coupons.create({"percent_off": 10}).id
    rate = v1.tax_rates.create({"display_name": "VAT", "percentage": 20, "inclusive": False}).id
    invoice = bill(world, customer, 1000, discounts=[{"coupon": tenth}], default_tax_rates=[rate])
    assert invoice.total == 1080
    half = [{"type": "invoice_line_item", "invoice_line_item": line(invoice).id, "amount": 500}]
    note = credit(world, invoice, lines=half)
    assert (note.discount_amount, note.total_taxes[0].amount, note.total) == (50, 90, 540)
    assert (note.subtotal, note.total_excluding_tax, note.lines.data[0].amount) == (500, 450, 500)
    rest = credit(world, invoice, lines=half)
    assert world.client.v1.invoices.retrieve(invoice.id).status == "paid"
    assert (rest.number, rest.total) == (f"{invoice.number}-CN-02", 540)
    assert len(v1.credit_notes.line_items.list(note.id).data) == 1


def test_what_cannot_be_credited_is_refused_and_changes_nothing(shop: Any) -> None:
    world, customer = shop
    v1 = world.client.v1
    invoice = v1.invoices.pay(bill(world, customer).id)
    before = invoice.to_dict()
    assert refusal(world, invoice, amount=2001, credit_amount=2001).param == "amount"
    assert "must equal" in str(refusal(world, invoice, amount=500))
    assert "must equal" in str(refusal(world, invoice, amount=500, credit_amount=400))
    assert refusal(world, invoice).code == "parameters_exclusive"
    wrong = [{"type": "invoice_line_item", "invoice_line_item": "il_missing", "amount": 5}]
    assert refusal(world, invoice, lines=wrong).param == "lines[0][invoice_line_item]"
    assert refusal(world, invoice, lines=[{"type": "custom_line_item"}]).param == "lines[0][unit_amount]"
    assert refusal(world, invoice, amount=5, credit_amount=5, reason="mood").http_status == 400
    draft = v1.invoices.create({"customer": customer})
    assert refusal(world, draft, amount=5).param == "invoice"
    assert v1.invoices.retrieve(invoice.id).to_dict() == before
    assert v1.credit_notes.list().data == []


def test_note_keeps_its_memo_and_has_a_file(shop: Any) -> None:
    world, customer = shop
    v1 = world.client.v1
    note = credit(world, bill(world, customer), lines=[{"type": "custom_line_item", "unit_amount": 5, "quantity": 3}])
    assert (note.total, note.lines.data[0].quantity) == (15, 3)
    assert v1.credit_notes.update(note.id, {"memo": "Later", "metadata": {"a": "b"}}).memo == "Later"
    answer = requests.get(note.pdf, timeout=20)
    assert (answer.status_code, answer.content[:5]) == (200, b"%PDF-")
    assert requests.get(note.pdf.replace("/pdf", "x/pdf"), timeout=20).status_code == 404


def test_parts_of_an_odd_line_add_up_to_the_line(shop: Any) -> None:
    world, customer = shop
    tenth = world.client.v1.coupons.create({"percent_off": "33.3"}).id
    rate = world.client.v1.tax_rates.create({"display_name": "VAT", "percentage": 7.7, "inclusive": False}).id
    invoice = bill(world, customer, 1001, discounts=[{"coupon": tenth}], default_tax_rates=[rate])
    kind = {"type": "invoice_line_item"}
    notes = [
        credit(world, invoice, lines=[{**kind, "invoice_line_item": line(invoice).id, "amount": part}])
        for part in (333, 333, 335)
    ]
    assert sum(note.total for note in notes) == invoice.total
    assert world.client.v1.invoices.retrieve(invoice.id).status == "paid"
