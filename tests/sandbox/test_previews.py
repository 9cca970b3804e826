"""A preview equals the invoice that follows, whatever was changed before."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sandbox.harness import Sandbox, World
from support.trials import choose, record

APR_1 = 1_775_001_600
MAY_1 = APR_1 + 30 * 86_400
HOUR = 3600
DAY = 86_400
PRICES = (0, 700, 2000, 4999, 10_000)
SEED = 20_261_028
SEQUENCES = choose(small=12, full=500)


@pytest.fixture
def live(world: World) -> tuple[World, str, str, stripe.Subscription]:
    world.catalogue(fixed_minor=2000)
    clock = world.clock(APR_1)
    customer = world.customer(clock)
    return world, clock, customer, world.subscribe(customer)


def price(world: World, minor: int) -> str:
    params = {"currency": "usd", "product": world.product, "unit_amount": minor, "recurring": {"interval": "month"}}
    return world.client.v1.prices.create(params).id


def essence(invoice: Any) -> Any:
    """What a preview promises: each line, the sums, and the balance."""
    lines = [
        (line.amount, line.description, line.period.start, line.period.end, str(line.quantity_decimal))
        for line in invoice.lines.auto_paging_iter()
    ]
    sums = (invoice.subtotal, invoice.total, invoice.starting_balance, invoice.period_start, invoice.period_end)
    return lines, sums


def preview(world: World, **params: Any) -> stripe.Invoice:
    return world.client.v1.invoices.create_preview(params)


def test_preview_of_an_upgrade_holds_only_what_is_due_now(live: Any) -> None:
    world, clock, _customer, subscription = live
    world.advance(clock, APR_1 + 10 * DAY)
    items = [{"id": subscription.items.data[0].id, "price": price(world, 5000)}]
    details = {"items": items, "proration_behavior": "always_invoice", "proration_date": APR_1 + 10 * DAY}
    shown = preview(world, subscription=subscription.id, subscription_details=details)
    assert [line.amount for line in shown.lines.data] == [-1334, 3333]
    assert (shown.billing_reason, shown.status, shown.number, shown.hosted_invoice_url) == (
        "upcoming",
        "draft",
        None,
        None,
    )
    assert shown.id.startswith("upcoming_in_")
    assert shown.parent.subscription_details.subscription_proration_date == APR_1 + 10 * DAY
    assert len(world.invoices(subscription.id)) == 1
    assert world.client.v1.subscriptions.retrieve(subscription.id).items.data[0].price.id == world.prices["fixed"]
    changed = world.client.v1.subscriptions.update(
        subscription.id, {"items": items, "proration_behavior": "always_invoice", "proration_date": APR_1 + 10 * DAY}
    )
    invoice = world.client.v1.invoices.retrieve(changed.latest_invoice)
    assert essence(shown) == essence(invoice)
    assert (shown.amount_due, shown.ending_balance) == (invoice.amount_due, invoice.ending_balance)


def test_preview_of_the_next_invoice_shows_usage_and_prorations(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 10 * DAY)
    world.use("compute", customer, "12.5", APR_1 + DAY)
    items = [{"id": subscription.items.data[0].id, "price": price(world, 5000)}]
    shown = preview(world, subscription=subscription.id, subscription_details={"items": items})
    assert [line.amount for line in shown.lines.data] == [-1334, 3333, 5000, 13, 0, 0, 0]
    due_now = [line for line in shown.lines.data if line.parent.subscription_item_details.proration]
    assert sum(line.amount for line in due_now) == 1999
    world.client.v1.subscriptions.update(subscription.id, {"items": items})
    world.advance(clock, MAY_1 + HOUR)
    assert essence(world.invoices(subscription.id)[0]) == essence(shown)


def test_recurring_preview_leaves_one_off_items_out(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 10 * DAY)
    world.client.v1.invoice_items.create({"customer": customer, "amount": 99, "currency": "usd"})
    extra = [{"amount": 500, "currency": "usd", "description": "Once"}]
    following = preview(world, subscription=subscription.id, invoice_items=extra)
    assert [line.amount for line in following.lines.data][:3] == [99, 500, 2000]
    recurring = preview(world, subscription=subscription.id, preview_mode="recurring")
    assert recurring.lines.data[0].amount == 2000


def test_preview_of_a_new_subscription_and_of_a_customer(live: Any) -> None:
    world, _clock, customer, subscription = live
    new = preview(world, customer=customer, subscription_details={"items": [{"price": price(world, 700)}]})
    assert (new.total, len(new.lines.data)) == (700, 1)
    assert preview(world, customer=customer).period_end == MAY_1
    assert [one.id for one in world.client.v1.subscriptions.list().data] == [subscription.id]


def test_nothing_upcoming_is_said_so(live: Any) -> None:
    world, _clock, _customer, subscription = live
    ending = {"cancel_at_period_end": True}
    for params in ({"subscription_details": ending}, {"subscription_details": {"cancel_now": True, **NONE}}):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            preview(world, subscription=subscription.id, **params)
        assert (refused.value.code, refused.value.http_status) == ("invoice_upcoming_none", 404)
    world.client.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError) as ended:
        preview(world, subscription=subscription.id)
    assert ended.value.code == "invoice_upcoming_none"


NONE = {"proration_behavior": "none"}


def test_preview_of_canceling_now_bills_usage(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 15 * DAY)
    world.use("compute", customer, "300", APR_1 + DAY)
    shown = preview(world, subscription=subscription.id, subscription_details={"cancel_now": True})
    assert [line.amount for line in shown.lines.data] == [-1000, 300, 0, 0, 0]
    world.client.v1.subscriptions.cancel(subscription.id, {"invoice_now": True, "prorate": True})
    assert essence(world.invoices(subscription.id)[0]) == essence(shown)


STEP = st.tuples(
    st.integers(min_value=1, max_value=9 * DAY),
    st.sampled_from(PRICES),
    st.integers(min_value=1, max_value=4),
    st.sampled_from(["create_prorations", "always_invoice"]),
)


@given(steps=st.lists(STEP, min_size=1, max_size=5))
@seed(SEED)
@settings(
    max_examples=SEQUENCES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def live_through(sandbox: Sandbox, steps: list[tuple[int, int, int, str]]) -> None:
    """Change the plan at each step; the bills must be worth the time on each plan, and each preview its invoice."""
    world = World(client=sandbox.client(f"sk_test_{uuid.uuid4().hex}"))
    world.catalogue(fixed_minor=2000, amounts={"compute": "1"})
    prices = {minor: price(world, minor) for minor in PRICES}
    clock = world.clock(APR_1)
    subscription = world.subscribe(world.customer(clock))
    fixed = subscription.items.data[0].id
    now, worth, running, lines = APR_1, 0, 2000, 1
    for after, minor, quantity, behavior in steps:
        if now + after >= MAY_1:
            break
        worth += running * after
        now, running = now + after, minor * quantity
        world.advance(clock, now)
        wish = {"items": [{"id": fixed, "price": prices[minor], "quantity": quantity}], "proration_behavior": behavior}
        shown = preview(world, subscription=subscription.id, subscription_details={**wish, "proration_date": now})
        changed = world.client.v1.subscriptions.update(subscription.id, {**wish, "proration_date": now})
        lines += 2
        if behavior == "always_invoice" and shown.created == now:
            assert essence(shown) == essence(world.client.v1.invoices.retrieve(changed.latest_invoice))
    worth += running * (MAY_1 - now)
    following = preview(world, subscription=subscription.id)
    world.advance(clock, MAY_1 + HOUR)
    invoices = world.invoices(subscription.id)
    assert essence(following) == essence(invoices[0])
    billed = sum(invoice.total for invoice in invoices) - running
    assert worth / (30 * DAY) - lines <= billed <= worth / (30 * DAY)


def test_any_sequence_of_changes_bills_what_the_time_is_worth_and_as_previewed(sandbox: Sandbox) -> None:
    live_through(sandbox=sandbox)
    record(
        "sandbox: any sequence of plan changes bills what the time is worth, as previewed", count=SEQUENCES, seed=SEED
    )
