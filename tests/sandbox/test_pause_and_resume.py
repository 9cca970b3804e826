"""A subscription paused for real and resumed: what is credited, what is billed, and when it goes on."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import World

APR_1 = 1_775_001_600
MAY_1 = APR_1 + 30 * 86_400
HOUR = 3600
DAY = 86_400
TRIAL_END = APR_1 + 14 * DAY
UNCHANGED = {"billing_cycle_anchor": {"type": "unchanged"}}
ON_SUCCESS = {"payment_behavior": "resume_on_payment_success"}


@pytest.fixture
def live(world: World) -> tuple[World, str, str, str]:
    """A paid subscription of 30.00 a month with one metered item at 0.01, ten days into its period."""
    world.catalogue(fixed_minor=3000, amounts={"compute": "1"})
    clock = world.clock(APR_1)
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    world.advance(clock, APR_1 + 10 * DAY)
    world.use("compute", customer, "250", APR_1 + DAY)
    return world, clock, customer, subscription.id


def pending(world: World, customer: str) -> list[int]:
    items = world.client.v1.invoice_items.list({"customer": customer, "pending": True}).data
    return sorted(item.amount for item in items)


def lapsed(world: World, behavior: str = "pause", **extra: Any) -> tuple[str, str, stripe.Subscription]:
    """A trial without a card, the hour after its end."""
    world.catalogue(fixed_minor=3000, amounts={"compute": "1"})
    clock = world.clock(APR_1)
    customer = world.customer(clock, card=None)
    ends = {"end_behavior": {"missing_payment_method": behavior}}
    subscription = world.subscribe(customer, trial_period_days=14, trial_settings=ends, **extra)
    world.advance(clock, TRIAL_END + HOUR)
    return clock, customer, world.client.v1.subscriptions.retrieve(subscription.id)


def test_pause_credits_unused_time_and_bills_usage_on_the_next_invoice(live: Any) -> None:
    world, clock, customer, subscription = live
    paused = world.client.v1.subscriptions.pause(subscription)
    assert (paused.status, paused.status_details.paused.subscription.type) == ("paused", "pause_requested")
    assert paused.status_details.paused.transitioned_at == APR_1 + 10 * DAY
    assert pending(world, customer) == [-2000, 250]
    assert world.event_types()[-1] == "customer.subscription.paused"
    world.advance(clock, MAY_1 + 20 * DAY)
    assert len(world.invoices(subscription)) == 1
    resumed = world.client.v1.subscriptions.resume(subscription)
    assert resumed.status == "paused"
    invoice = world.client.v1.invoices.retrieve(resumed.latest_invoice)
    assert ([line.amount for line in invoice.lines.data], invoice.status) == ([-2000, 250, 3000], "open")
    world.client.v1.invoices.pay(invoice.id)
    after = world.client.v1.subscriptions.retrieve(subscription)
    assert (after.status, "status_details" in after) == ("active", False)
    assert after.billing_cycle_anchor == MAY_1 + 20 * DAY
    assert {item.current_period_start for item in after.items.data} == {MAY_1 + 20 * DAY}
    assert world.event_types().count("customer.subscription.resumed") == 1
    world.use("compute", customer, "7", MAY_1 + 15 * DAY)
    world.advance(clock, after.items.data[0].current_period_end + HOUR)
    assert [line.amount for line in world.invoices(subscription)[0].lines.data] == [3000, 0]


@pytest.mark.parametrize(
    ("bill_for", "expected"),
    [
        ({"outstanding_usage_through": {"type": "none"}}, [-2000]),
        ({"unused_time_from": {"type": "none"}}, [250]),
        ({"unused_time_from": {"type": "item_current_period_start"}}, [-3000, 250]),
    ],
)
def test_pause_bills_for_what_was_asked(live: Any, bill_for: dict[str, Any], expected: list[int]) -> None:
    world, _clock, customer, subscription = live
    world.client.v1.subscriptions.pause(subscription, {"bill_for": bill_for})
    assert pending(world, customer) == expected


def test_pause_with_an_invoice_bills_as_previewed(live: Any) -> None:
    world, _clock, customer, subscription = live
    wish = {"invoicing_behavior": "invoice", "bill_for": {"unused_time_from": {"type": "none"}}}
    details = {"subscription_details": {"pause": wish}}
    shown = world.client.v1.invoices.create_preview({"subscription": subscription, **details})
    assert ([line.amount for line in shown.lines.data], shown.amount_due) == ([250], 250)
    assert world.client.v1.subscriptions.retrieve(subscription).status == "active"
    paused = world.client.v1.subscriptions.pause(subscription, wish)
    invoice = world.client.v1.invoices.retrieve(paused.latest_invoice)
    assert (invoice.total, invoice.status, pending(world, customer)) == (250, "paid", [])
    with pytest.raises(stripe.InvalidRequestError) as nothing:
        world.client.v1.invoices.create_preview({"subscription": subscription})
    assert nothing.value.code == "invoice_upcoming_none"


def test_resume_within_the_period_charges_the_rest_once(live: Any) -> None:
    world, clock, customer, subscription = live
    world.client.v1.subscriptions.pause(subscription)
    world.advance(clock, APR_1 + 20 * DAY)
    resumed = world.client.v1.subscriptions.resume(subscription, UNCHANGED)
    assert (resumed.status, resumed.billing_cycle_anchor) == ("active", APR_1)
    assert pending(world, customer) == [-2000, 250, 1000]
    assert {item.current_period_end for item in resumed.items.data} == {MAY_1}
    world.advance(clock, MAY_1 + HOUR)
    invoice = world.invoices(subscription)[0]
    assert (invoice.total, invoice.status) == (3000 - 2000 + 250 + 1000, "paid")


def test_resume_in_a_later_period_keeps_the_anchor(live: Any) -> None:
    world, clock, customer, subscription = live
    world.client.v1.subscriptions.pause(subscription, {"bill_for": {"unused_time_from": {"type": "none"}}})
    world.advance(clock, MAY_1 + 15 * DAY + 12 * HOUR)
    wish = {**UNCHANGED, "proration_behavior": "always_invoice", **ON_SUCCESS}
    resumed = world.client.v1.subscriptions.resume(subscription, wish)
    assert resumed.status == "active"
    item = resumed.items.data[0]
    assert (item.current_period_start, item.current_period_end) == (MAY_1, MAY_1 + 31 * DAY)
    invoice = world.client.v1.invoices.retrieve(resumed.latest_invoice)
    assert ([line.amount for line in invoice.lines.data], invoice.status) == ([1500, 250], "paid")
    assert pending(world, customer) == []


def test_resume_without_prorations_or_when_the_period_is_paid_charges_nothing(live: Any) -> None:
    world, clock, customer, subscription = live
    subscriptions = world.client.v1.subscriptions
    nothing = {"bill_for": {"unused_time_from": {"type": "none"}, "outstanding_usage_through": {"type": "none"}}}
    subscriptions.pause(subscription, nothing)
    world.advance(clock, APR_1 + 20 * DAY)
    assert subscriptions.resume(subscription, UNCHANGED).status == "active"
    assert pending(world, customer) == []
    subscriptions.pause(subscription)
    subscriptions.resume(subscription, {**UNCHANGED, "proration_behavior": "none"})
    assert pending(world, customer) == [-1000]


def test_resume_that_is_paid_only_later_waits_for_success(live: Any) -> None:
    world, clock, customer, subscription = live
    world.client.v1.subscriptions.pause(subscription, {"bill_for": {"unused_time_from": {"type": "none"}}})
    world.card(customer, "pm_card_chargeCustomerFail")
    waiting = world.client.v1.subscriptions.resume(subscription, ON_SUCCESS)
    invoice = world.client.v1.invoices.retrieve(waiting.latest_invoice)
    assert (waiting.status, invoice.status, invoice.attempt_count) == ("paused", "open", 1)
    assert {item.current_period_start for item in waiting.items.data} == {APR_1}
    world.card(customer, "pm_card_visa")
    world.client.v1.invoices.pay(invoice.id)
    assert world.client.v1.subscriptions.retrieve(subscription).status == "active"
    world.advance(clock, APR_1 + 12 * DAY)
    assert world.client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_resume_whose_attempt_fails_is_past_due_and_not_retried(live: Any) -> None:
    world, _clock, customer, subscription = live
    world.client.v1.subscriptions.pause(subscription)
    world.card(customer, "pm_card_chargeCustomerFail")
    waiting = world.client.v1.subscriptions.resume(subscription)
    assert waiting.status == "paused"
    with pytest.raises(stripe.CardError):
        world.client.v1.invoices.pay(str(waiting.latest_invoice))
    failed = world.client.v1.subscriptions.retrieve(subscription)
    assert (failed.status, failed.billing_cycle_anchor) == ("past_due", APR_1 + 10 * DAY)
    assert world.client.v1.invoices.retrieve(str(waiting.latest_invoice)).next_payment_attempt is None


def test_resumption_that_nobody_pays_is_voided_after_a_day(live: Any) -> None:
    world, clock, customer, subscription = live
    world.client.v1.subscriptions.pause(subscription)
    waiting = world.client.v1.subscriptions.resume(subscription)
    world.advance(clock, APR_1 + 11 * DAY)
    assert world.client.v1.invoices.retrieve(str(waiting.latest_invoice)).status == "void"
    assert world.client.v1.subscriptions.retrieve(subscription).status == "paused"
    assert pending(world, customer) == []
    again = world.client.v1.subscriptions.resume(subscription, ON_SUCCESS)
    assert again.status == "active"


def test_preview_of_a_resumption_is_the_invoice_that_follows(live: Any) -> None:
    world, clock, _customer, subscription = live
    world.client.v1.subscriptions.pause(subscription)
    world.advance(clock, MAY_1 + 3 * DAY)
    details = {"subscription_details": {"resume_at": "now"}}
    shown = world.client.v1.invoices.create_preview({"subscription": subscription, **details})
    resumed = world.client.v1.subscriptions.resume(subscription)
    invoice = world.client.v1.invoices.retrieve(str(resumed.latest_invoice))
    assert [line.amount for line in shown.lines.data] == [line.amount for line in invoice.lines.data]
    assert (shown.total, shown.amount_due) == (invoice.total, invoice.amount_due)


def test_what_cannot_be_paused_or_resumed_is_refused(live: Any) -> None:
    world, _clock, _customer, subscription = live
    subscriptions = world.client.v1.subscriptions
    with pytest.raises(stripe.InvalidRequestError, match="only resume a paused"):
        subscriptions.resume(subscription)
    world.client.v1.subscription_schedules.create({"from_subscription": subscription})
    with pytest.raises(stripe.InvalidRequestError, match="schedule"):
        subscriptions.pause(subscription)
    for bad in ({"bill_for": {"unused_time_from": {"type": "tomorrow"}}}, {"until": "now"}, {"bill_for": "now"}):
        with pytest.raises(stripe.InvalidRequestError):
            subscriptions.pause(subscription, bad)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        subscriptions.pause("sub_missing")
    assert missing.value.http_status == 404


def test_paused_subscription_can_be_changed_for_nothing_and_ended(live: Any) -> None:
    world, clock, customer, subscription = live
    subscriptions = world.client.v1.subscriptions
    paused = subscriptions.pause(subscription)
    fixed = {"id": paused.items.data[0].id, "quantity": 2}
    changed = subscriptions.update(subscription, {"items": [fixed], "proration_behavior": "always_invoice"})
    assert (changed.status, changed.items.data[0].quantity, pending(world, customer)) == ("paused", 2, [-2000, 250])
    with pytest.raises(stripe.InvalidRequestError, match="Resume"):
        subscriptions.update(subscription, {"billing_cycle_anchor": {"type": "now"}})
    subscriptions.update(subscription, {"cancel_at": APR_1 + 40 * DAY})
    world.advance(clock, APR_1 + 41 * DAY)
    assert subscriptions.retrieve(subscription).status == "canceled"
    assert len(world.invoices(subscription)) == 1


def test_trial_without_a_card_asks_for_one_and_can_be_resumed_once_it_is_there(world: World) -> None:
    clock, customer, paused = lapsed(world, payment_settings={"save_default_payment_method": "on_subscription"})
    v1 = world.client.v1
    intent = v1.setup_intents.retrieve(str(paused.pending_setup_intent))
    assert (intent.status, intent.customer, paused.status) == ("requires_payment_method", customer, "paused")
    v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    ready = v1.subscriptions.retrieve(paused.id)
    assert (ready.pending_setup_intent, bool(ready.default_payment_method)) == (None, True)
    world.advance(clock, TRIAL_END + 5 * DAY)
    resumed = v1.subscriptions.resume(paused.id, ON_SUCCESS)
    assert (resumed.status, resumed.billing_cycle_anchor) == ("active", TRIAL_END + 5 * DAY)
    invoice = v1.invoices.retrieve(str(resumed.latest_invoice))
    assert (invoice.total, invoice.status) == (3000, "paid")
    told = [one for one in world.event_types() if one.startswith("customer.subscription.")]
    assert [name.rsplit(".", 1)[1] for name in told if "updated" not in name] == [
        "created",
        "trial_will_end",
        "paused",
        "resumed",
    ]


def test_trial_with_a_card_asks_for_none(world: World) -> None:
    world.catalogue()
    subscription = world.subscribe(world.customer(world.clock(APR_1)), trial_period_days=14)
    assert subscription.pending_setup_intent is None
    assert subscription.trial_settings.end_behavior.missing_payment_method == "create_invoice"


def test_trial_that_ends_with_an_invoice_nobody_pays_is_past_due(world: World) -> None:
    clock, _customer, active = lapsed(world, "create_invoice")
    assert active.status == "past_due"
    world.advance(clock, TRIAL_END + 2 * HOUR)
    invoice = world.invoices(active.id)[0]
    assert (invoice.status, invoice.attempt_count, invoice.billing_reason) == ("open", 1, "subscription_cycle")


def test_dunning_can_end_in_a_pause(world: World, http: Any) -> None:
    world.catalogue(fixed_minor=3000, amounts={"compute": "1"})
    assert http.post("/_sandbox/dunning", {"outcome": "pause", "retry_days[0]": "1"}).status_code == 200
    clock = world.clock(APR_1)
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    world.card(customer, "pm_card_chargeCustomerFail")
    world.advance(clock, MAY_1 + 2 * DAY)
    paused = world.client.v1.subscriptions.retrieve(subscription.id)
    assert (paused.status, paused.status_details.paused.subscription.type) == ("paused", "final_payment_failure")
