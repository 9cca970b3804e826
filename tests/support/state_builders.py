"""One account per state that the pages must tell of: who reads, which other page matters, and the words expected."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from helvetia.accounts.model import Role
from helvetia.billing.plan_change.model import ChangeState, Direction
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.containers.model import HoldCause
from helvetia.enforcement.model import OverrideKind
from helvetia.kernel.clock import to_ns
from support import page_states
from support.account_stage import Seen, Stage
from support.web_world import PASSWORD, WebWorld

OVERVIEW = "/billing"
# Twenty days of it: 84, 96 and 104 % of Pro's 500 GB, a fifth of the 10 GB of Free.
GB_A_DAY = {
    "near limit": Decimal(21),
    "closer to the limit": Decimal(24),
    "over the limit": Decimal(26),
    "free": Decimal("0.15"),
}
PLANS, CARDS, GRACE = "/billing/plans", "/billing/payment-methods", "/billing/suspension"


Found = tuple[Stage, tuple[Seen, ...]]
Build = Callable[[Stage], Awaitable[tuple[Seen, ...]]]


async def set_stage(world: WebWorld, now: datetime, state: str) -> Found:
    """Bring an account into the state; says who reads which pages."""
    stage = Stage(world=world, user=await world.user("ada", PASSWORD), now=now)
    database, account_id = world.database, stage.account_id
    starts_at = now - timedelta(days=20)
    await page_states.on_plan(database, account_id, SubscriptionPlan.PRO, starts_at, now + timedelta(days=10))
    await stage.set(synced_at=now)
    services = await page_states.with_services(
        database, account_id, ["web"] if state == "free" else ["api", "web"], now
    )
    gb = GB_A_DAY.get(state, Decimal(3))
    await page_states.with_usage(database, account_id, services, starts_at, now, [gb * 2 / 3])
    await page_states.with_card(database, account_id, now)
    return stage, await STATES[state](stage)


async def _active(_: Stage) -> tuple[Seen, ...]:
    return (
        Seen(path=OVERVIEW, words="Pro plan. Next charge about"),
        Seen(path=PLANS, words="It renews on 20 March."),
        Seen(path="/billing/history#forecast", words="By the end of this period"),
    )


async def _free(stage: Stage) -> tuple[Seen, ...]:
    await _on_free(stage)
    async with stage.world.database.transaction() as tx:
        await tx.execute("DELETE FROM stripe_readings WHERE account_id = %s", (stage.account_id,))
    return (
        Seen(path=OVERVIEW, words="creating, starting, scaling up and deploying are refused"),
        Seen(path="/billing/invoices", words="There are no invoices yet."),
        Seen(path=CARDS, words="No card is on file."),
    )


async def _on_free(stage: Stage) -> None:
    await stage.set(
        plan="FREE",
        stripe_customer_id=None,
        stripe_subscription_id=None,
        stripe_status=None,
        fee_minor=0,
        synced_at=None,
    )


async def _closer(_: Stage) -> tuple[Seen, ...]:
    return (Seen(path=OVERVIEW, words="96 % of 500 GB"), Seen(path="/billing/usage", words="96 % of 500 GB"))


async def _over(_: Stage) -> tuple[Seen, ...]:
    return (
        Seen(path=OVERVIEW, words="Creating, starting, scaling up and deploying are refused now."),
        Seen(path=PLANS, words="does not fit"),
    )


async def _over_free(stage: Stage) -> tuple[Seen, ...]:
    """On Free a used-up bandwidth also stops what runs."""
    await _on_free(stage)
    await page_states.held(stage.world.database, stage.account_id, HoldCause.QUOTA, stage.now)
    return (
        Seen(path=OVERVIEW, words="Bandwidth: the limit is reached."),
        Seen(path=OVERVIEW, words="Stopped because it exceeds the plan."),
        Seen(path=GRACE, words="Stopped because it exceeds the plan."),
    )


async def _grace(stage: Stage) -> tuple[Seen, ...]:
    await stage.fail(timedelta(days=2, hours=3))
    return (
        Seen(path=OVERVIEW, words="Payment failed. Services stop in 4 days 21 hours."),
        Seen(path=GRACE, words="tried 2 times so far"),
        Seen(path="/billing/usage", words="Payment failed. Services stop in 4 days 21 hours: 15 Mar 2026, 07:17 UTC."),
    )


async def _suspended(stage: Stage) -> tuple[Seen, ...]:
    """Eight days after the failure; one service had been stopped by its owner."""
    database, account_id = stage.world.database, stage.account_id
    await page_states.stopped_by_user(database, account_id, "api")
    await stage.fail(timedelta(days=8))
    await page_states.held(database, account_id, HoldCause.PAYMENT, stage.now - timedelta(days=1))
    return (
        Seen(path=OVERVIEW, words="Services are stopped since 9 March."),
        Seen(path=GRACE, words="One service stays stopped, because you stopped it yourself."),
    )


async def _unpaid(stage: Stage) -> tuple[Seen, ...]:
    """Stripe gave up within the grace: what runs goes on, nothing new starts."""
    await stage.fail(timedelta(days=5), status="UNPAID")
    return (
        Seen(path=OVERVIEW, words="Pro plan, unpaid."),
        Seen(path=GRACE, words="deploying is refused until it is paid"),
    )


async def _near_limit(_: Stage) -> tuple[Seen, ...]:
    return (Seen(path=OVERVIEW, words="Bandwidth will reach its limit about"), Seen(path=PLANS, words="Bandwidth"))


async def _planned_end(stage: Stage) -> tuple[Seen, ...]:
    await stage.set(cancel_at=stage.now + timedelta(days=10))
    return (Seen(path=OVERVIEW, words="Pro ends on 20 March."), Seen(path=PLANS, words="20 March"))


async def _planned_free(stage: Stage) -> tuple[Seen, ...]:
    await stage.wait_for(ChangeState.SCHEDULED, SubscriptionPlan.FREE, Direction.END)
    return (
        Seen(path=OVERVIEW, words="web stops then; your data is kept."),
        Seen(path=PLANS, words="Pro until 20 March, then Free."),
    )


async def _planned_downgrade(stage: Stage) -> tuple[Seen, ...]:
    await page_states.with_services(stage.world.database, stage.account_id, [f"job-{n}" for n in range(5)], stage.now)
    await stage.wait_for(ChangeState.SCHEDULED, SubscriptionPlan.STARTER, Direction.DOWNGRADE)
    return (
        Seen(path=OVERVIEW, words="Some of it will not fit: number of services, memory and cores."),
        Seen(path=OVERVIEW, words="What runs goes on; nothing new starts until all of it fits."),
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
        Seen(path=GRACE, words="As soon as you choose a plan, what you want to run"),
    )


async def _ended_by_failure(stage: Stage) -> tuple[Seen, ...]:
    await stage.fail(timedelta(days=20))
    await _end(stage, ended_by_failure=True)
    return (Seen(path=OVERVIEW, words="Services are stopped since"), Seen(path=GRACE, words="Services are stopped"))


async def _end(stage: Stage, *, ended_by_failure: bool) -> None:
    ended_at = stage.now - timedelta(days=2)
    await stage.set(status="CANCELED", stripe_status="canceled", ended_at=ended_at)
    await page_states.held(stage.world.database, stage.account_id, HoldCause.PAYMENT, ended_at)
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
    told = "Nothing was heard of the host of web since 09:37:23 UTC."
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
    "free": _free,
    "active": _active,
    "near limit": _near_limit,
    "closer to the limit": _closer,
    "over the limit": _over,
    "over the limit on Free": _over_free,
    "grace": _grace,
    "suspended": _suspended,
    "unpaid": _unpaid,
    "planned free": _planned_free,
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
