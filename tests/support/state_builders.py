"""One account per state that the pages must tell of: who reads, which other page matters, and the words expected."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from helvetia.accounts.model import Role, User
from helvetia.billing.plan_change.model import ChangeState, Direction, PlanChangeRecord
from helvetia.billing.plan_change.store import insert_change
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.enforcement.model import OverrideKind
from helvetia.enforcement.store import insert_override
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import AccountId, new_id
from support import page_states
from support.web_world import PASSWORD, WebWorld

OVERVIEW = "/billing"
PLANS, CARDS, GRACE = "/billing/plans", "/billing/payment-methods", "/billing/suspension"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A page in a state: its address, what it says, and with which status it answers."""

    path: str
    words: str
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An account of Ada's, on Pro, twenty days into its period, with a card and two services."""

    world: WebWorld
    user: User
    now: datetime

    @property
    def account_id(self) -> AccountId:
        return self.user.account_id

    async def set(self, **columns: object) -> None:
        """Columns of the subscription."""
        names = ", ".join(f"{name} = %({name})s" for name in columns)
        async with self.world.database.transaction() as tx:
            await tx.execute(
                f"UPDATE subscriptions SET {names} WHERE account_id = %(account_id)s",
                {**columns, "account_id": self.account_id},
            )

    async def wait_for(self, state: ChangeState, plan: SubscriptionPlan, direction: Direction) -> None:
        """A change of plan that was confirmed an hour ago."""
        change = PlanChangeRecord(
            account_id=self.account_id,
            change_id=new_id(),
            state=state,
            direction=direction,
            plan=plan,
            from_plan=SubscriptionPlan.PRO,
            stripe_subscription_id=f"{page_states.SUBSCRIPTION}_{self.account_id}",
            item_id="si_page",
            from_price_id="price_pro",
            price_id="price_next",
            prorated_at=self.now - timedelta(hours=1),
            effective_at=self.now + timedelta(days=10),
            period_start=self.now - timedelta(days=20),
            period_end=self.now + timedelta(days=10),
            total_minor=17000,
            amount_due_minor=17000,
            currency="usd",
            stripe_invoice_id=None,
            created_at=self.now - timedelta(hours=1),
            confirmed_at=self.now - timedelta(hours=1),
            settled_at=None,
        )
        async with self.world.database.transaction() as tx:
            await insert_change(tx, change)

    async def exception(self, kind: OverrideKind) -> None:
        """The operator's word, for nine days."""
        async with self.world.database.transaction() as tx:
            await insert_override(
                tx,
                self.account_id,
                kind,
                until_at=self.now + timedelta(days=9),
                reason="card under way",
                actor="operator:grace",
                at=self.now,
            )

    async def fail(self, ago: timedelta, status: str = "PAST_DUE") -> None:
        await page_states.payment_failed(self.world.database, self.account_id, self.now - ago, status=status)


Found = tuple[Stage, tuple[Seen, ...]]
Build = Callable[[Stage], Awaitable[tuple[Seen, ...]]]


async def set_stage(world: WebWorld, now: datetime, state: str) -> Found:
    """Bring an account into the state; says who reads which pages."""
    stage = Stage(world=world, user=await world.user("ada", PASSWORD), now=now)
    database, account_id = world.database, stage.account_id
    starts_at = now - timedelta(days=20)
    await page_states.on_plan(database, account_id, SubscriptionPlan.PRO, starts_at, now + timedelta(days=10))
    await stage.set(synced_at=now)
    services = await page_states.with_services(database, account_id, ["api", "web"], now)
    gb = Decimal(21) if state == "near limit" else Decimal(3)
    await page_states.with_usage(database, account_id, services, starts_at, now, [gb * 2 / 3])
    await page_states.with_card(database, account_id, now)
    return stage, await STATES[state](stage)


async def _near_limit(_: Stage) -> tuple[Seen, ...]:
    return (Seen(path=OVERVIEW, words="Bandwidth will reach its limit about"), Seen(path=PLANS, words="Bandwidth"))


async def _planned_end(stage: Stage) -> tuple[Seen, ...]:
    await stage.set(cancel_at=stage.now + timedelta(days=10))
    return (Seen(path=OVERVIEW, words="Pro ends on 20 March."), Seen(path=PLANS, words="20 March"))


async def _planned_downgrade(stage: Stage) -> tuple[Seen, ...]:
    await page_states.with_services(stage.world.database, stage.account_id, [f"job-{n}" for n in range(5)], stage.now)
    await stage.wait_for(ChangeState.SCHEDULED, SubscriptionPlan.STARTER, Direction.DOWNGRADE)
    return (
        Seen(path=OVERVIEW, words="Some of it will not fit: number of services"),
        Seen(path=OVERVIEW, words="+ Starter $9.00"),
        Seen(path=PLANS, words="Starter"),
    )


