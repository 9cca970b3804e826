"""Enforcement on a real database, with what Stripe said written as facts: no network is asked."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from helvetia.accounts.service import AccountService
from helvetia.containers.model import ServiceDefinition
from helvetia.containers.service import ContainerService
from helvetia.database.pool import Database
from helvetia.enforcement.admit_service import PlanAdmission
from helvetia.enforcement.model import EnforcementConfig
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from helvetia.notifications.model import MailConfig
from helvetia.notifications.send_mail import SmtpChannel
from helvetia.notifications.service import NotificationService
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.service import SubscriptionService

DAY = timedelta(days=1)
WEB = ServiceDefinition(name="web", image="helvetia/demo:latest", memory_mb=64, cpu_cores=Decimal("0.05"))


class EnforcementWorld:
    """The parts of one worker; make another to have a worker that started anew."""

    def __init__(
        self, database: Database, clock: ManualClock, config: EnforcementConfig, mail: MailConfig | None = None
    ) -> None:
        gateway = StripeClientGateway("sk_test_nobody", api_base="http://127.0.0.1:1")
        subscriptions = SubscriptionService(database, clock, gateway, PriceBookHolder())
        admission = PlanAdmission(clock, config)
        mail = mail or MailConfig()
        self.database, self.clock = database, clock
        self.accounts = AccountService(database, clock, subscriptions)
        self.containers = ContainerService(database, clock, admission)
        self.enforcement = EnforcementService(database, clock, config, gateway, subscriptions, admission)
        self.notifications = NotificationService(database, clock, mail, SmtpChannel(mail))

    async def account(self, name: str, plan: str = "PRO", *, services: int = 1) -> AccountId:
        account_id = (await self.accounts.create_user(f"{name}@example.com")).account_id
        await self.execute("UPDATE subscriptions SET plan = %s WHERE account_id = %s", plan, account_id)
        for number in range(services):
            definition = ServiceDefinition(
                name=f"web-{number}", image=WEB.image, memory_mb=WEB.memory_mb, cpu_cores=WEB.cpu_cores
            )
            await self.containers.create_service(account_id, definition)
        return account_id

    async def fail(self, account_id: AccountId, failed_at: datetime) -> None:
        """Stripe says: past due since then; and was read just now."""
        await self.execute(
            "UPDATE subscriptions SET status = 'PAST_DUE', stripe_status = 'past_due',"
            " stripe_subscription_id = 'sub_' || account_id WHERE account_id = %s",
            account_id,
        )
        await self.execute(
            "INSERT INTO payment_facts SELECT %s, 'sub_' || %s, 'past_due', 'in_1', %s, false, %s, 1"
            " ON CONFLICT (account_id) DO UPDATE SET first_failed_at = excluded.first_failed_at",
            *(account_id, str(account_id), failed_at, self.clock.now()),
        )
        await self.read_stripe()

    async def pay(self, account_id: AccountId) -> None:
        """Stripe says: active."""
        await self.execute(
            "UPDATE subscriptions SET status = 'ACTIVE', stripe_status = 'active' WHERE account_id = %s", account_id
        )

    async def read_stripe(self) -> None:
        """Everything known of Stripe is as of now."""
        now = self.clock.now()
        await self.execute("UPDATE payment_facts SET read_at = %s", now)
        await self.execute("UPDATE metering_accounts SET known_until = %s, waits_for_stripe = true", now)

    async def past_due_accounts(self, count: int, *, failed_at: datetime) -> None:
        """So many accounts without services that are past due since then, and told of it."""
        now = self.clock.now()
        await self.execute(
            """WITH made AS (
                   INSERT INTO accounts (account_id, kind, name, created_at)
                   SELECT gen_random_uuid(), 'user', 'n', %s FROM generate_series(1, %s) RETURNING account_id
               ), subs AS (
                   INSERT INTO subscriptions (id, account_id, user_id, plan, status, stripe_status,
                       stripe_subscription_id, current_period_start, current_period_end, started_at, created_at,
                       updated_at)
                   SELECT account_id, account_id, account_id, 'PRO', 'PAST_DUE', 'past_due', 'sub_' || account_id,
                       %s, %s, %s, %s, %s FROM made
               ), told AS (
                   INSERT INTO enforcement_accounts (account_id, noticed_failure_at, noticed_hold_at)
                   SELECT account_id, %s, %s FROM made
               )
               INSERT INTO payment_facts
               SELECT account_id, 'sub_' || account_id, 'past_due', 'in', %s, false, %s, 1 FROM made""",
            *(now, count, now, now + 30 * DAY, now, now, now, failed_at, failed_at + 7 * DAY, failed_at, now),
        )

    async def execute(self, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
        async with self.database.transaction() as tx:
            cursor = await tx.execute(statement, values)
            return [] if cursor.description is None else await cursor.fetchall()

    async def held(self) -> set[AccountId]:
        return {row[0] for row in await self.execute("SELECT account_id FROM service_holds WHERE cause = 'payment'")}


async def killed_after(work: Any, seconds: float) -> bool:
    """Run it and cancel it that soon, as a worker that dies; says whether it was cancelled."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return True
    return False
