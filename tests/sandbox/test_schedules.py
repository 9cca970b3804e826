"""Schedules: a downgrade at the period's end, undone, in mid period, and the ends a schedule can come to."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import World

APR_1 = 1_775_001_600
HOUR = 3600
DAY = 86_400
MAY_1 = APR_1 + 30 * DAY
JUN_1 = MAY_1 + 31 * DAY


@pytest.fixture
def scheduled(world: World) -> tuple[World, str, str, stripe.Subscription, Any]:
    """A plan of $20.00 with a schedule made from it."""
    world.catalogue(fixed_minor=2000)
    clock = world.clock(APR_1)
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    schedule = world.client.v1.subscription_schedules.create({"from_subscription": subscription.id})
    return world, clock, customer, subscription, schedule


def price(world: World, minor: int) -> str:
    params = {"currency": "usd", "product": world.product, "unit_amount": minor, "recurring": {"interval": "month"}}
    return world.client.v1.prices.create(params).id


def downgrade(world: World, schedule: Any, to: str, **extra: Any) -> Any:
    running = schedule.phases[0]
    kept = [
        {"price": item.price} | ({"quantity": item.quantity} if "quantity" in item else {}) for item in running["items"]
    ]
    phases = [
        {"items": kept, "start_date": running.start_date, "end_date": running.end_date},
        {
            "items": [{"price": to}, *kept[1:]],
            "duration": {"interval": "month", "interval_count": 1},
            "proration_behavior": "none",
        },
    ]
    return world.client.v1.subscription_schedules.update(schedule.id, {"phases": phases, **extra})


def test_schedule_from_a_subscription_mirrors_it(scheduled: Any) -> None:
    world, _clock, customer, subscription, schedule = scheduled
    assert (schedule.status, schedule.subscription, schedule.customer) == ("active", subscription.id, customer)
    assert (schedule.current_phase.start_date, schedule.current_phase.end_date) == (APR_1, MAY_1)
    assert [item.price for item in schedule.phases[0]["items"]] == list(world.prices.values())
    assert world.client.v1.subscriptions.retrieve(subscription.id).schedule == schedule.id
    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        world.client.v1.subscription_schedules.create({"from_subscription": subscription.id})
    with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
        world.client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})


def test_scheduled_downgrade_takes_hold_at_the_boundary_on_one_invoice(scheduled: Any) -> None:
    world, clock, customer, subscription, schedule = scheduled
    small = price(world, 500)
    changed = downgrade(world, schedule, small)
    assert [phase.start_date for phase in changed.phases] == [APR_1, MAY_1]
    v1 = world.client.v1
    assert v1.subscriptions.retrieve(subscription.id).items.data[0].price.id == world.prices["fixed"]
    world.advance(clock, APR_1 + 20 * DAY)
    world.use("compute", customer, "40", APR_1 + DAY)
    shown = v1.invoices.create_preview({"subscription": subscription.id})
    by_schedule = v1.invoices.create_preview({"schedule": schedule.id})
    world.advance(clock, MAY_1 + HOUR)
    renewal = world.invoices(subscription.id)[0]
    figures = sorted(line.amount for line in renewal.lines.data)
    assert figures == [0, 0, 0, 40, 500]
    assert sorted(line.amount for line in shown.lines.data) == figures
    assert by_schedule.total == shown.total == renewal.total == 540
    prices = {item.price.id for item in v1.subscriptions.retrieve(subscription.id).items.data}
    assert small in prices
    assert world.prices["fixed"] not in prices
    assert v1.subscription_schedules.retrieve(schedule.id).current_phase.start_date == MAY_1


def test_schedule_releases_the_subscription_after_its_last_phase(scheduled: Any) -> None:
    world, clock, _customer, subscription, schedule = scheduled
    downgrade(world, schedule, price(world, 500))
    world.advance(clock, MAY_1 + HOUR)
    world.advance(clock, JUN_1 + HOUR)
    v1 = world.client.v1
    done = v1.subscription_schedules.retrieve(schedule.id)
    assert (done.status, done.released_subscription, done.subscription) == ("released", subscription.id, None)
    after = v1.subscriptions.retrieve(subscription.id)
    assert (after.schedule, after.status) == (None, "active")
    assert world.invoices(subscription.id)[0].total == 500
    assert {"subscription_schedule.updated", "subscription_schedule.released"} <= set(world.event_types())


def test_released_schedule_undoes_the_downgrade(scheduled: Any) -> None:
    world, clock, _customer, subscription, schedule = scheduled
    downgrade(world, schedule, price(world, 500))
    released = world.client.v1.subscription_schedules.release(schedule.id)
    assert (released.status, released.released_at) == ("released", APR_1)
    world.advance(clock, MAY_1 + HOUR)
    assert world.invoices(subscription.id)[0].total == 2000
    with pytest.raises(stripe.InvalidRequestError, match="currently in the released"):
        world.client.v1.subscription_schedules.release(schedule.id)


def test_schedule_that_ends_by_canceling_shows_and_does_it(scheduled: Any) -> None:
    world, clock, _customer, subscription, schedule = scheduled
    v1 = world.client.v1
    v1.subscription_schedules.update(schedule.id, {"end_behavior": "cancel"})
    assert v1.subscriptions.retrieve(subscription.id).cancel_at == MAY_1
    world.advance(clock, MAY_1 + HOUR)
    assert v1.subscriptions.retrieve(subscription.id).status == "canceled"
    done = v1.subscription_schedules.retrieve(schedule.id)
    assert (done.status, done.completed_at) == ("completed", MAY_1)


def test_canceled_schedule_cancels_its_subscription(scheduled: Any) -> None:
    world, clock, _customer, subscription, schedule = scheduled
    world.advance(clock, APR_1 + 15 * DAY)
    canceled = world.client.v1.subscription_schedules.cancel(schedule.id, {"invoice_now": False, "prorate": False})
    assert canceled.status == "canceled"
    assert world.client.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    assert len(world.invoices(subscription.id)) == 1


def test_phase_in_mid_period_prorates(scheduled: Any) -> None:
    world, clock, _customer, subscription, schedule = scheduled
    v1 = world.client.v1
    big = price(world, 5000)
    only = [{"price": world.prices["fixed"], "quantity": 1}]
    items = only + [{"price": world.prices[name]} for name in world.meters]
    phases = [
        {"items": items, "start_date": APR_1, "end_date": APR_1 + 10 * DAY},
        {"items": [{"price": big}, *items[1:]], "end_date": JUN_1, "proration_behavior": "always_invoice"},
    ]
    v1.subscription_schedules.update(schedule.id, {"phases": phases})
    world.advance(clock, APR_1 + 10 * DAY)
    prorated = world.invoices(subscription.id)[0]
    assert [line.amount for line in prorated.lines.data] == [-1334, 3333]
    assert prorated.status == "paid"


def test_items_changed_by_hand_change_the_running_phase(scheduled: Any) -> None:
    world, _clock, _customer, subscription, schedule = scheduled
    big = price(world, 5000)
    items = [{"id": subscription.items.data[0].id, "price": big}]
    world.client.v1.subscriptions.update(subscription.id, {"items": items, "proration_behavior": "none"})
    phase = world.client.v1.subscription_schedules.retrieve(schedule.id).phases[0]
    assert phase["items"][0].price == big


def test_schedule_from_scratch_starts_when_it_is_due(world: World) -> None:
    world.catalogue(fixed_minor=2000)
    clock = world.clock(APR_1)
    customer = world.customer(clock)
    phases = [{"items": [{"price": world.prices["fixed"]}], "duration": {"interval": "month"}}]
    v1 = world.client.v1
    params = {"customer": customer, "start_date": APR_1 + DAY, "phases": phases, "end_behavior": "release"}
    schedule = v1.subscription_schedules.create(params)
    assert (schedule.status, schedule.subscription) == ("not_started", None)
    world.advance(clock, APR_1 + DAY)
    started = v1.subscription_schedules.retrieve(schedule.id)
    assert started.status == "active"
    subscription = v1.subscriptions.retrieve(started.subscription)
    assert (subscription.status, subscription.schedule, subscription.start_date) == (
        "active",
        schedule.id,
        APR_1 + DAY,
    )
    assert [one.id for one in v1.subscription_schedules.list({"customer": customer}).data] == [schedule.id]