async def _exempt(stage: Stage) -> tuple[Seen, ...]:
    await stage.fail(timedelta(days=9))
    await stage.exception(OverrideKind.EXEMPT)
    return (Seen(path=OVERVIEW, words="“card under way”"), Seen(path=GRACE, words="(operator grace)"))


async def _extended(stage: Stage) -> tuple[Seen, ...]:
    await stage.fail(timedelta(days=9))
    await stage.exception(OverrideKind.EXTEND)
    return (
        Seen(path=OVERVIEW, words="Services stop in 9 days"),
        Seen(path=GRACE, words="“card under way” (operator grace)"),
    )


async def _bank_confirmation(stage: Stage) -> tuple[Seen, ...]:
    await stage.wait_for(ChangeState.PENDING, SubscriptionPlan.ENTERPRISE, Direction.UPGRADE)
    return (
        Seen(path=OVERVIEW, words="Your bank wants you to confirm a payment."),
        Seen(path=PLANS, words="Enterprise"),
    )


async def _lapsed(stage: Stage) -> tuple[Seen, ...]:
    await _end(stage, ended_by_failure=False)
    return (
        Seen(path=OVERVIEW, words="The subscription has ended. Services are stopped."),
        Seen(path=GRACE, words="Go on with the Free plan"),
    )


async def _ended_by_failure(stage: Stage) -> tuple[Seen, ...]:
    await stage.fail(timedelta(days=20))
    await _end(stage, ended_by_failure=True)
    return (Seen(path=OVERVIEW, words="Services are stopped since"), Seen(path=GRACE, words="Services are stopped"))


async def _end(stage: Stage, *, ended_by_failure: bool) -> None:
    ended_at = stage.now - timedelta(days=2)
    await stage.set(status="CANCELED", stripe_status="canceled", ended_at=ended_at)
    async with stage.world.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO payment_facts (account_id, stripe_subscription_id, stripe_status, ended_by_failure, read_at,"
            " fetch_seq) VALUES (%s, %s, 'canceled', %s, %s, 2) ON CONFLICT (account_id) DO UPDATE"
            " SET stripe_status = 'canceled', ended_by_failure = excluded.ended_by_failure",
            (stage.account_id, f"{page_states.SUBSCRIPTION}_{stage.account_id}", ended_by_failure, stage.now),
        )


async def _stripe_away(stage: Stage) -> tuple[Seen, ...]:
    await stage.set(synced_at=stage.now - timedelta(hours=3))
    return (Seen(path=OVERVIEW, words="Stripe could not be reached since"), Seen(path=CARDS, words="Visa"))


async def _meter_delayed(stage: Stage) -> tuple[Seen, ...]:
    seen_ns = to_ns(stage.now - timedelta(minutes=40))
    async with stage.world.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO container_runs (account_id, service_id, incarnation, container_id, node, started_ns, seen_ns)"
            " SELECT account_id, service_id, 'late', 'late', 'a late node', %s, %s FROM services"
            " WHERE account_id = %s AND name = 'web'",
            (to_ns(stage.now - timedelta(hours=2)), seen_ns, stage.account_id),
        )
    told = "Nothing was heard of a late node since 09:37:23 UTC."
    return (Seen(path=OVERVIEW, words=told), Seen(path="/billing/usage", words=told))


async def _unlimited(stage: Stage) -> tuple[Seen, ...]:
    await stage.set(plan="ENTERPRISE", fee_minor=19900)
    return (Seen(path=OVERVIEW, words="no limit"), Seen(path=PLANS, words="Enterprise"))


async def _back_from_checkout(stage: Stage) -> tuple[Seen, ...]:
    waiting = "/billing/success?session_id=cs_test_page"
    return (
        Seen(path=waiting, words="Confirming the payment."),
        Seen(path=f"{waiting}&look=6", words="You need not pay again."),
    )


STATES: Mapping[str, Build] = {
    "near limit": _near_limit,
    "planned end": _planned_end,
    "planned downgrade": _planned_downgrade,
    "exempt": _exempt,
    "extended": _extended,
    "bank confirmation": _bank_confirmation,
    "lapsed": _lapsed,
    "ended by failure": _ended_by_failure,
    "stripe away": _stripe_away,
    "meter delayed": _meter_delayed,
    "unlimited": _unlimited,
    "back from checkout": _back_from_checkout,
}


async def developer(stage: Stage) -> Found:
    """Somebody who may run services and read no billing; the page says whom to ask."""
    world = stage.world
    shop = await world.accounts.create_organization("Shop", stage.account_id)
    dev = await world.user("dev", PASSWORD)
    await world.accounts.set_role(shop.account_id, dev.account_id, Role.DEVELOPER, actor="test")
    path = f"{OVERVIEW}?organizationId={shop.account_id}"
    return replace(stage, user=dev), (Seen(path=path, words="an owner of it can change that", status=403),)
