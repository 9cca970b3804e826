"""Trials from creation to their end, and collection paused and resumed."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import World

APR_1 = 1_775_001_600
HOUR = 3600
DAY = 86_400
TRIAL_END = APR_1 + 14 * DAY
MAY_15 = TRIAL_END + 30 * DAY


@pytest.fixture
def trial(world: World) -> tuple[World, str, str, stripe.Subscription]:
    world.catalogue(fixed_minor=2000)
    clock = world.clock(APR_1)
    customer = world.customer(clock)
    return world, clock, customer, world.subscribe(customer, trial_period_days=14)


def test_trial_bills_nothing_then_the_first_period(trial: Any) -> None:
    world, clock, customer, subscription = trial
    assert (subscription.status, subscription.trial_start, subscription.trial_end) == ("trialing", APR_1, TRIAL_END)
    assert {item.current_period_end for item in subscription.items.data} == {TRIAL_END}
    (first,) = world.invoices(subscription.id)
    assert (first.total, first.status, first.lines.data[0].description) == (0, "paid", "Free trial for 1 × PRO")
    world.advance(clock, TRIAL_END - 3 * DAY)
    world.use("compute", customer, "500", APR_1 + DAY)
    assert world.event_types().count("customer.subscription.trial_will_end") == 1
    world.advance(clock, TRIAL_END + HOUR)
    renewal = world.invoices(subscription.id)[0]
    assert [line.amount for line in renewal.lines.data] == [2000, 0, 0, 0, 0]
    assert (renewal.billing_reason, renewal.status) == ("subscription_cycle", "paid")
    after = world.client.v1.subscriptions.retrieve(subscription.id)
    assert (after.status, after.billing_cycle_anchor) == ("active", TRIAL_END)
    assert after.items.data[0].current_period_end == MAY_15


def test_trial_ended_by_update_is_billed_at_once(trial: Any) -> None:
    world, clock, _customer, subscription = trial
    world.advance(clock, APR_1 + 5 * DAY)
    ended = world.client.v1.subscriptions.update(subscription.id, {"trial_end": "now"})
    assert (ended.status, ended.trial_end, ended.billing_cycle_anchor) == ("active", APR_1 + 5 * DAY, APR_1 + 5 * DAY)
    invoice = world.client.v1.invoices.retrieve(ended.latest_invoice)
    assert (invoice.billing_reason, invoice.total, invoice.status) == ("subscription_update", 2000, "paid")
    with pytest.raises(stripe.InvalidRequestError, match="not in a trial"):
        world.client.v1.subscriptions.update(subscription.id, {"trial_end": "now"})


def test_trial_can_be_extended_and_its_items_changed_for_nothing(trial: Any) -> None:
    world, clock, customer, subscription = trial
    v1 = world.client.v1
    v1.subscriptions.update(subscription.id, {"trial_end": TRIAL_END + 7 * DAY})
    v1.subscription_items.update(subscription.items.data[0].id, {"quantity": 3})
    assert not v1.invoice_items.list({"customer": customer}).data
    world.advance(clock, TRIAL_END + HOUR)
    assert v1.subscriptions.retrieve(subscription.id).status == "trialing"
    world.advance(clock, TRIAL_END + 7 * DAY + HOUR)
    assert world.invoices(subscription.id)[0].total == 6000


@pytest.mark.parametrize(("behavior", "expected"), [("cancel", "canceled"), ("pause", "paused")])
def test_trial_without_a_payment_method_ends_as_chosen(world: World, behavior: str, expected: str) -> None:
    world.catalogue(fixed_minor=2000)
    clock = world.clock(APR_1)
    customer = world.customer(clock, card=None)
    ends = {"end_behavior": {"missing_payment_method": behavior}}
    subscription = world.subscribe(customer, trial_period_days=14, trial_settings=ends)
    world.advance(clock, TRIAL_END + HOUR)
    ended = world.client.v1.subscriptions.retrieve(subscription.id)
    assert ended.status == expected
    if expected == "paused":
        assert ended.status_details.paused.subscription.type == "trial_end_without_payment_method"
        assert "customer.subscription.paused" in world.event_types()


@pytest.mark.parametrize(
    ("behavior", "expected"), [("keep_as_draft", "draft"), ("void", "void"), ("mark_uncollectible", "uncollectible")]
)
def test_paused_collection_keeps_invoices_back(world: World, behavior: str, expected: str) -> None:
    world.catalogue(fixed_minor=2000)
    clock = world.clock(APR_1)
    subscription = world.subscribe(world.customer(clock))
    v1 = world.client.v1
    resumes_at = APR_1 + 40 * DAY
    pause = {"pause_collection": {"behavior": behavior, "resumes_at": resumes_at}}
    assert v1.subscriptions.update(subscription.id, pause).status == "active"
    world.advance(clock, APR_1 + 31 * DAY)
    assert world.invoices(subscription.id)[0].status == expected
    assert v1.subscriptions.retrieve(subscription.id).pause_collection.resumes_at == resumes_at
    world.advance(clock, resumes_at)
    assert v1.subscriptions.retrieve(subscription.id).pause_collection is None
    v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void"}})
    assert v1.subscriptions.update(subscription.id, {"pause_collection": ""}).pause_collection is None
    world.advance(clock, APR_1 + 62 * DAY)
    assert world.invoices(subscription.id)[0].status == "paid"
