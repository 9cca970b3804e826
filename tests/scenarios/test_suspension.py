"""A failed renewal: told, held at day seven, paid, and back exactly as it was wished.

given an account on PRO with three services, one of them stopped by its owner
when  the renewal is declined, nobody pays for seven days, and then somebody does
then  it is told five times, runs until the very second, is stopped, and comes back as it was
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from helvetia.accounts.service import AccountService
from helvetia.billing.service import BillingService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.containers.model import ContainerRecord, ContainerState, HoldCause, Service, ServiceDefinition
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.containers.service import ContainerService
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.database.pool import Database
from helvetia.enforcement.errors import NothingToChoose, PaymentOverdue, SubscriptionEnded
from helvetia.enforcement.model import OverrideKind, PassOutcome, PaymentState
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from helvetia.notifications.model import NoticeKind, Notification
from helvetia.notifications.service import NotificationService
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.subscriptions.service import SubscriptionService
from support.whole_house import WholeHouse, whole_house

START = datetime(2026, 3, 10, 9, tzinfo=UTC)
WEB = ServiceDefinition(name="web", image="helvetia/demo:latest", memory_mb=64, cpu_cores=Decimal("0.25"))
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@dataclass(kw_only=True)
class Life:
    """One paying account and the worker's ticks that matter here."""

    house: WholeHouse
    host: SimulatedHost
    reconciler: ServiceReconciler
    containers: ContainerService
    subscriptions: SubscriptionService
    billing: BillingService
    enforcement: EnforcementService
    notifications: NotificationService
    account_id: AccountId

    async def turn(self) -> PassOutcome:
        """What the worker does in a minute."""
        await self.subscriptions.sync_subscription(self.account_id)
        outcome = await self.enforcement.run_pass()
        await self.notifications.send_due()
        await self.reconciler.reconcile_services()
        return outcome

    async def at(self, instant: datetime) -> PassOutcome:
        await self.house.advance_to(instant)
        return await self.turn()

    async def running(self) -> Sequence[ContainerRecord]:
        return [one for one in await self.host.list_containers() if one.state is ContainerState.RUNNING]

    async def services(self) -> Sequence[Service]:
        return await self.containers.list_services(self.account_id)

    async def told(self) -> Sequence[Notification]:
        return tuple(reversed(await self.notifications.list_notifications(self.account_id)))

    async def use_card(self, card: str) -> str:
        gateway = await self.house.get(StripeActions)
        record = await self.subscriptions.get_subscription(self.account_id)
        assert record.stripe_customer_id is not None
        await gateway.attach_payment_method(record.stripe_customer_id, card)
        return record.stripe_customer_id

    async def renewal_fails(self) -> datetime:
        """The card declines from now on, and the month ends; says when the payment failed."""
        await self.use_card("pm_card_chargeCustomerFail")
        ends_at = (await self.subscriptions.get_subscription(self.account_id)).period.ends_at
        await self.at(ends_at + timedelta(hours=2))
        explained = await self.enforcement.explain(self.account_id)
        assert explained.verdict.state is PaymentState.GRACE
        failed_at = explained.facts.first_failed_at
        assert failed_at is not None
        return failed_at

    async def pay(self) -> None:
        """Another card, and the open invoice is paid."""
        customer_id = await self.use_card("pm_card_visa")
        gateway = await self.house.get(StripeActions)
        for invoice in await gateway.list_invoices(customer_id=customer_id):
            if invoice.status == "open":
                await gateway.pay_invoice(invoice.invoice_id)


@pytest.fixture
async def life(sandbox_url: str, database_url: str, tmp_path: Path) -> AsyncIterator[Life]:
    clock = ManualClock(START)
    async with whole_house(sandbox_url, database_url, clock, tmp_path, {"container_host": "process"}) as house:
        database, host = await house.get(Database), SimulatedHost("suspension", clock)
        user = await (await house.get(AccountService)).create_user("ada@example.com")
        billing = await house.get(BillingService)
        await billing.create_subscription(user.account_id, SubscriptionPlan.PRO, "pm_card_visa")
        life = Life(
            house=house,
            host=host,
            reconciler=ServiceReconciler(database, clock, host),
            containers=await house.get(ContainerService),
            subscriptions=await house.get(SubscriptionService),
            billing=billing,
            enforcement=await house.get(EnforcementService),
            notifications=await house.get(NotificationService),
            account_id=user.account_id,
        )
        for name in ("web", "jobs", "idle"):
            made = await life.containers.create_service(user.account_id, replace(WEB, name=name))
        await life.containers.stop_service(user.account_id, made.service_id)
        await life.turn()
        yield life


