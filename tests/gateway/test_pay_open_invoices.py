"""Paying everything that is open: the order, the drafts of unpaid time, declines, repetition, crashes, lost answers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from helvetia.billing.errors import ConfirmationNeeded, OpenInvoicesChanged, PaymentInDoubt
from helvetia.billing.model import BillingConfig, UnpaidDrafts
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.settlement.model import Agreement, OpenInvoices
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.job_queue import JobQueue
from helvetia.kernel.identity import AccountId
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import CardDeclined, StripeUnavailable
from helvetia.stripe_gateway.model import Invoice
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support.billing_house import BillingHouse
from support.stripe_world import StripeWorld
from support.webhook_house import subscribed_house

ACTOR = "user:test"
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
MAY = datetime(2026, 5, 12, 10, 17, 23, tzinfo=UTC)
JUNE = datetime(2026, 6, 10, 10, 17, 23, tzinfo=UTC)


def agree(found: OpenInvoices) -> Agreement:
    return Agreement(
        invoice_ids=frozenset(invoice.invoice_id for invoice in found.invoices), amount_minor=found.amount_minor
    )


async def use_card(world: StripeWorld, customer_id: str, token: str) -> str:
    attached = await world.v1.payment_methods.attach_async(token, {"customer": customer_id})
    settings: Any = {"invoice_settings": {"default_payment_method": attached.id}}
    await world.v1.customers.update_async(customer_id, settings)
    return str(attached.id)


@pytest.fixture
async def owing(house: BillingHouse, world: StripeWorld) -> tuple[AccountId, str]:
    """Unpaid since April: one open invoice, and the drafts of May and June, which Stripe keeps back."""
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    customer_id = await house.billing.get_or_create_customer(account_id)
    await use_card(world, customer_id, "pm_card_chargeCustomerFail")
    await world.advance_to(APRIL + timedelta(hours=2))
    await world.advance_to(MAY)
    await world.advance_to(JUNE + timedelta(days=2))
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.UNPAID
    return account_id, customer_id


async def statuses(world: StripeWorld, customer_id: str) -> list[str]:
    """Of April, May and June."""
    return [str(invoice.status) for invoice in await world.invoices(customer_id)][:3][::-1]


def payments_of(house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, **config: Any) -> Any:
    return PaymentService(
        house.database,
        house.clock,
        gateway,
        holder,
        house.subscriptions,
        JobQueue(house.database.url),
        BillingConfig(**config),
    )


async def test_what_is_open_is_paid_oldest_first_and_the_latest_last(
    house: BillingHouse, world: StripeWorld, owing: tuple[AccountId, str]
) -> None:
    account_id, customer_id = owing
    found = await house.payments.open_invoices(account_id)
    assert [(one.status, one.amount_due_minor) for one in found.invoices] == [("open", 2900), ("draft", 2900)]
    assert ([one.status for one in found.dropped], found.amount_minor) == (["draft"], 5800)
    await use_card(world, customer_id, "pm_card_visa")
    paid = await house.payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    assert [one.invoice_id for one in paid.invoices] == [one.invoice_id for one in found.invoices]
    assert paid.amount_minor == found.amount_minor
    assert await statuses(world, customer_id) == ["paid", "void", "paid"]
    record = await house.subscriptions.get_subscription(account_id)
    assert record.status is SubscriptionStatus.ACTIVE
    assert (await house.payments.open_invoices(account_id)).invoices == ()


async def test_drafts_are_collected_where_the_policy_says_so(
    house: BillingHouse,
    world: StripeWorld,
    gateway: StripeClientGateway,
    holder: PriceBookHolder,
    owing: tuple[AccountId, str],
) -> None:
    account_id, customer_id = owing
    payments = payments_of(house, gateway, holder, unpaid_drafts=UnpaidDrafts.COLLECT)
    found = await payments.open_invoices(account_id)
    assert (len(found.invoices), found.dropped, found.amount_minor) == (3, (), 8700)
    await use_card(world, customer_id, "pm_card_visa")
    await payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    assert await statuses(world, customer_id) == ["paid", "paid", "paid"]
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.ACTIVE


async def test_voiding_the_latest_invoice_would_leave_the_subscription_unpaid(
    house: BillingHouse, world: StripeWorld, owing: tuple[AccountId, str]
) -> None:
    """Why the draft of the running period is collected under either policy."""
    account_id, customer_id = owing
    await use_card(world, customer_id, "pm_card_visa")
    for invoice in (await world.invoices(customer_id))[:2]:
        await world.v1.invoices.finalize_invoice_async(invoice.id, {"auto_advance": False})
        await world.v1.invoices.void_invoice_async(invoice.id)
    found = await house.payments.open_invoices(account_id)
    await house.payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    assert await statuses(world, customer_id) == ["paid", "void", "void"]
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.UNPAID


async def test_decline_of_the_second_says_what_the_first_paid_and_the_rest_can_be_paid(
    house: BillingHouse, world: StripeWorld, owing: tuple[AccountId, str]
) -> None:
    account_id, customer_id = owing
    found = await house.payments.open_invoices(account_id)
    first, second = found.invoices
    await use_card(world, customer_id, "pm_card_visa")
    await world.v1.invoices.pay_async(first.invoice_id)
    await use_card(world, customer_id, "pm_card_chargeCustomerFail")
    with pytest.raises(CardDeclined) as declined:
        await house.payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    assert declined.value.figures["charged"] == "no"
    assert declined.value.figures["failed_invoice"] == second.invoice_id
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.UNPAID
    await use_card(world, customer_id, "pm_card_visa")
    paid = await house.payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    assert [one.invoice_id for one in paid.invoices] == [second.invoice_id]
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.ACTIVE


class Scripted(StripeClientGateway):
    """Does something of its own at the second payment."""

    paid_count = 0
    at_second: Any = None

    async def pay_invoice(self, invoice_id: str) -> Invoice:
        self.paid_count += 1
        if self.paid_count == 2:
            await self.at_second()
        return await super().pay_invoice(invoice_id)


async def test_partial_payment_is_told_with_its_amount(
    house: BillingHouse,
    world: StripeWorld,
    holder: PriceBookHolder,
    sandbox_url: str,
    secret_key: str,
    owing: tuple[AccountId, str],
) -> None:
    account_id, customer_id = owing
    scripted = Scripted(secret_key, api_base=sandbox_url)
    scripted.at_second = lambda: use_card(world, customer_id, "pm_card_threeDSecure2Required")
    payments = payments_of(house, scripted, holder, sandbox_origin=sandbox_url)
    await use_card(world, customer_id, "pm_card_visa")
    found = await payments.open_invoices(account_id)
    with pytest.raises(ConfirmationNeeded) as needed:
        await payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    await scripted.close()
    figures = needed.value.figures
    assert (figures["charged"], str(figures["amount_paid"])) == ("partly", "29.00")
    assert figures["paid_invoices"] == [found.invoices[0].invoice_id]
    assert str(figures["confirm_url"]).startswith(sandbox_url)
    assert await statuses(world, customer_id) == ["paid", "void", "open"]
    await use_card(world, customer_id, "pm_card_visa")
    await house.payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.ACTIVE


async def test_lost_answer_is_doubt_and_the_repetition_pays_the_rest_only(
    house: BillingHouse,
    world: StripeWorld,
    holder: PriceBookHolder,
    sandbox_url: str,
    secret_key: str,
    owing: tuple[AccountId, str],
) -> None:
    account_id, customer_id = owing

    class LosesTheAnswer(StripeClientGateway):
        async def pay_invoice(self, invoice_id: str) -> Invoice:
            await super().pay_invoice(invoice_id)
            raise StripeUnavailable

    await use_card(world, customer_id, "pm_card_visa")
    losing = LosesTheAnswer(secret_key, api_base=sandbox_url)
    payments = payments_of(house, losing, holder)
    found = await payments.open_invoices(account_id)
    with pytest.raises(PaymentInDoubt):
        await payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    await losing.close()
    paid = await house.payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    assert [one.invoice_id for one in paid.invoices] == [found.invoices[1].invoice_id]
    charges = await world.v1.charges.list_async({"customer": customer_id})
    assert sum(charge.amount for charge in charges.data if charge.paid) == 3 * 2900


class Dies(Exception):
    """The process ends here."""


async def test_crash_between_finalizing_and_voiding_never_turns_the_draft_into_a_debt(
    house: BillingHouse,
    world: StripeWorld,
    holder: PriceBookHolder,
    sandbox_url: str,
    secret_key: str,
    owing: tuple[AccountId, str],
) -> None:
    account_id, customer_id = owing

    class DiesBeforeVoiding(StripeClientGateway):
        async def void_invoice(self, invoice_id: str) -> None:
            raise Dies

    dying = DiesBeforeVoiding(secret_key, api_base=sandbox_url)
    payments = payments_of(house, dying, holder)
    found = await payments.open_invoices(account_id)
    with pytest.raises(Dies):
        await payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    await dying.close()
    assert await statuses(world, customer_id) == ["open", "open", "draft"]
    again = await house.payments.open_invoices(account_id)
    assert (again.amount_minor, len(again.dropped)) == (5800, 1)
    await use_card(world, customer_id, "pm_card_visa")
    await house.payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
    assert await statuses(world, customer_id) == ["paid", "void", "paid"]


async def test_double_click_charges_once(house: BillingHouse, world: StripeWorld, owing: tuple[AccountId, str]) -> None:
    account_id, customer_id = owing
    await use_card(world, customer_id, "pm_card_visa")
    agreed = agree(await house.payments.open_invoices(account_id))
    both = await asyncio.gather(*(house.payments.pay_open_invoices(account_id, agreed, actor=ACTOR) for _ in range(2)))
    assert sorted(paid.amount_minor for paid in both) == [0, 5800]
    charges = await world.v1.charges.list_async({"customer": customer_id})
    assert sum(charge.amount for charge in charges.data if charge.paid) == 3 * 2900


async def test_more_than_was_agreed_to_is_never_charged(
    house: BillingHouse, world: StripeWorld, owing: tuple[AccountId, str]
) -> None:
    account_id, customer_id = owing
    await use_card(world, customer_id, "pm_card_visa")
    found = await house.payments.open_invoices(account_id)
    ids = agree(found).invoice_ids
    for agreed in (
        Agreement(invoice_ids=ids, amount_minor=found.amount_minor - 1),
        Agreement(invoice_ids=ids - {found.invoices[1].invoice_id}, amount_minor=found.amount_minor),
    ):
        with pytest.raises(OpenInvoicesChanged) as changed:
            await house.payments.pay_open_invoices(account_id, agreed, actor=ACTOR)
        assert str(changed.value.figures["amount_due"]) == "58.00"
    assert await statuses(world, customer_id) == ["open", "draft", "draft"]


async def test_account_without_a_customer_or_debt_has_nothing_open(house: BillingHouse) -> None:
    account_id = await house.new_account()
    nothing = Agreement(invoice_ids=frozenset(), amount_minor=0)
    assert (await house.payments.pay_open_invoices(account_id, nothing, actor=ACTOR)).invoices == ()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    assert (await house.payments.open_invoices(account_id)).amount_minor == 0


async def test_new_card_told_by_an_event_is_offered_until_it_was_tried(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway
) -> None:
    async with subscribed_house(house, gateway, world, ("customer.updated",)) as served:
        account_id = await house.new_account()
        await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
        customer_id = await house.billing.get_or_create_customer(account_id)
        await use_card(world, customer_id, "pm_card_chargeCustomerFail")
        await world.advance_to(APRIL + timedelta(hours=2))
        await served.settle(2)
        await house.billing.mirror_invoices(account_id)
        assert await house.billing.offer_payment(account_id) is None
        card_id = await use_card(world, customer_id, "pm_card_visa")
        for _ in range(100):
            offer = await house.billing.payment_offer(account_id)
            if offer is not None:
                break
            await asyncio.sleep(0.05)
        assert offer is not None
        assert offer.payment_method_id == card_id
        again = await house.billing.offer_payment(account_id)
        assert again == offer
        found = await house.payments.open_invoices(account_id)
        await house.payments.pay_open_invoices(account_id, agree(found), actor=ACTOR)
        assert await house.billing.offer_payment(account_id) is None


async def test_offer_does_not_depend_on_an_event(
    house: BillingHouse, world: StripeWorld, owing: tuple[AccountId, str]
) -> None:
    account_id, customer_id = owing
    await use_card(world, customer_id, "pm_card_visa")
    assert await house.billing.payment_offer(account_id) is None
    await house.billing.mirror_all()
    assert await house.billing.payment_offer(account_id) is not None
