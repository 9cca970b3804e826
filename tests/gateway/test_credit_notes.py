"""Credit notes and refunds: what was taken off, given back and is left to pay, read again, never taken from an event.

given an account that pays (or does not) for its plan
when  somebody credits, refunds or withdraws at Stripe, in any order, and no event of it ever comes
then  the next read of the account has every amount as Stripe has it, and the parts add up to the whole
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from helvetia.billing.credit_notes.model import CreditNoteRecord, CreditNoteStatus, GivenBack, given_back
from helvetia.billing.errors import InvoiceNotFound
from helvetia.billing.model import InvoiceRecord
from helvetia.billing.payments.invoice_facts_service import InvoiceFactsService
from helvetia.billing.payments.model import PaymentKind, of_invoice
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.credit_notes import CreditNote
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support import trials
from support.billing_house import BillingHouse, MovableClock, build_house
from support.stripe_world import StripeWorld
from support.webhook_house import MISSIONS_FIVE, all_events, subscribed_house

MONTHS = trials.choose(small=2, full=24)
ACCOUNTS, STEPS = 3, 4


class Altered:
    """Passes everything on, but for the calls that a test alters."""

    def __init__(self, gateway: StripeClientGateway, **altered: Any) -> None:
        self._gateway = gateway
        self._altered = altered

    def __getattr__(self, name: str) -> Any:
        return self._altered.get(name) or getattr(self._gateway, name)


async def subscribed(house: BillingHouse) -> tuple[AccountId, str]:
    account_id = await house.new_account()
    record = await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    assert record.stripe_customer_id is not None
    await house.billing.mirror_invoices(account_id)
    return account_id, record.stripe_customer_id


async def use_card(world: StripeWorld, customer_id: str, card: str) -> None:
    method = await world.v1.payment_methods.attach_async(card, {"customer": customer_id})
    await world.v1.customers.update_async(customer_id, {"invoice_settings": {"default_payment_method": method.id}})


async def owing(house: BillingHouse, world: StripeWorld) -> tuple[AccountId, str, InvoiceRecord]:
    """An account whose second invoice was declined, and that invoice."""
    account_id, customer_id = await subscribed(house)
    await use_card(world, customer_id, "pm_card_chargeCustomerFail")
    await world.advance_to(house.clock.now() + timedelta(days=31, hours=2))
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)
    invoice = (await house.billing.get_invoices(account_id)).invoices[0]
    assert (invoice.status, invoice.amount_remaining_minor) == ("open", 2900)
    return account_id, customer_id, invoice


def facts_of(house: BillingHouse) -> InvoiceFactsService:
    return InvoiceFactsService(house.database, house.prices)


async def credit(world: StripeWorld, invoice_id: str, **wanted: Any) -> Any:
    return await world.v1.credit_notes.create_async({"invoice": invoice_id, **wanted})


async def read(
    house: BillingHouse, account_id: AccountId, invoice_id: str
) -> tuple[InvoiceRecord, Sequence[CreditNoteRecord], GivenBack]:
    """As the page of the invoice tells it."""
    await house.billing.mirror_invoices(account_id)
    invoice, _ = await house.billing.get_invoice(account_id, invoice_id)
    notes = await facts_of(house).credit_notes(account_id, invoice_id)
    payments = await house.payments.list_payments(account_id, limit=100)
    return invoice, notes, given_back(notes, of_invoice(payments.entries, invoice_id))


async def test_note_on_an_open_invoice_lowers_what_is_left_until_it_is_withdrawn(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id, _, owed = await owing(house, world)
    note = await credit(world, owed.stripe_invoice_id, amount=900, reason="order_change", memo="as agreed")
    invoice, [found], back = await read(house, account_id, owed.stripe_invoice_id)
    assert (invoice.status, invoice.total_minor, invoice.amount_due_minor) == ("open", 2900, 2000)
    assert (invoice.amount_remaining_minor, invoice.credited_before_minor) == (2000, 900)
    assert (invoice.from_balance_minor, back) == (0, GivenBack())
    assert (found.number, found.before_payment_minor, found.to_balance_minor) == (note.number, 900, 0)
    assert (found.reason, found.memo, found.status) == ("order_change", "as agreed", CreditNoteStatus.ISSUED)
    await world.v1.credit_notes.void_credit_note_async(note.id)
    invoice, [found], back = await read(house, account_id, owed.stripe_invoice_id)
    assert (invoice.amount_remaining_minor, invoice.credited_before_minor) == (2900, 0)
    assert (found.status, found.voided_at) == (CreditNoteStatus.VOID, house.clock.now())
    kinds = [(one.kind, one.status) for one in (await house.payments.list_payments(account_id)).entries]
    assert (PaymentKind.TAKEN_OFF, "void") in kinds


async def test_note_over_all_that_is_owed_leaves_nothing_to_pay(house: BillingHouse, world: StripeWorld) -> None:
    account_id, _, owed = await owing(house, world)
    await credit(world, owed.stripe_invoice_id, amount=2900)
    invoice, notes, back = await read(house, account_id, owed.stripe_invoice_id)
    assert (invoice.status, invoice.amount_paid_minor, invoice.amount_remaining_minor) == ("paid", 0, 0)
    assert (invoice.credited_before_minor, len(notes), back.total_minor) == (2900, 1, 0)


async def test_note_on_a_paid_invoice_says_where_each_part_went(house: BillingHouse, world: StripeWorld) -> None:
    account_id, _ = await subscribed(house)
    paid = (await house.billing.get_invoices(account_id)).invoices[0]
    parts = {"refund_amount": 500, "credit_amount": 400, "out_of_band_amount": 100}
    await credit(world, paid.stripe_invoice_id, amount=1000, reason="product_unsatisfactory", **parts)
    invoice, [note], back = await read(house, account_id, paid.stripe_invoice_id)
    assert (invoice.status, invoice.amount_paid_minor, invoice.credited_after_minor) == ("paid", 2900, 1000)
    assert (note.refunded_minor, note.to_balance_minor, note.outside_minor) == (500, 400, 100)
    assert back == GivenBack(refunded_minor=500, to_balance_minor=400, outside_minor=100)
    entries = (await house.payments.list_payments(account_id)).entries
    assert {one.kind: one.amount_minor for one in entries} == {
        PaymentKind.PAYMENT: 2900,
        PaymentKind.REFUND: 500,
        PaymentKind.TO_BALANCE: 400,
        PaymentKind.OUTSIDE: 100,
    }
    assert {one.invoice_number for one in entries} == {invoice.number}
    assert "Something was not as it should have been." in {one.reason for one in entries}


async def test_refund_without_a_note_is_seen_by_the_poll_though_no_event_tells_it(
    house: BillingHouse, world: StripeWorld, clock: MovableClock
) -> None:
    account_id, customer_id = await subscribed(house)
    await house.billing.mirror_all()
    paid = (await house.billing.get_invoices(account_id)).invoices[0]
    charge = (await world.v1.charges.list_async({"customer": customer_id})).data[0]
    await world.v1.refunds.create_async({"charge": charge.id, "amount": 700, "reason": "duplicate"})
    clock.advance(timedelta(minutes=61))
    await house.billing.mirror_all()
    found = await facts_of(house).given_back(account_id, [paid.stripe_invoice_id])
    assert found == {paid.stripe_invoice_id: GivenBack(refunded_minor=700)}
    known = await house.payments.known_payments(account_id)
    assert known is not None
    [refund] = [one for one in known.entries if one.kind is PaymentKind.REFUND]
    assert (refund.reason, refund.invoice_id) == ("It had been charged twice.", paid.stripe_invoice_id)


async def test_copies_answer_while_stripe_is_away(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, holder: PriceBookHolder
) -> None:
    account_id, _ = await subscribed(house)
    paid = (await house.billing.get_invoices(account_id)).invoices[0]
    await credit(world, paid.stripe_invoice_id, amount=800, refund_amount=800)
    _, notes, back = await read(house, account_id, paid.stripe_invoice_id)

    async def away(*_: Any, **__: Any) -> None:
        raise StripeUnavailable

    names = ("list_charges", "list_refunds", "list_invoices", "list_credit_notes")
    lost: Any = Altered(gateway, **dict.fromkeys(names, away))
    alone = build_house(house.database, house.clock, lost, holder)
    with pytest.raises(StripeUnavailable):
        await alone.billing.mirror_invoices(account_id)
    assert await facts_of(alone).credit_notes(account_id, paid.stripe_invoice_id) == notes
    assert await facts_of(alone).given_back(account_id, [paid.stripe_invoice_id]) == {paid.stripe_invoice_id: back}
    assert len((await alone.payments.list_payments(account_id)).entries) == 2


@pytest.mark.parametrize("is_held", [True, False])
async def test_stale_read_of_a_note_never_overwrites_a_newer_one(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, holder: PriceBookHolder, *, is_held: bool
) -> None:
    account_id, _, owed = await owing(house, world)
    note = await credit(world, owed.stripe_invoice_id, amount=900)
    if is_held:
        await house.billing.mirror_invoices(account_id)
    was_read, may_go_on = asyncio.Event(), asyncio.Event()

    async def slowly(customer_id: str) -> Sequence[CreditNote]:
        found = await gateway.list_credit_notes(customer_id)
        was_read.set()
        await may_go_on.wait()
        return found

    slow: Any = Altered(gateway, list_credit_notes=slowly)
    stale = asyncio.create_task(
        build_house(house.database, house.clock, slow, holder).billing.mirror_invoices(account_id)
    )
    await was_read.wait()
    await world.v1.credit_notes.void_credit_note_async(note.id)
    await house.billing.mirror_invoices(account_id)
    may_go_on.set()
    await stale
    found = await facts_of(house).credit_notes(account_id, owed.stripe_invoice_id)
    invoice, _ = await house.billing.get_invoice(account_id, owed.stripe_invoice_id)
    assert [one.status for one in found] == ([CreditNoteStatus.VOID] if is_held else [])
    assert invoice.credited_before_minor == 0


async def test_notes_are_right_with_the_missions_five_events_repeated_and_out_of_order(
    house: BillingHouse, gateway: StripeClientGateway, world: StripeWorld
) -> None:
    async with subscribed_house(house, gateway, world, MISSIONS_FIVE) as served:
        account_id, customer_id, owed = await owing(house, world)
        await credit(world, owed.stripe_invoice_id, amount=2900)
        events = [event for event in await all_events(world) if event["type"] in MISSIONS_FIVE]
        await served.settle(len(events))
        for event in [*events, *reversed(events)]:
            await served.deliver(event)
        await served.settle(len(events))
        await served.assert_invoices_agree(account_id, customer_id)
        await house.billing.mirror_all()
        [note] = await facts_of(house).credit_notes(account_id, owed.stripe_invoice_id)
        assert (note.before_payment_minor, note.status) == (2900, CreditNoteStatus.ISSUED)


async def test_file_of_a_note_is_only_its_owners(house: BillingHouse, world: StripeWorld, sandbox_url: str) -> None:
    account_id, _ = await subscribed(house)
    other_id, _ = await subscribed(house)
    paid = (await house.billing.get_invoices(account_id)).invoices[0].stripe_invoice_id
    note = await credit(world, paid, amount=100, credit_amount=100)
    with pytest.raises(InvoiceNotFound):
        await house.payments.credit_note_address(other_id, paid, note.id)
    with pytest.raises(InvoiceNotFound):
        await house.payments.credit_note_address(account_id, "in_other", note.id)
    with pytest.raises(InvoiceNotFound):
        await house.payments.credit_note_address(account_id, paid, "cn_missing")
    assert (await house.payments.credit_note_address(account_id, paid, note.id)).startswith(sandbox_url)


async def test_parts_of_every_invoice_add_up_after_random_credits_refunds_and_withdrawals(
    house: BillingHouse, world: StripeWorld
) -> None:
    luck = random.Random(20261201)
    accounts = [await subscribed(house) for _ in range(ACCOUNTS)]
    for _ in range(MONTHS):
        for _, customer_id in accounts:
            await use_card(world, customer_id, luck.choice(("pm_card_visa", "pm_card_chargeCustomerFail")))
        await world.advance_to(house.clock.now() + timedelta(days=31))
        for account_id, customer_id in accounts:
            for _ in range(STEPS):
                await _something(luck, world, customer_id)
                await assert_adds_up(house, world, account_id, customer_id)
            await _pay_all(world, customer_id)
    count = MONTHS * ACCOUNTS * STEPS
    trials.record("credits, refunds and withdrawals in random order: parts add up", count=count, seed=20261201)


async def assert_adds_up(house: BillingHouse, world: StripeWorld, account_id: AccountId, customer_id: str) -> None:
    await house.billing.mirror_invoices(account_id)
    payments = (await house.payments.list_payments(account_id, limit=100)).entries
    charges = (await world.v1.charges.list_async({"customer": customer_id, "limit": 100})).data
    stripes = {one.id: one for one in await world.invoices(customer_id)}
    for invoice in (await house.billing.get_invoices(account_id, limit=100)).invoices:
        raw = stripes[invoice.stripe_invoice_id]
        notes = await facts_of(house).credit_notes(account_id, invoice.stripe_invoice_id)
        issued = [note for note in notes if note.status is CreditNoteStatus.ISSUED]
        assert sum(note.before_payment_minor for note in issued) == raw.pre_payment_credit_notes_amount
        assert sum(note.after_payment_minor for note in issued) == raw.post_payment_credit_notes_amount
        assert (invoice.credited_before_minor, invoice.credited_after_minor) == (
            raw.pre_payment_credit_notes_amount,
            raw.post_payment_credit_notes_amount,
        )
        parts_minor = invoice.amount_paid_minor + invoice.amount_remaining_minor + invoice.credited_before_minor
        assert invoice.total_minor + invoice.from_balance_minor == parts_minor
        back = given_back(notes, of_invoice(payments, invoice.stripe_invoice_id))
        full = await world.v1.invoices.retrieve_async(raw.id, {"expand": ["payments"]})
        intents = {one.payment.payment_intent for one in full.payments.data}
        assert back.refunded_minor == sum(one.amount_refunded for one in charges if one.payment_intent in intents)


async def _pay_all(world: StripeWorld, customer_id: str) -> None:
    await use_card(world, customer_id, "pm_card_visa")
    for invoice in await world.invoices(customer_id):
        if invoice.status == "open":
            await world.v1.invoices.pay_async(invoice.id)


async def _something(luck: random.Random, world: StripeWorld, customer_id: str) -> None:
    """A credit, a refund or a withdrawal; what Stripe refuses of it changes nothing."""
    invoice, amount = luck.choice(await world.invoices(customer_id)), luck.randrange(1, 1500)
    try:
        match luck.randrange(5):
            case 0:
                await credit(world, invoice.id, amount=amount)
            case 1:
                await credit(world, invoice.id, amount=amount, refund_amount=amount)
            case 2:
                await credit(
                    world, invoice.id, amount=amount, credit_amount=amount // 2, out_of_band_amount=amount - amount // 2
                )
            case 3:
                charges = (await world.v1.charges.list_async({"customer": customer_id})).data
                await world.v1.refunds.create_async({"charge": luck.choice(charges).id, "amount": amount})
            case _:
                notes = (await world.v1.credit_notes.list_async({"invoice": invoice.id})).data
                await world.v1.credit_notes.void_credit_note_async(luck.choice(notes).id if notes else "cn_none")
    except Exception as error:
        if type(error).__name__ != "InvalidRequestError":
            raise
