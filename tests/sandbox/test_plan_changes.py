"""Changes of a running subscription's items: prorations, payment behaviours, billing cycles, the balance."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import World

JAN_1 = 1_767_225_600
FEB_1 = 1_769_904_000
MAR_1 = 1_772_323_200
APR_1 = 1_775_001_600
HOUR = 3600
DAY = 86_400


@pytest.fixture
def live(world: World) -> tuple[World, str, str, stripe.Subscription]:
    """A plan of $20.00 with metered items, active since 1 April (a month of 30 days)."""
    world.catalogue(fixed_minor=2000)
    clock = world.clock(APR_1)
    customer = world.customer(clock)
    return world, clock, customer, world.subscribe(customer)


def price(world: World, minor: int, interval: str = "month") -> str:
    recurring = {"interval": interval}
    params = {"currency": "usd", "product": world.product, "unit_amount": minor, "recurring": recurring}
    return world.client.v1.prices.create(params).id


def change(world: World, subscription: stripe.Subscription, **params: Any) -> stripe.Subscription:
    item = {"id": subscription.items.data[0].id, "price": params.pop("price")}
    if "quantity" in params:
        item["quantity"] = params.pop("quantity")
    return world.client.v1.subscriptions.update(subscription.id, {"items": [item], **params})


def figures(invoice: Any) -> list[int]:
    return [line.amount for line in invoice.lines.data]


def test_upgrade_invoiced_at_once_credits_first_and_floors_each_line(live: Any) -> None:
    world, clock, _customer, subscription = live
    world.advance(clock, APR_1 + 10 * DAY)
    changed = change(world, subscription, price=price(world, 5000), proration_behavior="always_invoice")
    invoice = world.client.v1.invoices.retrieve(changed.latest_invoice)
    assert figures(invoice) == [-1334, 3333]
    assert (invoice.total, invoice.amount_paid, invoice.status) == (1999, 1999, "paid")
    assert invoice.billing_reason == "subscription_update"
    assert (invoice.period_start, invoice.period_end) == (APR_1, APR_1 + 10 * DAY)
    credit, debit = invoice.lines.data
    assert credit.description == "Unused time on PRO after 11 Apr 2026"
    assert debit.description == "Remaining time on PRO after 11 Apr 2026"
    details = credit.parent.subscription_item_details
    assert (details.proration, details.subscription) == (True, subscription.id)
    credited = details.proration_details.credited_items
    first = world.client.v1.invoices.retrieve(subscription.latest_invoice)
    assert (credited.invoice, credited.invoice_line_items) == (first.id, [first.lines.data[0].id])
    assert world.client.v1.invoice_items.retrieve(details.invoice_item).invoice == invoice.id
    expected = {"invoiceitem.created", "invoice.created", "invoice.finalized", "invoice.paid"}
    assert expected <= set(world.event_types()[-20:])


def test_downgrade_invoiced_at_once_leaves_a_credit_that_later_invoices_use(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 10 * DAY)
    changed = change(world, subscription, price=price(world, 500), proration_behavior="always_invoice")
    invoice = world.client.v1.invoices.retrieve(changed.latest_invoice)
    assert figures(invoice) == [-1334, 333]
    assert (invoice.total, invoice.amount_due, invoice.status) == (-1001, 0, "paid")
    assert world.client.v1.customers.retrieve(customer).balance == -1001
    (moved,) = world.client.v1.customers.balance_transactions.list(customer).data
    assert (moved.amount, moved.type, moved.ending_balance, moved.invoice) == (
        -1001,
        "applied_to_invoice",
        -1001,
        invoice.id,
    )
    world.advance(clock, APR_1 + 30 * DAY + HOUR)
    renewal = world.invoices(subscription.id)[0]
    assert (renewal.total, renewal.starting_balance, renewal.ending_balance) == (500, -1001, -501)
    assert (renewal.amount_due, renewal.status) == (0, "paid")


def test_prorations_wait_for_the_renewal(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 10 * DAY)
    change(world, subscription, price=price(world, 5000))
    pending = world.client.v1.invoice_items.list({"customer": customer, "pending": True}).data
    assert sorted(item.amount for item in pending) == [-1334, 3333]
    assert {item.proration for item in pending} == {True}
    world.advance(clock, APR_1 + 30 * DAY + HOUR)
    renewal = world.invoices(subscription.id)[0]
    assert figures(renewal)[:3] == [-1334, 3333, 5000]
    assert renewal.total == 6999
    assert not world.client.v1.invoice_items.list({"customer": customer, "pending": True}).data


def test_downgrade_whose_prorations_wait_is_credited_on_the_renewal(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 10 * DAY)
    change(world, subscription, price=price(world, 500), proration_behavior="create_prorations")
    assert len(world.invoices(subscription.id)) == 1
    pending = world.client.v1.invoice_items.list({"customer": customer, "pending": True}).data
    assert sorted(item.amount for item in pending) == [-1334, 333]
    world.advance(clock, APR_1 + 30 * DAY + HOUR)
    renewal = world.invoices(subscription.id)[0]
    assert figures(renewal)[:3] == [-1334, 333, 500]
    # 501 is owed to the customer: nothing is charged, the balance carries it on.
    assert (renewal.total, renewal.amount_due, renewal.status, renewal.ending_balance) == (-501, 0, "paid", -501)
    assert world.client.v1.customers.retrieve(customer).balance == -501


def test_second_change_credits_what_the_first_debited(live: Any) -> None:
    world, clock, _customer, subscription = live
    big, bigger = price(world, 5000), price(world, 9000)
    world.advance(clock, APR_1 + 10 * DAY)
    change(world, subscription, price=big, proration_behavior="always_invoice")
    world.advance(clock, APR_1 + 20 * DAY)
    changed = change(world, subscription, price=bigger, proration_behavior="always_invoice")
    invoice = world.client.v1.invoices.retrieve(changed.latest_invoice)
    assert figures(invoice) == [-1667, 3000]
    earlier = world.invoices(subscription.id)[1]
    credited = invoice.lines.data[0].parent.subscription_item_details.proration_details.credited_items
    assert (credited.invoice, credited.invoice_line_items) == (earlier.id, [earlier.lines.data[1].id])


def test_proration_date_decides_the_moment(live: Any) -> None:
    world, clock, _customer, subscription = live
    world.advance(clock, APR_1 + 20 * DAY)
    when = {"proration_date": APR_1 + 10 * DAY, "proration_behavior": "always_invoice"}
    changed = change(world, subscription, price=price(world, 5000), **when)
    invoice = world.client.v1.invoices.retrieve(changed.latest_invoice)
    assert figures(invoice) == [-1334, 3333]
    assert invoice.lines.data[0].period.start == APR_1 + 10 * DAY
    for wrong in (
        {"proration_date": APR_1 - 1},
        {"proration_date": APR_1 + 31 * DAY},
        {"proration_date": APR_1 + DAY, "proration_behavior": "none"},
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            change(world, subscription, price=price(world, 700), **wrong)
        assert refused.value.param == "proration_date"


def test_quantity_counts_as_a_whole_amount(live: Any) -> None:
    world, clock, _customer, subscription = live
    world.advance(clock, APR_1 + 10 * DAY)
    fixed = world.prices["fixed"]
    changed = change(world, subscription, price=fixed, quantity=3, proration_behavior="always_invoice")
    invoice = world.client.v1.invoices.retrieve(changed.latest_invoice)
    assert figures(invoice) == [-1334, 4000]
    assert invoice.lines.data[1].description == "Remaining time on 3 × PRO after 11 Apr 2026"
    assert changed.items.data[0].quantity == 3
    reset = change(world, subscription, price=price(world, 100), proration_behavior="none")
    assert reset.items.data[0].quantity == 1


def test_declined_upgrade_switches_the_plan_and_is_past_due(live: Any) -> None:
    world, clock, customer, subscription = live
    world.card(customer, "pm_card_chargeCustomerFail")
    world.advance(clock, APR_1 + DAY)
    better = price(world, 5000)
    changed = change(world, subscription, price=better, proration_behavior="always_invoice")
    assert (changed.status, changed.items.data[0].price.id) == ("past_due", better)
    world.card(customer, "pm_card_visa")
    world.client.v1.invoices.pay(changed.latest_invoice)
    assert world.client.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_declined_upgrade_with_error_if_incomplete_changes_nothing(live: Any) -> None:
    world, _clock, customer, subscription = live
    world.card(customer, "pm_card_chargeCustomerFail")
    before = world.client.v1.subscriptions.retrieve(subscription.id).to_dict()
    how = {"proration_behavior": "always_invoice", "payment_behavior": "error_if_incomplete"}
    with pytest.raises(stripe.CardError):
        change(world, subscription, price=price(world, 5000), **how)
    assert world.client.v1.subscriptions.retrieve(subscription.id).to_dict() == before
    assert not world.client.v1.invoice_items.list({"customer": customer}).data
    assert len(world.invoices(subscription.id)) == 1


def test_default_incomplete_update_waits_for_its_payment(live: Any) -> None:
    world, _clock, _customer, subscription = live
    how = {"proration_behavior": "always_invoice", "payment_behavior": "default_incomplete"}
    changed = change(world, subscription, price=price(world, 5000), **how)
    assert changed.status == "past_due"
    assert world.client.v1.invoices.retrieve(changed.latest_invoice).attempt_count == 0
    world.client.v1.invoices.pay(changed.latest_invoice)
    assert world.client.v1.subscriptions.retrieve(subscription.id).status == "active"


PENDING = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}


def test_pending_update_takes_hold_when_paid(live: Any) -> None:
    world, clock, customer, subscription = live
    world.card(customer, "pm_card_chargeCustomerFail")
    world.advance(clock, APR_1 + DAY)
    better = price(world, 5000)
    changed = change(world, subscription, price=better, **PENDING)
    assert (changed.status, changed.items.data[0].price.id) == ("active", world.prices["fixed"])
    assert changed.pending_update.expires_at == APR_1 + DAY + 23 * HOUR
    assert changed.pending_update.subscription_items[0].price.id == better
    invoice = world.client.v1.invoices.retrieve(changed.latest_invoice)
    assert (invoice.status, invoice.next_payment_attempt) == ("open", None)
    world.card(customer, "pm_card_visa")
    world.client.v1.invoices.pay(invoice.id)
    applied = world.client.v1.subscriptions.retrieve(subscription.id)
    assert (applied.pending_update, applied.items.data[0].price.id) == (None, better)
    assert "customer.subscription.pending_update_applied" in world.event_types()


def test_pending_update_that_is_paid_at_once_is_no_pending_update(live: Any) -> None:
    world, _clock, _customer, subscription = live
    better = price(world, 5000)
    changed = change(world, subscription, price=better, **PENDING)
    assert (changed.pending_update, changed.items.data[0].price.id) == (None, better)
    assert "customer.subscription.pending_update_applied" not in world.event_types()


def test_pending_update_expires_and_its_invoice_is_void(live: Any) -> None:
    world, clock, customer, subscription = live
    world.card(customer, "pm_card_threeDSecure2Required")
    changed = change(world, subscription, price=price(world, 5000), **PENDING)
    world.advance(clock, APR_1 + 23 * HOUR)
    expired = world.client.v1.subscriptions.retrieve(subscription.id)
    assert (expired.pending_update, expired.items.data[0].price.id) == (None, world.prices["fixed"])
    assert world.client.v1.invoices.retrieve(changed.latest_invoice).status == "void"
    assert "customer.subscription.pending_update_expired" in world.event_types()


def test_pending_update_takes_no_other_parameters(live: Any) -> None:
    world, _clock, _customer, subscription = live
    with pytest.raises(stripe.InvalidRequestError) as refused:
        change(world, subscription, price=price(world, 5000), metadata={"a": "b"}, **PENDING)
    assert refused.value.param == "metadata"


def test_renewal_gives_a_pending_update_up(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 30 * DAY - HOUR)
    world.card(customer, "pm_card_chargeCustomerFail")
    changed = change(world, subscription, price=price(world, 5_000_000), **PENDING)
    assert changed.pending_update.expires_at == APR_1 + 30 * DAY
    world.advance(clock, APR_1 + 30 * DAY + HOUR)
    renewed = world.client.v1.subscriptions.retrieve(subscription.id)
    assert renewed.pending_update is None
    assert world.client.v1.invoices.retrieve(changed.latest_invoice).status == "void"
    assert renewed.items.data[0].price.id == world.prices["fixed"]


def test_items_are_added_and_removed(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 15 * DAY)
    extra = price(world, 1000)
    v1 = world.client.v1
    added = v1.subscription_items.create({"subscription": subscription.id, "price": extra, "quantity": 2})
    assert (added.current_period_start, added.current_period_end) == (APR_1, APR_1 + 30 * DAY)
    assert [item.amount for item in v1.invoice_items.list({"customer": customer}).data] == [1000]
    with pytest.raises(stripe.InvalidRequestError) as twice:
        v1.subscription_items.create({"subscription": subscription.id, "price": extra})
    assert twice.value.param == "plan"
    world.use("compute", customer, "70", APR_1 + DAY)
    metered = next(item for item in subscription.items.data if item.price.id == world.prices["compute"])
    gone = v1.subscription_items.delete(metered.id)
    assert (gone.id, gone.deleted) == (metered.id, True)
    usage = v1.invoice_items.list({"customer": customer}).data[0]
    assert (usage.amount, usage.proration) == (70, False)
    v1.subscription_items.update(added.id, {"quantity": 1, "proration_behavior": "none"})
    world.advance(clock, APR_1 + 30 * DAY + HOUR)
    renewal = world.invoices(subscription.id)[0]
    assert figures(renewal) == [1000, 70, 2000, 0, 0, 0, 1000]


def test_metered_item_removed_without_proration_bills_nothing_more(live: Any) -> None:
    world, clock, customer, subscription = live
    world.use("compute", customer, "70", APR_1 + 1)
    metered = next(item for item in subscription.items.data if item.price.id == world.prices["compute"])
    world.client.v1.subscription_items.delete(metered.id, {"proration_behavior": "none"})
    world.advance(clock, APR_1 + 30 * DAY + HOUR)
    assert figures(world.invoices(subscription.id)[0]) == [2000, 0, 0, 0]


def test_last_item_cannot_go(world: World) -> None:
    world.catalogue()
    customer = world.customer()
    params = {"customer": customer, "items": [{"price": world.prices["fixed"]}]}
    subscription = world.client.v1.subscriptions.create(params)
    with pytest.raises(stripe.InvalidRequestError, match="at least one item"):
        world.client.v1.subscription_items.delete(subscription.items.data[0].id)


def test_metered_price_swapped_mid_period_bills_each_price_its_own_usage(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 10 * DAY)
    world.use("compute", customer, "100", APR_1 + DAY)
    recurring = {"interval": "month", "usage_type": "metered", "meter": world.meters["compute"]}
    params = {"currency": "usd", "product": world.product, "unit_amount": 3, "recurring": recurring}
    dearer = world.client.v1.prices.create(params).id
    metered = next(item for item in subscription.items.data if item.price.id == world.prices["compute"])
    items = [{"id": metered.id, "price": dearer}]
    world.client.v1.subscriptions.update(subscription.id, {"items": items})
    world.use("compute", customer, "10", APR_1 + 10 * DAY)
    world.advance(clock, APR_1 + 30 * DAY + HOUR)
    assert figures(world.invoices(subscription.id)[0]) == [100, 2000, 30, 0, 0, 0]


def test_new_interval_starts_a_new_cycle_and_bills_at_once(world: World) -> None:
    world.catalogue(fixed_minor=2000)
    clock = world.clock(APR_1)
    customer = world.customer(clock)
    params = {"customer": customer, "items": [{"price": world.prices["fixed"]}]}
    subscription = world.client.v1.subscriptions.create(params)
    world.advance(clock, APR_1 + 15 * DAY)
    changed = change(world, subscription, price=price(world, 20000, "year"))
    assert changed.billing_cycle_anchor == APR_1 + 15 * DAY
    assert changed.items.data[0].current_period_start == APR_1 + 15 * DAY
    assert changed.items.data[0].current_period_end == APR_1 + 15 * DAY + 365 * DAY
    invoice = world.client.v1.invoices.retrieve(changed.latest_invoice)
    assert (figures(invoice), invoice.status) == ([-1000, 20000], "paid")


def test_cycle_reset_bills_usage_and_a_new_period(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 15 * DAY)
    world.use("compute", customer, "60", APR_1 + DAY)
    reset = {"billing_cycle_anchor": {"type": "now"}}
    changed = world.client.v1.subscriptions.update(subscription.id, reset)
    assert {item.current_period_start for item in changed.items.data} == {APR_1 + 15 * DAY}
    invoice = world.client.v1.invoices.retrieve(changed.latest_invoice)
    assert figures(invoice) == [-1000, 60, 2000]
    world.advance(clock, changed.items.data[0].current_period_end + HOUR)
    assert figures(world.invoices(subscription.id)[0]) == [2000, 0, 0, 0, 0]


def test_manual_items_ride_on_the_next_invoice(live: Any) -> None:
    world, clock, customer, subscription = live
    v1 = world.client.v1
    made = v1.invoice_items.create({"customer": customer, "amount": 700, "currency": "usd", "description": "Setup"})
    assert (made.amount, made.quantity, made.proration, made.invoice) == (700, 1, False, None)
    v1.invoice_items.update(made.id, {"amount": 900})
    doomed = v1.invoice_items.create({"customer": customer, "amount": 5, "currency": "usd"})
    assert v1.invoice_items.delete(doomed.id).deleted is True
    world.advance(clock, APR_1 + 30 * DAY + HOUR)
    renewal = world.invoices(subscription.id)[0]
    assert figures(renewal) == [900, 2000, 0, 0, 0, 0]
    assert renewal.lines.data[0].parent.invoice_item_details.invoice_item == made.id
    with pytest.raises(stripe.InvalidRequestError):
        v1.invoice_items.delete(made.id)


def test_balance_moved_by_hand_leaves_transactions(world: World) -> None:
    v1 = world.client.v1
    customer = v1.customers.create({"balance": -300}).id
    v1.customers.balance_transactions.create(customer, {"amount": -200, "currency": "usd", "description": "sorry"})
    v1.customers.update(customer, {"balance": 100})
    moves = v1.customers.balance_transactions.list(customer).data
    assert [(move.amount, move.type, move.ending_balance) for move in moves] == [
        (600, "adjustment", 100),
        (-200, "adjustment", -500),
        (-300, "initial", -300),
    ]
    assert v1.customers.balance_transactions.retrieve(customer, moves[1].id).description == "sorry"


def test_voided_invoice_gives_the_used_credit_back(live: Any) -> None:
    world, clock, customer, subscription = live
    v1 = world.client.v1
    v1.customers.update(customer, {"balance": -500})
    world.card(customer, "pm_card_chargeCustomerFail")
    world.advance(clock, APR_1 + 30 * DAY + HOUR)
    renewal = world.invoices(subscription.id)[0]
    assert (renewal.amount_due, renewal.status) == (1500, "open")
    assert v1.customers.retrieve(customer).balance == 0
    v1.invoices.void_invoice(renewal.id)
    assert v1.customers.retrieve(customer).balance == -500
    assert v1.customers.balance_transactions.list(customer).data[0].type == "unapplied_from_invoice"


def test_prorated_cancellation_bills_usage_less_unused_time(live: Any) -> None:
    world, clock, customer, subscription = live
    world.use("compute", customer, "1500", APR_1 + 1)
    world.advance(clock, APR_1 + 15 * DAY)
    world.client.v1.subscriptions.cancel(subscription.id, {"invoice_now": True, "prorate": True})
    final = world.invoices(subscription.id)[0]
    assert (figures(final), final.status) == ([-1000, 1500, 0, 0, 0], "paid")


def test_last_draft_that_only_credits_is_uncollectible(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 15 * DAY)
    world.client.v1.subscriptions.cancel(subscription.id, {"invoice_now": True, "prorate": True})
    final = world.invoices(subscription.id)[0]
    assert (final.total, final.status) == (-1000, "uncollectible")
    assert final.status_details.uncollectible.reason == "subscription_canceled"
    assert world.client.v1.customers.retrieve(customer).balance == 0
