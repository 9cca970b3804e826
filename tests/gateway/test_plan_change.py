"""Changes of plan: what is previewed is what is charged; a smaller plan comes with the next period; ends bill usage."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from helvetia.billing.errors import (
    CancellationScheduled,
    CancellationUnderWay,
    NothingCharged,
    NothingToResume,
    NotSubscribed,
    PaymentInDoubt,
    PlanUnchanged,
    PreviewOutdated,
)
from helvetia.billing.plan_change.model import ChangeOutcome, ChangeState, Direction
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId, new_id
from helvetia.kernel.quantity import UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.actions import PlanChange
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import CardDeclined, StripeUnavailable
from helvetia.stripe_gateway.model import Subscription
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support import trials
from support.billing_house import BillingHouse, build_house
from support.stripe_world import StripeWorld

FREE, STARTER, PRO, ENTERPRISE = SubscriptionPlan
ACTOR = "user:test"
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)


async def subscriber(house: BillingHouse, plan: SubscriptionPlan = STARTER) -> AccountId:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, plan, "pm_card_visa")
    return account_id


async def change(house: BillingHouse, account_id: AccountId, plan: SubscriptionPlan) -> ChangeOutcome:
    preview = await house.billing.preview_update(account_id, plan, actor=ACTOR)
    return await house.billing.update_subscription(account_id, plan, preview.change.change_id, actor=ACTOR)


async def plan_of(house: BillingHouse, account_id: AccountId) -> SubscriptionPlan:
    return (await house.subscriptions.sync_subscription(account_id)).record.plan


async def use_card(world: StripeWorld, house: BillingHouse, account_id: AccountId, token: str) -> None:
    customer_id = await house.billing.get_or_create_customer(account_id)
    attached = await world.v1.payment_methods.attach_async(token, {"customer": customer_id})
    settings: Any = {"invoice_settings": {"default_payment_method": attached.id}}
    await world.v1.customers.update_async(customer_id, settings)


async def test_upgrade_charges_what_was_previewed(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    await world.advance_to(datetime(2026, 3, 20, 12, 0, 0, tzinfo=UTC))
    preview = await house.billing.preview_update(account_id, PRO, actor=ACTOR)
    assert preview.change.direction is Direction.UPGRADE
    assert [line.amount_minor < 0 for line in preview.lines] == [True, False]
    assert sum(line.amount_minor for line in preview.lines) == preview.change.amount_due_minor
    await world.advance_to(datetime(2026, 3, 20, 12, 9, 0, tzinfo=UTC))
    done = await house.billing.update_subscription(account_id, PRO, preview.change.change_id, actor=ACTOR)
    assert done.change.state is ChangeState.APPLIED
    assert done.charged_minor == preview.change.amount_due_minor > 0
    assert (await house.subscriptions.get_subscription(account_id)).plan is PRO
    again = await house.billing.update_subscription(account_id, PRO, preview.change.change_id, actor=ACTOR)
    assert again.charged_minor == done.charged_minor
    customer_id = await house.billing.get_or_create_customer(account_id)
    assert len(await world.invoices(customer_id)) == 2


async def test_same_confirmation_twice_at_once_charges_once(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    preview = await house.billing.preview_update(account_id, PRO, actor=ACTOR)
    outcomes = await asyncio.gather(
        *(house.billing.update_subscription(account_id, PRO, preview.change.change_id, actor=ACTOR) for _ in range(4))
    )
    assert {outcome.change.state for outcome in outcomes} == {ChangeState.APPLIED}
    assert len(await world.invoices(await house.billing.get_or_create_customer(account_id))) == 2


async def test_preview_of_a_past_period_charges_nothing_unseen(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    await world.advance_to(APRIL - timedelta(minutes=5))
    old = await house.billing.preview_update(account_id, PRO, actor=ACTOR)
    await world.advance_to(APRIL + timedelta(minutes=5))
    with pytest.raises(PreviewOutdated) as refused:
        await house.billing.update_subscription(account_id, PRO, old.change.change_id, actor=ACTOR)
    assert await plan_of(house, account_id) is STARTER
    token = refused.value.figures["preview_token"]
    assert token != old.change.change_id
    done = await house.billing.update_subscription(account_id, PRO, token, actor=ACTOR)  # type: ignore[arg-type]
    assert Decimal(done.charged_minor).scaleb(-2) == refused.value.figures["amount_due"]
    assert done.charged_minor > 1900


async def test_changed_amount_is_shown_again_before_it_is_charged(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    preview = await house.billing.preview_update(account_id, PRO, actor=ACTOR)
    customer_id = await house.billing.get_or_create_customer(account_id)
    await world.v1.customers.balance_transactions.create_async(customer_id, {"amount": -500, "currency": "usd"})
    with pytest.raises(PreviewOutdated) as refused:
        await house.billing.update_subscription(account_id, PRO, preview.change.change_id, actor=ACTOR)
    assert refused.value.figures["amount_due"] == Decimal(preview.change.amount_due_minor - 500).scaleb(-2)
    assert await plan_of(house, account_id) is STARTER


async def test_token_of_another_account_or_plan_or_age_is_no_confirmation(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id, other_id = await subscriber(house), await subscriber(house)
    foreign = await house.billing.preview_update(other_id, PRO, actor=ACTOR)
    for token in (foreign.change.change_id, new_id()):
        with pytest.raises(PreviewOutdated):
            await house.billing.update_subscription(account_id, PRO, token, actor=ACTOR)
    own = await house.billing.preview_update(account_id, PRO, actor=ACTOR)
    with pytest.raises(PreviewOutdated):
        await house.billing.update_subscription(account_id, ENTERPRISE, own.change.change_id, actor=ACTOR)
    await world.advance_to(house.clock.now() + timedelta(minutes=31))
    with pytest.raises(PreviewOutdated):
        await house.billing.update_subscription(account_id, PRO, own.change.change_id, actor=ACTOR)
    assert await plan_of(house, account_id) is STARTER


async def test_declined_upgrade_changes_nothing_and_leaves_nothing(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    await use_card(world, house, account_id, "pm_card_chargeCustomerFail")
    preview = await house.billing.preview_update(account_id, PRO, actor=ACTOR)
    for _ in range(2):
        with pytest.raises(CardDeclined):
            await house.billing.update_subscription(account_id, PRO, preview.change.change_id, actor=ACTOR)
    record = (await house.subscriptions.sync_subscription(account_id)).record
    assert (record.plan, record.status) == (STARTER, SubscriptionStatus.ACTIVE)
    invoices = await world.invoices(await house.billing.get_or_create_customer(account_id))
    assert sorted(invoice.status for invoice in invoices) == ["paid", "void"]
    await use_card(world, house, account_id, "pm_card_visa")
    assert (await change(house, account_id, PRO)).change.state is ChangeState.APPLIED


async def test_upgrade_that_waits_for_the_bank_keeps_the_old_plan(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    await use_card(world, house, account_id, "pm_card_threeDSecure2Required")
    waiting = await change(house, account_id, PRO)
    assert (waiting.change.state, waiting.charged_minor) == (ChangeState.PENDING, 0)
    assert waiting.confirm_url is not None
    record = (await house.subscriptions.sync_subscription(account_id)).record
    assert (record.plan, record.status) == (STARTER, SubscriptionStatus.ACTIVE)
    pending = await house.billing.pending_change(account_id)
    assert pending is not None
    assert (pending.plan, pending.state) == (PRO, ChangeState.PENDING)


async def test_w16_downgrade_waits_for_the_period_and_can_be_undone(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house, PRO)
    scheduled = await change(house, account_id, STARTER)
    assert (scheduled.change.state, scheduled.change.effective_at) == (ChangeState.SCHEDULED, APRIL)
    assert await plan_of(house, account_id) is PRO
    assert (await house.billing.pending_change(account_id)) is not None
    await house.billing.resume_subscription(account_id, actor=ACTOR)
    assert (await house.billing.pending_change(account_id)) is None
    with pytest.raises(NothingToResume):
        await house.billing.resume_subscription(account_id, actor=ACTOR)
    await change(house, account_id, STARTER)
    await world.advance_to(APRIL + timedelta(hours=2))
    record = (await house.subscriptions.sync_subscription(account_id)).record
    assert (record.plan, record.fee_minor) == (STARTER, 900)
    newest = (await world.invoices(await house.billing.get_or_create_customer(account_id)))[0]
    assert (newest.status, newest.total) == ("paid", 900)
    assert (await house.billing.pending_change(account_id)) is None


async def test_smaller_scheduled_plan_replaces_the_one_before(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house, ENTERPRISE)
    await change(house, account_id, PRO)
    await change(house, account_id, STARTER)
    await world.advance_to(APRIL + timedelta(hours=2))
    assert await plan_of(house, account_id) is STARTER


async def test_upgrade_while_a_downgrade_is_scheduled_drops_it(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house, PRO)
    await change(house, account_id, STARTER)
    done = await change(house, account_id, ENTERPRISE)
    assert done.change.state is ChangeState.APPLIED
    live = await house.billing.get_subscription(account_id)
    assert live is not None
    assert live.schedule_id is None
    await world.advance_to(APRIL + timedelta(hours=2))
    assert await plan_of(house, account_id) is ENTERPRISE


async def test_cancel_while_a_downgrade_is_scheduled_drops_it_and_can_be_repeated(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id = await subscriber(house, PRO)
    await change(house, account_id, STARTER)
    for _ in range(2):
        record = await house.billing.cancel_subscription(account_id, actor=ACTOR)
    assert record.cancel_at == APRIL
    with pytest.raises(CancellationScheduled):
        await house.billing.preview_update(account_id, ENTERPRISE, actor=ACTOR)
    assert (await house.billing.resume_subscription(account_id, actor=ACTOR)).cancel_at is None
    await house.billing.cancel_subscription(account_id, actor=ACTOR)
    await world.advance_to(APRIL + timedelta(hours=2))
    record = (await house.subscriptions.sync_subscription(account_id)).record
    assert (record.status, record.ended_at) == (SubscriptionStatus.CANCELED, APRIL)


async def test_change_to_free_is_an_end_with_the_choice_recorded(house: BillingHouse) -> None:
    account_id = await subscriber(house, PRO)
    planned = await change(house, account_id, FREE)
    assert (planned.change.direction, planned.change.effective_at) == (Direction.END, APRIL)
    assert (await house.subscriptions.get_subscription(account_id)).cancel_at == APRIL
    pending = await house.billing.pending_change(account_id)
    assert pending is not None
    assert (pending.plan, pending.state) == (FREE, ChangeState.SCHEDULED)
    await house.billing.resume_subscription(account_id, actor=ACTOR)
    assert await house.billing.pending_change(account_id) is None
    assert (await house.subscriptions.get_subscription(account_id)).cancel_at is None


async def test_preview_says_what_will_not_fit(house: BillingHouse) -> None:
    account_id = await subscriber(house, PRO)
    for _ in range(3):
        service_id = await house.new_service(account_id)
        async with house.database.transaction() as tx:
            await tx.execute("UPDATE services SET name = service_id::text WHERE service_id = %s", (service_id,))
    preview = await house.billing.preview_update(account_id, STARTER, actor=ACTOR)
    assert {(one.limit, one.used, one.allowed) for one in preview.will_not_fit} == {
        ("memory", 3072, 2048),
        ("cpu", 3, 2),
    }
    offers = {offer.plan: offer for offer in await house.billing.list_plans(account_id)}
    assert [one.limit for one in offers[FREE].will_not_fit] == ["services", "memory", "cpu"]
    assert (offers[PRO].is_current, offers[PRO].fee_minor, offers[PRO].will_not_fit) == (True, 2900, ())


async def test_nothing_to_change_is_refused(house: BillingHouse) -> None:
    account_id = await subscriber(house, PRO)
    with pytest.raises(PlanUnchanged):
        await house.billing.preview_update(account_id, PRO, actor=ACTOR)
    free_id = await house.new_account()
    for refused in (
        house.billing.preview_update(free_id, PRO, actor=ACTOR),
        house.billing.cancel_subscription(free_id, actor=ACTOR),
        house.billing.resume_subscription(free_id, actor=ACTOR),
    ):
        with pytest.raises(NotSubscribed):
            await refused


class LosesTheAnswer(StripeClientGateway):
    """Stripe does what it is asked, and the answer is lost on its way."""

    async def change_plan(self, change: PlanChange, idempotency_key: str) -> Subscription:
        await super().change_plan(change, idempotency_key)
        raise StripeUnavailable


async def test_lost_answer_is_doubt_and_the_repetition_charges_nothing_more(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, sandbox_url: str, secret_key: str
) -> None:
    account_id = await subscriber(house)
    preview = await house.billing.preview_update(account_id, PRO, actor=ACTOR)
    losing = LosesTheAnswer(secret_key, api_base=sandbox_url)
    other = build_house(house.database, house.clock, losing, holder, sandbox_origin=sandbox_url)
    with pytest.raises(PaymentInDoubt) as doubt:
        await other.billing.update_subscription(account_id, PRO, preview.change.change_id, actor=ACTOR)
    await losing.close()
    assert doubt.value.figures["charged"] == "unknown"
    assert (await house.subscriptions.get_subscription(account_id)).plan is STARTER
    done = await house.billing.update_subscription(account_id, PRO, preview.change.change_id, actor=ACTOR)
    assert done.charged_minor == preview.change.amount_due_minor
    assert len(await world.invoices(await house.billing.get_or_create_customer(account_id))) == 2


async def test_stripe_away_changes_nothing(house: BillingHouse, holder: PriceBookHolder) -> None:
    account_id = await subscriber(house)
    preview = await house.billing.preview_update(account_id, PRO, actor=ACTOR)
    nowhere = StripeClientGateway("sk_test_x", api_base="http://127.0.0.1:1")
    other = build_house(house.database, house.clock, nowhere, holder)
    for attempt in (
        other.billing.preview_update(account_id, PRO, actor=ACTOR),
        other.billing.update_subscription(account_id, PRO, preview.change.change_id, actor=ACTOR),
        other.billing.cancel_subscription(account_id, actor=ACTOR),
        other.billing.cancel_subscription(account_id, now=True, actor=ACTOR),
        other.billing.resume_subscription(account_id, actor=ACTOR),
    ):
        with pytest.raises(NothingCharged):
            await attempt
    await nowhere.close()
    assert (await change(house, account_id, PRO)).change.state is ChangeState.APPLIED


async def test_end_now_bills_the_open_usage_first(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    start = house.clock.now() + timedelta(hours=1)
    await world.advance_to(start + timedelta(days=2))
    hours = 3_600 * 10**9
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, 200 * hours, start)
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.ACTIVE
    with pytest.raises(CancellationUnderWay):
        await house.billing.resume_subscription(account_id, actor=ACTOR)
    assert await house.reports.finish_cancellations() == 1
    assert await house.reports.finish_cancellations() == 0
    assert await house.reports.finish_cancellation(account_id)
    record = await house.subscriptions.get_subscription(account_id)
    assert (record.status, record.ended_at) == (SubscriptionStatus.CANCELED, house.clock.now())
    newest = (await world.invoices(await house.billing.get_or_create_customer(account_id)))[0]
    assert (newest.subtotal, newest.billing_reason != "subscription_create") == (200, True)


async def test_end_now_waits_until_stripe_has_taken_the_usage(
    house: BillingHouse, holder: PriceBookHolder, sandbox_url: str, secret_key: str, world: StripeWorld
) -> None:
    account_id = await subscriber(house)
    start = house.clock.now() + timedelta(hours=1)
    await world.advance_to(start + timedelta(days=1))
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, 3_600 * 10**9, start)
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    nowhere = StripeClientGateway(secret_key, api_base="http://127.0.0.1:1")
    other = build_house(house.database, house.clock, nowhere, holder)
    assert not await other.reports.finish_cancellation(account_id)
    await nowhere.close()
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.ACTIVE
    assert await house.reports.finish_cancellation(account_id)


CHANGES_SEED = 20_260_310


@pytest.mark.parametrize("seed", range(trials.choose(small=6, full=200)))
async def test_random_changes_are_invoiced_as_previewed(house: BillingHouse, world: StripeWorld, seed: int) -> None:
    chance = random.Random(CHANGES_SEED + seed)
    account_id = await subscriber(house)
    await world.advance_to(house.clock.now() + timedelta(seconds=chance.randrange(60, 24 * 86_400)))
    for plan in (PRO, ENTERPRISE)[chance.randrange(2) :]:
        preview = await house.billing.preview_update(account_id, plan, actor=ACTOR)
        await world.advance_to(house.clock.now() + timedelta(seconds=chance.randrange(1, 590)))
        done = await house.billing.update_subscription(account_id, plan, preview.change.change_id, actor=ACTOR)
        newest = (await world.invoices(await house.billing.get_or_create_customer(account_id)))[0]
        assert done.change.stripe_invoice_id == newest.id
        assert (newest.total, newest.amount_due) == (preview.change.total_minor, preview.change.amount_due_minor)
        assert done.charged_minor == newest.amount_paid == preview.change.amount_due_minor
        await world.advance_to(house.clock.now() + timedelta(seconds=chance.randrange(60, 86_400)))
    trials.record("sequences of plan changes: charged what was previewed, to the cent", count=1, seed=CHANGES_SEED)