async def test_failed_renewal_is_told_held_at_day_seven_and_comes_back_when_paid(life: Life) -> None:
    before = {service.definition.name: service.wish for service in await life.services()}
    assert len(await life.running()) == 2
    failed_at = await life.renewal_fails()
    for day in (1, 3, 5, 6):
        await life.at(failed_at + day * DAY)
        await life.turn()
    await life.at(failed_at + 7 * DAY - SECOND)
    assert len(await life.running()) == 2
    kinds = [one.kind for one in await life.told() if one.key.startswith("failure:")]
    assert kinds == [
        NoticeKind.PAYMENT_FAILED,
        *[NoticeKind.PAYMENT_REMINDER] * 3,
        NoticeKind.PAYMENT_LAST_DAY,
    ]
    assert {one.state for one in await life.told()} == {"sent"}

    outcome = await life.at(failed_at + 7 * DAY)
    assert list(outcome.held) == [life.account_id]
    assert await life.running() == []
    assert {service.holds for service in await life.services()} == {frozenset({HoldCause.PAYMENT})}
    assert (await life.turn()).held == []
    await refuses_every_start(life)

    await life.pay()
    outcome = await life.turn()
    assert list(outcome.resumed) == [life.account_id]
    assert len(await life.running()) == 2
    after = await life.services()
    assert {service.definition.name: service.wish for service in after} == before
    assert {service.holds for service in after} == {frozenset()}
    told = [one.kind for one in await life.told()]
    assert (told.count(NoticeKind.SERVICES_HELD), told.count(NoticeKind.SERVICES_RESUMED)) == (1, 1)


async def refuses_every_start(life: Life) -> None:
    account_id, services = life.account_id, await life.services()
    for service in services:
        for way in (life.containers.start_service, life.containers.restart_service):
            with pytest.raises(PaymentOverdue):
                await way(account_id, service.service_id)
        with pytest.raises(PaymentOverdue):
            await life.containers.scale_service(account_id, service.service_id, 2)
    with pytest.raises(PaymentOverdue):
        await life.containers.create_service(account_id, replace(WEB, name="more"))
    (stopped, *_) = await life.host.list_containers()
    life.host.restart(stopped.container_id)
    assert len(await life.running()) == 1
    await life.reconciler.reconcile_services()
    assert await life.running() == []


async def test_paying_in_time_takes_back_what_was_not_sent_yet(life: Life) -> None:
    failed_at = await life.renewal_fails()
    await life.at(failed_at + 2 * DAY)
    await life.pay()
    await life.turn()
    await life.at(failed_at + 8 * DAY)
    assert len(await life.running()) == 2
    sent = [one.kind for one in await life.told() if one.key.startswith("failure:") and one.state == "sent"]
    assert sent == [NoticeKind.PAYMENT_FAILED, NoticeKind.PAYMENT_REMINDER]


async def test_e06_worker_away_for_days_catches_up_once(life: Life) -> None:
    failed_at = await life.renewal_fails()
    await life.at(failed_at + timedelta(days=5, hours=1))
    states = {one.key.split(":")[-1]: one.state for one in await life.told() if one.key.startswith("failure:")}
    assert states == {"day-0": "sent", "day-1": "superseded", "day-3": "superseded", "day-5": "sent"}


async def test_cancelled_now_is_held_at_once_until_free_is_chosen(life: Life) -> None:
    with pytest.raises(NothingToChoose):
        await life.enforcement.choose_free(life.account_id, actor="user:ada")
    record = await life.subscriptions.get_subscription(life.account_id)
    assert record.stripe_subscription_id is not None
    await (await life.house.get(StripeActions)).cancel_subscription_now(record.stripe_subscription_id)
    await life.at(START + timedelta(minutes=1))
    assert await life.running() == []
    with pytest.raises(SubscriptionEnded):
        await life.containers.create_service(life.account_id, replace(WEB, name="more"))
    await life.enforcement.choose_free(life.account_id, actor="user:ada")
    await life.turn()
    (running,) = await life.running()
    services = {service.definition.name: service for service in await life.services()}
    assert running.service_id == services["web"].service_id
    assert services["jobs"].holds == {HoldCause.QUOTA}


async def test_extension_and_exemption_hold_later_or_not_at_all(life: Life) -> None:
    failed_at = await life.renewal_fails()
    until_at = failed_at + 9 * DAY
    await life.enforcement.add_override(
        life.account_id, OverrideKind.EXTEND, until_at=until_at, reason="a promise", actor="operator:eva"
    )
    await life.at(until_at - SECOND)
    assert len(await life.running()) == 2
    await life.at(until_at)
    assert await life.running() == []
    await life.enforcement.add_override(
        life.account_id, OverrideKind.EXEMPT, until_at=until_at + DAY, reason="our mistake", actor="operator:eva"
    )
    await life.turn()
    assert len(await life.running()) == 2
    await life.at(until_at + DAY)
    assert await life.running() == []


async def test_old_knowledge_at_day_seven_holds_nobody(life: Life) -> None:
    failed_at = await life.renewal_fails()
    await life.house.advance_to(failed_at + 7 * DAY)
    outcome = await life.enforcement.run_pass()
    assert outcome.held == []
    await life.reconciler.reconcile_services()
    assert len(await life.running()) == 2
