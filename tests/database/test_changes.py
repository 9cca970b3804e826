"""Changes are read from the record that services leave, and their cost from the ledger's days."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helvetia.accounts.service import AccountService
from helvetia.containers.model import HoldCause, ServiceChange, ServiceDefinition
from helvetia.containers.service import ContainerService
from helvetia.costs.changes.model import ChangeCost, ChangeKind, Changes, NoDifference
from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.database.pool import Database
from helvetia.enforcement.admit_service import PlanAdmission
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.metering.errors import MeteredServiceNotFound
from helvetia.metering.service import UsageTrackingService
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.service import SubscriptionHooks

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WEB = ServiceDefinition(name="web", image="helvetia/demo:1", memory_mb=64, cpu_cores=Decimal("0.25"), env={"KEY": "1"})


class House:
    """An account on a plan with room, whose services use so many compute hours a day as they have replicas."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock = database, clock
        self.services = ContainerService(database, clock, PlanAdmission(clock, EnforcementConfig()))
        self.usage = UsageHistoryService(database, clock, PriceBookHolder())
        self.account_id: AccountId

    async def move_in(self, name: str) -> AccountId:
        accounts = AccountService(self.database, self.clock, SubscriptionHooks(self.clock))
        account_id = (await accounts.create_user(f"{name}@example.com")).account_id
        async with self.database.transaction() as tx:
            await tx.execute("UPDATE subscriptions SET plan = 'PRO' WHERE account_id = %s", (account_id,))
        return account_id

    async def live(self, service_id: ServiceId, days: int, hours_a_day: int) -> None:
        """So many days pass, in each of which it uses so much."""
        tracking = UsageTrackingService(self.database, self.clock)
        for _ in range(days):
            start = self.clock.now().replace(minute=0, second=0, microsecond=0)
            self.clock.advance(DAY)
            await tracking.record_usage(
                self.account_id,
                service_id,
                UsageMetric.COMPUTE_HOURS,
                hours_a_day * NS_PER_HOUR,
                Period(starts_at=start, ends_at=start + HOUR),
                idempotency_key=f"{service_id}-{start}",
                reason="test",
                actor="test",
            )

    async def changes(self, service_id: ServiceId | None = None, days: int = 60) -> Changes:
        now = self.clock.now()
        period = Period(starts_at=now - days * DAY, ends_at=now + HOUR)
        return await self.usage.changes(self.account_id, period, service_id)


@pytest.fixture
async def house(database: Database, clock: ManualClock) -> House:
    house = House(database, clock)
    house.account_id = await house.move_in("ada")
    return house


def told(found: ChangeCost) -> tuple[ChangeKind, int | None, Decimal | None, NoDifference | None]:
    return found.change.kind, found.change.revision, found.difference_minor, found.reason


async def test_a_life_of_deploys_is_told_with_what_each_did(house: House) -> None:
    web = (await house.services.create_service(house.account_id, WEB)).service_id
    await house.live(web, 4, 24)
    await house.services.scale_service(house.account_id, web, 2)
    await house.live(web, 4, 48)
    change = ServiceChange(image="helvetia/demo:2", memory_mb=128, env={"KEY": "2"})
    await house.services.change_service(house.account_id, web, change)
    await house.live(web, 3, 30)
    await house.services.stop_service(house.account_id, web)
    found = (await house.changes()).found
    assert [told(one) for one in found] == [
        (ChangeKind.STOPPED, None, None, NoDifference.NO_FULL_DAY_AFTER),
        (ChangeKind.DEPLOYED, 2, Decimal(-18), None),
        (ChangeKind.SCALED, 1, Decimal(24), None),
        (ChangeKind.CREATED, 1, Decimal(24), None),
    ]
    deployed, scaled = found[1].change, found[2].change
    assert deployed.former == {"image": "helvetia/demo:1", "memory_mb": "64"}
    assert deployed.now == {"image": "helvetia/demo:2", "memory_mb": "128"}
    assert deployed.also == ("env",)
    assert (scaled.former, scaled.now) == ({"replicas": "1"}, {"replicas": "2"})


