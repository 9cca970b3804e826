"""A subscription from its first invoice to its end, on a test clock."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import stripe

from sandbox.harness import World

JAN_1 = 1_767_225_600
FEB_1 = 1_769_904_000
MAR_1 = 1_772_323_200
HOUR = 3600
DAY = 86_400


@pytest.fixture
def live(world: World) -> tuple[World, str, str, stripe.Subscription]:
    """One fixed and four metered items, active since 1 January."""
    world.catalogue()
    clock = world.clock(JAN_1)
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    return world, clock, customer, subscription


def amounts(invoice: Any) -> list[int]:
    return [line.amount for line in invoice.lines.data]


def test_creation_with_card_bills_the_fixed_line_at_once(live: Any) -> None:
    world, _clock, _customer, subscription = live
    assert subscription.status == "active"
    assert [item.current_period_start for item in subscription.items.data] == [JAN_1] * 5
    assert [item.current_period_end for item in subscription.items.data] == [FEB_1] * 5
    (first,) = world.invoices(subscription.id)
    assert (first.status, first.total, first.billing_reason) == ("paid", 2900, "subscription_create")
    assert (first.period_start, first.period_end) == (JAN_1, JAN_1)
    assert amounts(first) == [2900]
    assert (first.lines.data[0].period.start, first.lines.data[0].period.end) == (JAN_1, FEB_1)


def test_renewal_bills_fixed_in_advance_and_usage_in_arrears(live: Any) -> None:
    world, clock, customer, subscription = live
    usage = {"compute": "744.5", "memory": "1489.123456", "bandwidth": "12.345678", "storage": "0.217391"}
    for name, value in usage.items():
        world.use(name, customer, value, JAN_1 + 10)
    world.advance(clock, FEB_1 + 60)
    draft = world.invoices(subscription.id)[0]
    assert (draft.status, draft.created, draft.number) == ("draft", FEB_1, None)
    assert draft.automatically_finalizes_at == FEB_1 + HOUR
    assert (draft.period_start, draft.period_end) == (JAN_1, FEB_1)
    world.advance(clock, FEB_1 + HOUR)
    paid = world.client.v1.invoices.retrieve(draft.id, {"expand": ["payments"]})
    # 744.5 → 745 (half up); 1489.123456 × 0.5 = 744.561728; 12.345678 × 12 = 148.148136; 0.217391 × 2.3 = 0.4999993
    assert amounts(paid) == [2900, 745, 745, 148, 0]
    assert (paid.status, paid.total, paid.amount_paid, paid.amount_remaining) == ("paid", 4538, 4538, 0)
    assert paid.number.endswith("-0002")
    assert paid.status_transitions.finalized_at == FEB_1 + HOUR
    assert paid.payments.data[0].amount_paid == 4538
    assert [line.period.start for line in paid.lines.data] == [FEB_1, JAN_1, JAN_1, JAN_1, JAN_1]
    assert paid.lines.data[2].quantity == 1489
    assert paid.lines.data[2].quantity_decimal == Decimal("1489.123456")


def test_renewal_moves_items_and_latest_invoice(live: Any) -> None:
    world, clock, _customer, subscription = live
    world.advance(clock, FEB_1)
    renewed = world.client.v1.subscriptions.retrieve(subscription.id)
    assert {item.current_period_end for item in renewed.items.data} == {MAR_1}
    assert renewed.latest_invoice == world.invoices(subscription.id)[0].id
    update = world.client.v1.events.list({"type": "customer.subscription.updated"}).data[0]
    assert update.data.previous_attributes["items"]["data"][0]["current_period_end"] == FEB_1
    assert update.request.id is None


def test_usage_in_the_draft_hour_is_billed(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, FEB_1 + 60)
    world.use("compute", customer, "100", FEB_1 - 1)
    world.advance(clock, FEB_1 + HOUR)
    assert amounts(world.invoices(subscription.id)[0]) == [2900, 100, 0, 0, 0]
    assert "invoice.updated" in world.event_types()


def test_usage_after_finalization_is_billed_nowhere(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, FEB_1 + HOUR)
    world.use("compute", customer, "100", FEB_1 - 1)
    world.advance(clock, MAR_1 + HOUR)
    march, february, _january = world.invoices(subscription.id)
    assert amounts(february) == [2900, 0, 0, 0, 0]
    assert amounts(march) == [2900, 0, 0, 0, 0]


def test_usage_on_the_boundary_belongs_to_the_next_period(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, FEB_1 + 60)
    world.use("compute", customer, "7", FEB_1)
    world.advance(clock, MAR_1 + HOUR)
    march, february, _january = world.invoices(subscription.id)
    assert (amounts(february)[1], amounts(march)[1]) == (0, 7)


def test_negative_usage_bills_zero(live: Any) -> None:
    world, clock, customer, subscription = live
    world.use("compute", customer, "5", JAN_1 + 1)
    world.use("compute", customer, "-8.5", JAN_1 + 2)
    world.advance(clock, FEB_1 + HOUR)
    assert amounts(world.invoices(subscription.id)[0])[1] == 0


def test_cancel_at_period_end_bills_the_last_usage_and_ends(live: Any) -> None:
    world, clock, customer, subscription = live
    subscriptions = world.client.v1.subscriptions
    asked = subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (asked.cancel_at, asked.canceled_at, asked.status) == (FEB_1, JAN_1, "active")
    assert asked.cancellation_details.reason == "cancellation_requested"
    world.use("bandwidth", customer, "10", JAN_1 + 5)
    world.advance(clock, FEB_1 + HOUR)
    ended = subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.ended_at, ended.canceled_at) == ("canceled", FEB_1, JAN_1)
    final = world.invoices(subscription.id)[0]
    assert (final.status, final.total, final.billing_reason) == ("paid", 120, "subscription_cycle")
    assert world.event_types().count("customer.subscription.deleted") == 1


def test_undone_cancellation_renews(live: Any) -> None:
    world, clock, _customer, subscription = live
    subscriptions = world.client.v1.subscriptions
    subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    undone = subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (undone.cancel_at, undone.canceled_at, undone.cancellation_details.reason) == (None, None, None)
    world.advance(clock, FEB_1 + HOUR)
    assert subscriptions.retrieve(subscription.id).status == "active"


def test_immediate_cancel_with_invoice_now_bills_usage(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, JAN_1 + 10 * DAY)
    world.use("compute", customer, "250", JAN_1 + DAY)
    canceled = world.client.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
    assert (canceled.status, canceled.object) == ("canceled", "subscription")
    final = world.invoices(subscription.id)[0]
    assert (final.total, final.status) == (250, "paid")
    with pytest.raises(stripe.InvalidRequestError) as again:
        world.client.v1.subscriptions.cancel(subscription.id)
    assert again.value.http_status == 404


def test_immediate_cancel_without_invoice_now_discards_usage(live: Any) -> None:
    world, clock, customer, subscription = live
    world.use("compute", customer, "250", JAN_1 + 1)
    world.client.v1.subscriptions.cancel(subscription.id)
    world.advance(clock, MAR_1)
    assert len(world.invoices(subscription.id)) == 1


def test_fixed_price_change_without_proration_bills_the_new_price_next_time(live: Any) -> None:
    world, clock, customer, subscription = live
    v1 = world.client.v1
    recurring = {"interval": "month"}
    better = v1.prices.create(
        {"currency": "usd", "product": world.product, "unit_amount": 19900, "recurring": recurring}
    )
    change = {"items": [{"id": subscription.items.data[0].id, "price": better.id}], "proration_behavior": "none"}
    changed = v1.subscriptions.update(subscription.id, change)
    assert changed.items.data[0].price.id == better.id
    world.use("compute", customer, "3", JAN_1 + 5)
    world.advance(clock, FEB_1 + HOUR)
    assert amounts(world.invoices(subscription.id)[0])[:2] == [19900, 3]


def test_only_metered_items_make_no_first_invoice(world: World) -> None:
    world.catalogue()
    clock = world.clock(JAN_1)
    customer = world.customer(clock, card=None)
    params = {"customer": customer, "items": [{"price": world.prices["compute"]}]}
    subscription = world.client.v1.subscriptions.create(params)
    assert (subscription.status, subscription.latest_invoice) == ("active", None)
    assert "quantity" not in subscription.items.data[0]


def test_amount_below_the_smallest_charge_moves_to_the_balance(world: World) -> None:
    world.catalogue()
    clock = world.clock(JAN_1)
    customer = world.customer(clock)
    params = {"customer": customer, "items": [{"price": world.prices["compute"]}]}
    subscription = world.client.v1.subscriptions.create(params)
    world.use("compute", customer, "49", JAN_1 + 1)
    world.advance(clock, FEB_1 + HOUR)
    (invoice,) = world.invoices(subscription.id)
    assert (invoice.status, invoice.total, invoice.amount_due, invoice.ending_balance) == ("paid", 49, 0, 49)
    assert world.client.v1.customers.retrieve(customer).balance == 49
    world.use("compute", customer, "1", FEB_1 + 1)
    world.advance(clock, MAR_1 + HOUR)
    second = world.invoices(subscription.id)[0]
    assert (second.amount_due, second.amount_paid, second.starting_balance) == (50, 50, 49)
    assert world.client.v1.customers.retrieve(customer).balance == 0


def test_events_of_a_paid_creation_are_all_there(live: Any) -> None:
    world, *_ = live
    expected = {
        "customer.created",
        "payment_method.attached",
        "customer.updated",
        "charge.succeeded",
        "payment_intent.created",
        "payment_intent.succeeded",
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
        "customer.subscription.created",
    }
    types = world.event_types()
    assert expected <= set(types)
    assert "customer.subscription.updated" not in types
    created = world.client.v1.events.list({"type": "customer.subscription.created"}).data[0]
    assert created.request.id.startswith("req_")
    assert created.data.object.latest_invoice is not None


def test_method_that_paid_is_kept_on_the_subscription_if_asked(world: World) -> None:
    world.catalogue()
    customer = world.customer()
    settings = {"save_default_payment_method": "on_subscription"}
    subscription = world.subscribe(customer, payment_settings=settings)
    method = world.client.v1.customers.payment_methods.list(customer).data[0].id
    assert subscription.default_payment_method == method
    assert "customer.subscription.updated" not in world.event_types()


def test_cancel_at_in_mid_period_bills_usage_until_then(live: tuple[World, str, str, stripe.Subscription]) -> None:
    world, clock, customer, subscription = live
    world.client.v1.subscriptions.update(subscription.id, {"cancel_at": JAN_1 + 10 * DAY})
    world.use("compute", customer, "100", JAN_1 + 1)
    world.advance(clock, JAN_1 + 9 * DAY)
    assert world.client.v1.subscriptions.retrieve(subscription.id).status == "active"
    world.advance(clock, JAN_1 + 10 * DAY + HOUR)
    ended = world.client.v1.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", JAN_1 + 10 * DAY)
    final = world.invoices(subscription.id)[0]
    assert (final.total, final.period_start, final.period_end) == (100, JAN_1, JAN_1 + 10 * DAY)


def test_draft_of_a_deleted_customer_is_left_alone(live: tuple[World, str, str, stripe.Subscription]) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, FEB_1 + 60)
    world.client.v1.customers.delete(customer)
    world.advance(clock, FEB_1 + DAY)
    assert world.invoices(subscription.id)[0].status == "draft"
    assert world.client.v1.subscriptions.retrieve(subscription.id).status == "canceled"


def test_two_prices_of_the_same_kind_are_refused(world: World) -> None:
    world.catalogue()
    customer = world.customer()
    items = [{"price": world.prices["compute"]}, {"price": world.prices["compute"]}]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.client.v1.subscriptions.create({"customer": customer, "items": items})
    assert refused.value.param == "plan"
    metered = [{"price": world.prices["compute"], "quantity": 1}]
    with pytest.raises(stripe.InvalidRequestError) as quantity:
        world.client.v1.subscriptions.create({"customer": customer, "items": metered})
    assert quantity.value.param == "items[0][quantity]"


def test_lists_of_subscriptions_filter(live: tuple[World, str, str, stripe.Subscription]) -> None:
    world, _clock, customer, subscription = live
    subscriptions = world.client.v1.subscriptions
    for chosen in (
        {},
        {"customer": customer},
        {"price": world.prices["fixed"]},
        {"status": "active"},
        {"current_period_end": {"gte": FEB_1}},
    ):
        assert [one.id for one in subscriptions.list(chosen).data] == [subscription.id]
    assert subscriptions.list({"current_period_end": {"gt": FEB_1}}).data == []
    subscriptions.cancel(subscription.id)
    assert subscriptions.list().data == []
    for status in ("all", "ended", "canceled"):
        assert [one.id for one in subscriptions.list({"status": status}).data] == [subscription.id]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        subscriptions.update(subscription.id, {"description": "x"})
    assert refused.value.code == "invalid_canceled_subscription_fields"
    assert subscriptions.update(subscription.id, {"metadata": {"a": "b"}}).metadata["a"] == "b"


def test_change_of_an_unknown_item_is_refused(live: tuple[World, str, str, stripe.Subscription]) -> None:
    world, _clock, _customer, subscription = live
    with pytest.raises(stripe.InvalidRequestError, match="Invalid subscription_item id: si_x"):
        world.client.v1.subscriptions.update(subscription.id, {"items": [{"id": "si_x"}]})


def test_void_and_finalize_by_hand(live: tuple[World, str, str, stripe.Subscription]) -> None:
    world, clock, _customer, subscription = live
    world.advance(clock, FEB_1 + 60)
    invoices = world.client.v1.invoices
    draft = world.invoices(subscription.id)[0]
    opened = invoices.finalize_invoice(draft.id)
    assert (opened.status, opened.next_payment_attempt) == ("open", FEB_1 + 60 + HOUR)
    with pytest.raises(stripe.InvalidRequestError, match="re-finalize"):
        invoices.finalize_invoice(draft.id)
    voided = invoices.void_invoice(draft.id)
    assert voided.status == "void"
    with pytest.raises(stripe.InvalidRequestError, match="isn't open"):
        invoices.void_invoice(draft.id)
    payment = world.client.v1.invoice_payments.list({"invoice": draft.id}).data[0]
    assert payment.status == "canceled"
