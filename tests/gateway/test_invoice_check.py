"""Our own count beside an invoice's lines of usage: equal to the last digit, or a reason why not.

given a subscriber who used random amounts of every metric, reported to Stripe
when  the period's invoice is a draft, final, or followed by usage that became known later
then  each line of it stands beside what our ledger holds of its period, and says how the two stand to each other
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from helvetia.costs.estimate.check_invoice import CheckedLine, Verdict
from helvetia.kernel.identity import AccountId
from helvetia.kernel.money import round_metered_line
from helvetia.kernel.quantity import NS_PER_HOUR, SOLD_UNITS, UsageMetric, to_sold_quantity
from helvetia.meter_reports.settlement.decide_tasks import Decision
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support import trials
from support.billing_house import BillingHouse, MovableClock
from support.estimate_world import START, new_subscriber, report
from support.stripe_world import StripeWorld

APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
MONTHS = trials.choose(small=2, full=24)


async def check(house: BillingHouse, account_id: AccountId) -> Sequence[CheckedLine]:
    """The newest invoice as the page and the API check it."""
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)
    newest = (await house.billing.get_invoices(account_id)).invoices[0]
    invoice, lines = await house.billing.get_invoice(account_id, newest.stripe_invoice_id)
    return (await house.costs.check_invoice(account_id, lines, is_final=invoice.finalized_at is not None)).lines


async def test_random_months_are_invoiced_as_we_count_them_to_the_last_digit(
    house: BillingHouse, world: StripeWorld, clock: MovableClock
) -> None:
    luck, accounts = random.Random(41), [(await new_subscriber(house)).account_id for _ in range(3)]
    for month in range(MONTHS):
        starts_at, ends_at = [START.replace(year=2026 + n // 12, month=n % 12 + 1) for n in (month + 2, month + 3)]
        for account_id in accounts:
            for metric in luck.sample(list(UsageMetric), luck.randrange(5)):
                for piece in range(luck.randrange(1, 4)):
                    quantity = luck.randrange(SOLD_UNITS[metric].base_per_unit * luck.choice((1, 50, 5_000)))
                    await house.add_closed_usage(account_id, metric, quantity, starts_at, incarnation=f"c:{piece}")
            await report(house, clock, account_id)
        await world.advance_to(ends_at + timedelta(hours=2))
        for account_id in accounts:
            checked = await check(house, account_id)
            assert [(line.metric, line.period.starts_at) for line in checked] == [(m, starts_at) for m in UsageMetric]
            assert {line.verdict for line in checked} == {Verdict.EQUAL}
            assert all(one.own_quantity == one.quantity for one in checked)
            assert all(one.own_amount_minor == one.amount_minor for one in checked)
    design = "invoices of random months beside our own count: equal line by line"
    trials.record(design, count=3 * MONTHS, seed=41)


async def test_usage_known_after_the_invoice_is_told_with_its_worth(
    house: BillingHouse, world: StripeWorld, clock: MovableClock
) -> None:
    account_id = (await new_subscriber(house)).account_id
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, 7 * NS_PER_HOUR, START)
    await report(house, clock, account_id)
    await world.advance_to(APRIL + timedelta(hours=2))
    await check(house, account_id)
    late = 1_234 * NS_PER_HOUR + 1
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, late, START, incarnation="late")
    compute, *rest = await check(house, account_id)
    own = to_sold_quantity(UsageMetric.COMPUTE_HOURS, 7 * NS_PER_HOUR + late)
    assert (compute.verdict, compute.quantity, compute.own_quantity) == (Verdict.KNOWN_AFTER_INVOICE, 7, own)
    assert (compute.amount_minor, compute.own_amount_minor) == (7, round_metered_line(own, 1))
    assert {line.verdict for line in rest} == {Verdict.EQUAL}


async def test_a_draft_says_what_has_not_reached_it(
    house: BillingHouse, world: StripeWorld, clock: MovableClock
) -> None:
    account_id = (await new_subscriber(house)).account_id
    await house.add_closed_usage(account_id, UsageMetric.BANDWIDTH_GB, 3 * 2**30, START)
    await report(house, clock, account_id)
    await world.advance_to(APRIL + timedelta(minutes=10))
    await house.add_closed_usage(account_id, UsageMetric.BANDWIDTH_GB, 2**30, START, incarnation="late")
    found = {line.metric: line for line in await check(house, account_id)}
    bandwidth = found.pop(UsageMetric.BANDWIDTH_GB)
    assert (bandwidth.verdict, bandwidth.quantity, bandwidth.own_quantity) == (Verdict.NOT_AT_STRIPE_YET, 3, 4)
    assert {line.verdict for line in found.values()} == {Verdict.EQUAL}


async def test_usage_that_the_operator_decided_about_says_so(
    house: BillingHouse, world: StripeWorld, clock: MovableClock
) -> None:
    account_id = (await new_subscriber(house)).account_id
    await world.advance_to(APRIL + timedelta(hours=2))
    await check(house, account_id)
    for metric in (UsageMetric.COMPUTE_HOURS, UsageMetric.MEMORY_GB_HOURS):
        late = 5_000 * SOLD_UNITS[metric].base_per_unit
        await house.add_closed_usage(account_id, metric, late, START, incarnation="late")
    await house.settlement.open_tasks(account_id)
    for task in await house.settlement.undecided():
        is_billed, reason = task.metric is UsageMetric.COMPUTE_HOURS, "as agreed"
        decision = Decision(
            task_id=task.task_id,
            is_billed=is_billed,
            amount_minor=task.amount_minor,
            reason=reason,
            actor="operator:me",
        )
        await house.settlement.decide(decision)
    found = {line.metric: line for line in await check(house, account_id)}
    compute, memory = found[UsageMetric.COMPUTE_HOURS], found[UsageMetric.MEMORY_GB_HOURS]
    assert (compute.verdict, memory.verdict) == (Verdict.BILLED_SEPARATELY, Verdict.WAIVED)
    assert compute.difference_minor == compute.own_amount_minor > 0
    again = SOLD_UNITS[UsageMetric.COMPUTE_HOURS].base_per_unit
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, again, START, incarnation="later")
    found = {line.metric: line for line in await check(house, account_id)}
    assert found[UsageMetric.COMPUTE_HOURS].verdict is Verdict.KNOWN_AFTER_INVOICE


async def test_a_draft_names_a_report_that_stripe_refused(
    house: BillingHouse, world: StripeWorld, clock: MovableClock, holder: PriceBookHolder
) -> None:
    account_id = (await new_subscriber(house)).account_id
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, 7 * NS_PER_HOUR, START)
    meter_id = holder.require().meters[UsageMetric.COMPUTE_HOURS].meter_id
    await world.v1.billing.meters.deactivate_async(meter_id)
    await house.reports.queue(account_id)
    assert (await house.reports.send_due()).rejected_count == 1
    await world.v1.billing.meters.reactivate_async(meter_id)
    await world.advance_to(APRIL + timedelta(minutes=10))
    found = {line.metric: line for line in await check(house, account_id)}
    compute = found.pop(UsageMetric.COMPUTE_HOURS)
    assert (compute.verdict, compute.quantity, compute.own_quantity) == (Verdict.REFUSED, 0, 7)
    assert {line.verdict for line in found.values()} == {Verdict.EQUAL}


async def test_unverified_prices_leave_nothing_compared_and_say_so(
    house: BillingHouse, holder: PriceBookHolder
) -> None:
    account_id = (await new_subscriber(house)).account_id
    holder.fail("The prices have not been read from Stripe yet.")
    found = await house.costs.check_invoice(account_id, (), is_final=True)
    assert (found.is_possible, list(found.lines)) == (False, [])


async def test_an_invoice_of_a_fee_alone_has_nothing_to_check(house: BillingHouse) -> None:
    account_id = (await new_subscriber(house)).account_id
    assert all(line.quantity == 0 == line.own_quantity for line in await check(house, account_id))