async def test_a_field_that_was_given_as_it_was_is_no_change(house: House) -> None:
    web = (await house.services.create_service(house.account_id, WEB)).service_id
    await house.live(web, 2, 24)
    await house.services.change_service(house.account_id, web, ServiceChange(image=WEB.image, replicas=3))
    [scaled, _] = (await house.changes()).found
    assert (scaled.change.kind, scaled.change.now) == (ChangeKind.SCALED, {"replicas": "3"})


async def test_holds_bound_the_days_that_are_compared(house: House) -> None:
    web = (await house.services.create_service(house.account_id, WEB)).service_id
    await house.live(web, 5, 24)
    await house.services.place_hold(house.account_id, web, HoldCause.OPERATOR, reason="test", placed_by="test")
    house.clock.advance(3 * DAY)
    await house.services.lift_hold(house.account_id, web, HoldCause.OPERATOR)
    await house.live(web, 5, 24)
    resumed, held, created = (await house.changes()).found
    assert (resumed.change.kind, resumed.difference_minor, resumed.days_before) == (ChangeKind.RESUMED, 24, 2)
    assert (held.change.kind, held.difference_minor, held.days_after) == (ChangeKind.HELD, -24, 2)
    assert (created.difference_minor, created.days_after) == (24, 4)


async def test_a_change_before_the_range_still_bounds_the_days(house: House) -> None:
    web = (await house.services.create_service(house.account_id, WEB)).service_id
    await house.live(web, 10, 24)
    await house.services.scale_service(house.account_id, web, 2)
    await house.live(web, 3, 48)
    await house.services.scale_service(house.account_id, web, 1)
    await house.live(web, 3, 24)
    [scaled] = (await house.changes(days=4)).found
    assert (scaled.days_before, scaled.difference_minor) == (2, -24)


async def test_only_the_services_asked_for_and_of_this_account(house: House) -> None:
    web = (await house.services.create_service(house.account_id, WEB)).service_id
    api = ServiceDefinition(name="api", image="helvetia/demo:1", memory_mb=64, cpu_cores=Decimal("0.25"))
    other = (await house.services.create_service(house.account_id, api)).service_id
    assert {one.change.service_id for one in (await house.changes()).found} == {web, other}
    assert {one.change.service_id for one in (await house.changes(other)).found} == {other}
    stranger = House(house.database, house.clock)
    stranger.account_id = await stranger.move_in("eve")
    assert (await stranger.changes()).found == ()
    with pytest.raises(MeteredServiceNotFound):
        await stranger.changes(web)


async def test_a_gap_leaves_no_figure_and_says_so(house: House) -> None:
    web = (await house.services.create_service(house.account_id, WEB)).service_id
    await house.live(web, 3, 24)
    day_ns = int((house.clock.now() - DAY).astimezone(UTC).timestamp()) * 10**9
    async with house.database.transaction() as tx:
        await tx.execute(
            """INSERT INTO metering_findings (account_id, service_id, incarnation, kind, cause, starts_ns, ends_ns,
                   detail, recorded_at) VALUES (%s, %s, 'x', 'gap', 'no_reading', %s, %s, '', %s)""",
            (house.account_id, web, day_ns, day_ns + 10**9, house.clock.now()),
        )
    [created] = (await house.changes()).found
    assert (created.difference_minor, created.reason) == (None, NoDifference.GAPS)


async def test_more_changes_than_are_told_say_so(house: House) -> None:
    web = (await house.services.create_service(house.account_id, WEB)).service_id
    for number in range(210):
        house.clock.advance(timedelta(minutes=1))
        await house.services.scale_service(house.account_id, web, 1 + (number + 1) % 2)
    found = await house.changes()
    assert (len(found.found), found.has_more) == (200, True)
    assert found.found[0].change.at == house.clock.now()
    assert isinstance(found.found[0].change.at, datetime)
