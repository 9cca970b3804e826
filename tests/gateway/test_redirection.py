"""A report that went to another customer's meter: taken back once, or refused, whatever dies or is lost."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import to_unix_s
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.meter_reports.errors import ReasonMissing
from helvetia.meter_reports.invariants import broken_invariants
from helvetia.meter_reports.model import MeterReport, ReportState
from helvetia.meter_reports.redirection.errors import (
    RedirectionInDoubt,
    RedirectionTooLate,
    ReportBusy,
    ReportNotAtStripe,
    ReportNotFound,
    ReportNotMisdirected,
    WrongInvoiceFinal,
)
from helvetia.meter_reports.redirection.model import Redirection, RedirectionState
from helvetia.meter_reports.settlement.model import Hop
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import StripeRefused, StripeUnavailable
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.web.config import WebConfig
from support import trials
from support.billing_house import BillingHouse, MovableClock, build_house
from support.fuse import Died, Fuse, MortalDatabase, MortalGateway
from support.stray_usage import at_customer, linked_to
from support.stripe_world import StripeWorld
from support.web_world import web_world

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
NOON = START.replace(hour=12, minute=0, second=0)
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
COMPUTE = UsageMetric.COMPUTE_HOURS
ACTOR, WHY = "operator:test", "linked to the wrong customer, ticket 12"
RETRY_WAITS_MAX = timedelta(hours=6, minutes=1)
MOMENTS_MAX = 100


@dataclass(kw_only=True)
class Scene:
    """Two customers, and the usage of the first that is reported to the second."""

    house: BillingHouse
    world: StripeWorld
    holder: PriceBookHolder
    clock: MovableClock
    account_id: AccountId
    other_id: AccountId
    customer_id: str
    wrong_id: str
    used: int = 0

    async def use(self, hours: int, at: datetime) -> None:
        await self.house.add_closed_usage(
            self.account_id, COMPUTE, hours * NS_PER_HOUR, at, incarnation=f"record:{uuid4()}"
        )
        self.used += hours

    async def stray(self, hours: int, at: datetime = NOON, *, sends: bool = True) -> MeterReport:
        """The newest report, at the wrong customer (or queued for it)."""
        async with linked_to(self.house, self.account_id, self.wrong_id):
            await self.use(hours, at)
            await self.house.reports.queue(self.account_id)
            if sends:
                await self.house.reports.drain()
        known = await at_customer(self.house, self.account_id, self.wrong_id)
        return max(known, key=lambda one: (one.created_at, one.piece_start, one.revision))

    async def redirect(self, report: MeterReport, house: BillingHouse | None = None) -> Redirection:
        return await (house or self.house).redirection.redirect(report.identifier, reason=WHY, actor=ACTOR)

    async def report(self) -> None:
        self.clock.wall_shift += RETRY_WAITS_MAX
        await self.house.reports.queue(self.account_id)
        await self.house.reports.drain()

    async def counted(self) -> tuple[Decimal, Decimal]:
        """What Stripe counted of the right customer, and of the wrong one."""
        right, wrong = [await self._sum(one) for one in (self.customer_id, self.wrong_id)]
        return right, wrong

    async def _sum(self, customer_id: str) -> Decimal:
        found = await self.world.v1.billing.meters.event_summaries.list_async(
            self.holder.require().meters[COMPUTE].meter_id,
            {
                "customer": customer_id,
                "start_time": to_unix_s(START) // 60 * 60,
                "end_time": to_unix_s(APRIL) // 60 * 60,
            },
        )
        return sum((Decimal(str(one.aggregated_value)) for one in found.data), Decimal(0))

    async def state(self, report: MeterReport) -> ReportState:
        [found] = [one for one in await self.house.all_reports(self.account_id) if one.identifier == report.identifier]
        return found.state

    async def forget(self, report: MeterReport) -> None:
        """What stays at the wrong customer breaks a rule on purpose; the end of a test is not to tell it again."""
        async with self.house.database.transaction() as tx:
            await tx.execute("DELETE FROM report_redirections WHERE identifier = %s", (report.identifier,))
            await tx.execute("DELETE FROM meter_reports WHERE identifier = %s", (report.identifier,))

    def mortal(self, gateway: StripeClientGateway, fuse: Fuse) -> BillingHouse:
        return build_house(
            MortalDatabase(self.house.database, fuse),
            self.clock,
            MortalGateway(gateway, fuse),  # type: ignore[arg-type] # it answers to every name of the gateway's
            self.holder,
        )


@pytest.fixture
async def scene(house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, clock: MovableClock) -> Scene:
    account_ids, customer_ids = [], []
    for _ in range(2):
        account_id = await house.new_account()
        record = await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
        account_ids.append(account_id)
        customer_ids.append(str(record.stripe_customer_id))
    await world.advance_to(START + timedelta(days=3))
    return Scene(
        house=house,
        world=world,
        holder=holder,
        clock=clock,
        account_id=account_ids[0],
        other_id=account_ids[1],
        customer_id=customer_ids[0],
        wrong_id=customer_ids[1],
    )


class Lossy:
    """Stripe does what it is asked, or not, and the answer is lost; everything else passes."""

    def __init__(self, gateway: StripeClientGateway, *, arrives: bool) -> None:
        self._gateway, self._arrives = gateway, arrives

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def cancel_meter_event(self, *given: Any, **named: Any) -> None:
        if self._arrives:
            await self._gateway.cancel_meter_event(*given, **named)
        raise StripeUnavailable


async def test_report_at_another_customer_is_told_taken_back_and_sent_to_the_right_one(scene: Scene) -> None:
    stray = await scene.stray(5)
    scene.clock.wall_shift += timedelta(hours=1)
    assert await scene.counted() == (Decimal(0), Decimal(5))
    told = [one for one in (await scene.house.settlement.compare_all()).differences if "redirect-report" in one.repair]
    assert [(one.hop, one.account_id, one.quantity, one.amount_minor) for one in told] == [
        (Hop.STRIPE, scene.account_id, Decimal(5), Decimal(5))
    ]
    assert stray.identifier in told[0].repair
    done = await scene.redirect(stray)
    assert (done.state, done.wrong_customer_id, done.right_customer_id) == (
        RedirectionState.DONE,
        scene.wrong_id,
        scene.customer_id,
    )
    assert await scene.state(stray) is ReportState.REJECTED
    await scene.report()
    assert await scene.counted() == (Decimal(5), Decimal(0))
    assert await scene.redirect(stray) == done, "again is the same"
    assert await scene.counted() == (Decimal(5), Decimal(0))
    scene.clock.wall_shift += timedelta(hours=1)
    assert (await scene.house.settlement.compare_all()).differences == ()
    async with scene.house.database.transaction() as tx:
        assert not await broken_invariants(tx)
        cursor = await tx.execute(
            "SELECT action, actor, reason FROM audit_entries WHERE action LIKE 'meter_report.%' ORDER BY action"
        )
        assert await cursor.fetchall() == [
            ("meter_report.redirect", ACTOR, WHY),
            ("meter_report.redirected", ACTOR, WHY),
        ]


async def test_report_at_its_own_customer_and_one_that_nobody_knows_are_refused(scene: Scene) -> None:
    await scene.use(1, NOON)
    await scene.house.reports.queue(scene.account_id)
    await scene.house.reports.drain()
    [own] = await scene.house.all_reports(scene.account_id)
    with pytest.raises(ReportNotMisdirected):
        await scene.redirect(own)
    with pytest.raises(ReportNotFound):
        await scene.house.redirection.redirect("hv_nobody", reason=WHY, actor=ACTOR)
    for reason in ("", " ", "x" * 501):
        with pytest.raises(ReasonMissing):
            await scene.house.redirection.redirect(own.identifier, reason=reason, actor=ACTOR)
    await scene.house.reports.reject([own.identifier], "no_meter")
    with pytest.raises(ReportNotAtStripe):
        await scene.redirect(own)
    assert await scene.counted() == (Decimal(1), Decimal(0))


async def test_report_that_stripe_took_a_day_ago_is_refused(scene: Scene) -> None:
    stray = await scene.stray(5)
    scene.clock.wall_shift += timedelta(hours=24)
    with pytest.raises(RedirectionTooLate):
        await scene.redirect(stray)
    assert await scene.counted() == (Decimal(0), Decimal(5))
    await scene.forget(stray)


async def test_report_on_a_final_invoice_of_the_other_customer_is_refused(scene: Scene) -> None:
    stray = await scene.stray(500)
    await scene.world.advance_to(APRIL + timedelta(hours=2))
    with pytest.raises(WrongInvoiceFinal):
        await scene.redirect(stray)
    assert await scene.state(stray) is ReportState.SENT
    await scene.forget(stray)


async def test_report_on_a_draft_of_the_other_customer_is_taken_back_and_the_draft_bills_it_no_more(
    scene: Scene,
) -> None:
    stray = await scene.stray(500)
    await scene.world.advance_to(APRIL + timedelta(minutes=10))
    assert (await scene.redirect(stray)).state is RedirectionState.DONE
    await scene.report()
    await scene.world.advance_to(APRIL + timedelta(hours=2))
    fee = 2900
    assert [(await scene.world.invoices(one))[0].total - fee for one in (scene.customer_id, scene.wrong_id)] == [500, 0]


async def test_report_queued_for_another_customer_is_never_sent_there(scene: Scene) -> None:
    stray = await scene.stray(5, sends=False)
    assert (await scene.house.reports.drain()).rejected_count == 1
    assert await scene.state(stray) is ReportState.REJECTED
    await scene.report()
    assert await scene.counted() == (Decimal(5), Decimal(0))


async def test_report_queued_for_another_customer_is_redirected_without_a_word_to_stripe(
    scene: Scene, gateway: StripeClientGateway
) -> None:
    stray = await scene.stray(5, sends=False)
    lossy = build_house(scene.house.database, scene.clock, Lossy(gateway, arrives=False), scene.holder)  # type: ignore[arg-type]
    assert (await scene.redirect(stray, lossy)).state is RedirectionState.DONE
    await scene.report()
    assert await scene.counted() == (Decimal(5), Decimal(0))


@pytest.mark.parametrize("has_arrived", [True, False])
async def test_attempt_in_doubt_waits_a_while_and_counts_nowhere_afterwards(
    scene: Scene, has_arrived: bool, gateway: StripeClientGateway
) -> None:
    class Deaf:
        def __getattr__(self, name: str) -> Any:
            return getattr(gateway, name)

        async def send_meter_event(self, *given: Any) -> None:
            if has_arrived:
                await gateway.send_meter_event(*given)
            raise StripeUnavailable

    stray = await scene.stray(5, sends=False)
    async with linked_to(scene.house, scene.account_id, scene.wrong_id):
        await build_house(scene.house.database, scene.clock, Deaf(), scene.holder).reports.drain()  # type: ignore[arg-type]
    with pytest.raises(ReportBusy):
        await scene.redirect(stray)
    scene.clock.wall_shift += timedelta(minutes=16)
    assert (await scene.redirect(stray)).state is RedirectionState.DONE
    await scene.report()
    assert await scene.counted() == (Decimal(5), Decimal(0))


@pytest.mark.parametrize("arrives", [True, False])
async def test_lost_answer_is_on_record_and_the_worker_goes_on(
    scene: Scene, arrives: bool, gateway: StripeClientGateway
) -> None:
    stray = await scene.stray(5)
    lossy = build_house(scene.house.database, scene.clock, Lossy(gateway, arrives=arrives), scene.holder)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(StripeUnavailable):
            await scene.redirect(stray, lossy)
    assert await lossy.redirection.resume() == 0
    async with scene.house.database.transaction() as tx:
        assert "nothing waits for the operator" in await broken_invariants(tx)
    assert await scene.house.redirection.resume() == 1
    assert await scene.house.redirection.resume() == 0
    assert (await scene.redirect(stray)).state is RedirectionState.DONE
    await scene.report()
    assert await scene.counted() == (Decimal(5), Decimal(0))


@pytest.mark.parametrize("arrives", [True, False])
async def test_once_the_key_is_over_the_summary_tells_and_nothing_is_asked_again(
    scene: Scene, arrives: bool, gateway: StripeClientGateway
) -> None:
    await scene.house.add_closed_usage(scene.other_id, COMPUTE, 7 * NS_PER_HOUR, NOON)
    await scene.house.reports.queue(scene.other_id)
    stray = await scene.stray(5)
    lossy = build_house(scene.house.database, scene.clock, Lossy(gateway, arrives=arrives), scene.holder)  # type: ignore[arg-type]
    with pytest.raises(StripeUnavailable):
        await scene.redirect(stray, lossy)
    scene.clock.wall_shift += timedelta(hours=25)
    if arrives:
        assert (await scene.redirect(stray, lossy)).state is RedirectionState.DONE
        await scene.report()
        assert await scene.counted() == (Decimal(5), Decimal(7))
        return
    with pytest.raises(StripeRefused, match="still holds it"):
        await scene.redirect(stray, lossy)
    with pytest.raises(RedirectionTooLate):
        await scene.redirect(stray)
    assert (await scene.state(stray), await scene.counted()) == (ReportState.SENT, (Decimal(0), Decimal(12)))
    await scene.forget(stray)


async def test_summary_that_somebody_else_reports_to_decides_nothing(
    scene: Scene, gateway: StripeClientGateway
) -> None:
    stray = await scene.stray(5)
    lossy = build_house(scene.house.database, scene.clock, Lossy(gateway, arrives=False), scene.holder)  # type: ignore[arg-type]
    with pytest.raises(StripeUnavailable):
        await scene.redirect(stray, lossy)
    foreign = {"stripe_customer_id": scene.wrong_id, "value": "3"}
    await scene.world.v1.billing.meter_events.create_async(
        {"event_name": stray.event_name, "payload": foreign, "timestamp": to_unix_s(NOON)}
    )
    scene.clock.wall_shift += timedelta(hours=25)
    with pytest.raises(RedirectionInDoubt):
        await scene.redirect(stray)
    assert await scene.state(stray) is ReportState.SENT
    await scene.forget(stray)


async def test_redirection_that_dies_at_any_moment_is_done_once_by_whoever_comes_next(
    scene: Scene, gateway: StripeClientGateway
) -> None:
    fuse = Fuse()
    mortal = scene.mortal(gateway, fuse)
    died_count = 0
    for moment in range(MOMENTS_MAX):
        stray = await scene.stray(1, NOON + timedelta(hours=moment))
        fuse.set_to(moment)
        try:
            await scene.redirect(stray, mortal)
            break
        except Died:
            died_count += 1
        fuse.set_to(None)
        if moment % 2:
            await scene.house.redirection.resume()
        await scene.redirect(stray)
        await scene.report()
        assert await scene.state(stray) is ReportState.REJECTED
        assert await scene.counted() == (Decimal(scene.used), Decimal(0)), moment
    assert 12 < died_count < MOMENTS_MAX
    await scene.report()
    async with scene.house.database.transaction() as tx:
        cursor = await tx.execute("SELECT state, count(*) FROM report_redirections GROUP BY state")
        assert await cursor.fetchall() == [("done", died_count + 1)]
        cursor = await tx.execute("SELECT count(*) FROM audit_entries WHERE action = 'meter_report.redirected'")
        assert await cursor.fetchall() == [(died_count + 1,)]
    trials.record("R2 seams of taking a report back from another customer", count=died_count)


async def test_operator_takes_it_back_by_the_api_and_nobody_else_does(
    scene: Scene, gateway: StripeClientGateway
) -> None:
    stray = await scene.stray(5)
    config = WebConfig(public_base_url="https://cloud.example.com", operator_token="the-operators-token")
    async with (
        web_world(scene.house.database, scene.clock, config, gateway=gateway, prices=scene.holder) as web,
        web.client("the-operators-token") as operator,
        web.client("wrong") as stranger,
    ):
        path = f"/api/v1/operator/meter-reports/{stray.identifier}/redirect"
        assert (await stranger.post(path, json={"reason": WHY})).json()["code"] == "operator_only"
        assert (await operator.post(path, json={"reason": ""})).status_code == 422
        missing = await operator.post("/api/v1/operator/meter-reports/hv_nobody/redirect", json={"reason": WHY})
        assert (missing.status_code, missing.json()["code"]) == (404, "report_not_found")
        for _ in range(2):
            done = await operator.post(path, json={"reason": WHY})
            told = done.json()
            assert (done.status_code, told["state"], told["quantity"]) == (200, "done", "5.000000")
            assert (told["fromCustomer"], told["toCustomer"]) == (scene.wrong_id, scene.customer_id)
        await scene.report()
        assert await scene.counted() == (Decimal(5), Decimal(0))
