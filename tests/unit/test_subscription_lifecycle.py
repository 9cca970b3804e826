"""What Stripe's subscriptions mean for an account."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.model import Invoice, PlanPrice, PriceBook, Subscription, SubscriptionItem
from helvetia.subscriptions.lifecycle import (
    STATUS_TABLE,
    WITHOUT_SAY,
    boundaries,
    derive_state,
    earlier_periods,
    fee_minor,
    find_plan,
    is_covered,
    read_plan_hint,
    running_period,
    speaking,
)
from helvetia.subscriptions.model import PlanIndex, SubscriptionRecord, limits_of, unsubscribed_period

NOW = datetime(2026, 3, 20, tzinfo=UTC)
START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
END = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
ACCOUNT = AccountId(uuid4())
BOOK = PriceBook(
    plans={
        plan: PlanPrice(price_id=f"price_{plan}", product_id=f"prod_{plan}", fee_minor=PLANS[plan].fee_minor)
        for plan in SubscriptionPlan
        if plan is not SubscriptionPlan.FREE
    },
    meters={},
    currency="usd",
)
INDEX = PlanIndex.from_price_book(BOOK)
FREE = SubscriptionRecord(
    id=uuid4(),
    account_id=ACCOUNT,
    user_id=ACCOUNT,
    organization_id=None,
    stripe_customer_id="cus_1",
    stripe_subscription_id=None,
    stripe_status=None,
    plan=SubscriptionPlan.FREE,
    status=SubscriptionStatus.ACTIVE,
    period=Period(starts_at=datetime(2026, 3, 1, tzinfo=UTC), ends_at=datetime(2026, 4, 1, tzinfo=UTC)),
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    cancel_at=None,
    ended_at=None,
    fee_minor=0,
    currency="usd",
    fetch_seq=0,
    synced_at=None,
    plan_problem=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def item(price_id: str = "price_PRO", product_id: str = "prod_x", hint: str | None = None) -> SubscriptionItem:
    return SubscriptionItem(
        item_id="si_1",
        price_id=price_id,
        product_id=product_id,
        is_metered=False,
        quantity=1,
        unit_price_minor=Decimal(2900),
        plan_hint=hint,
        period=Period(starts_at=START, ends_at=END),
    )


def subscription(status: str, *items: SubscriptionItem, name: str = "sub_1", age_s: int = 0) -> Subscription:
    return Subscription(
        subscription_id=name,
        customer_id="cus_1",
        status=status,
        currency="usd",
        items=items or (item(),),
        created_at=START - timedelta(seconds=age_s),
        started_at=START,
        cancel_at=None,
        canceled_at=None,
        ended_at=START + timedelta(days=3) if status == "canceled" else None,
        latest_invoice_id=None,
    )


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("active", SubscriptionStatus.ACTIVE),
        ("trialing", SubscriptionStatus.ACTIVE),
        ("past_due", SubscriptionStatus.PAST_DUE),
        ("unpaid", SubscriptionStatus.UNPAID),
        ("paused", SubscriptionStatus.UNPAID),
        ("canceled", SubscriptionStatus.CANCELED),
    ],
)
def test_each_stripe_status_maps_to_one_of_four(word: str, expected: SubscriptionStatus) -> None:
    state = derive_state(FREE, [subscription(word)], INDEX, NOW)
    assert (state.status, state.plan, state.stripe_status) == (expected, SubscriptionPlan.PRO, word)
    assert state.plan_problem is None


def test_documented_table_of_statuses_is_the_one_in_force() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "stripe-setup.md").read_text()
    table = page.partition("| Stripe's status |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    told = {word.strip("` "): meaning for words, meaning, _ in rows for word in words.split(",")}
    assert told == {
        **{word: status.value for word, status in STATUS_TABLE.items()},
        **dict.fromkeys(WITHOUT_SAY, "as before"),
    }


def test_every_status_of_stripe_is_in_the_table_once() -> None:
    all_words = {"active", "trialing", "past_due", "unpaid", "paused", "canceled", "incomplete", "incomplete_expired"}
    assert set(STATUS_TABLE) | WITHOUT_SAY == all_words
    assert not set(STATUS_TABLE) & WITHOUT_SAY


@pytest.mark.parametrize("word", sorted(WITHOUT_SAY))
def test_incomplete_grants_nothing_and_takes_nothing_away(word: str) -> None:
    state = derive_state(FREE, [subscription(word)], INDEX, NOW)
    assert (state.plan, state.status, state.stripe_subscription_id) == (FREE.plan, FREE.status, None)
    both = [subscription(word, name="sub_new"), subscription("past_due", name="sub_old", age_s=9)]
    kept = derive_state(FREE, both, INDEX, NOW)
    assert (kept.stripe_subscription_id, kept.status) == ("sub_old", SubscriptionStatus.PAST_DUE)


def test_unknown_status_keeps_the_former_one_and_is_flagged() -> None:
    state = derive_state(FREE, [subscription("hibernating")], INDEX, NOW)
    assert state.status is SubscriptionStatus.ACTIVE
    assert state.plan_problem is not None
    assert "hibernating" in state.plan_problem


def test_live_subscription_speaks_before_ended_ones_and_the_newest_live_first() -> None:
    said = speaking(
        [
            subscription("canceled", name="ended"),
            subscription("active", name="old", age_s=10),
            subscription("active", name="new"),
            subscription("incomplete", name="mute"),
        ]
    )
    assert [one.subscription_id for one in said] == ["new", "old", "ended"]
    state = derive_state(FREE, said, INDEX, NOW)
    assert state.plan_problem is not None
    assert "more than one" in state.plan_problem


def test_plan_is_found_by_price_then_product_then_metadata() -> None:
    by_all = [item("price_STARTER", "prod_PRO", "ENTERPRISE")]
    assert find_plan(by_all, INDEX) is SubscriptionPlan.STARTER
    assert find_plan([item("price_x", "prod_PRO", "ENTERPRISE")], INDEX) is SubscriptionPlan.PRO
    assert find_plan([item("price_x", "prod_x", "enterprise")], INDEX) is SubscriptionPlan.ENTERPRISE
    assert find_plan([item("price_x", "prod_x", "gold")], INDEX) is None
    assert find_plan([item("price_STARTER"), item("price_PRO")], INDEX) is SubscriptionPlan.PRO
    assert read_plan_hint(None) is None


def test_unknown_price_keeps_the_former_plan_and_is_flagged() -> None:
    former = replace(FREE, plan=SubscriptionPlan.STARTER)
    state = derive_state(former, [subscription("active", item("price_x"))], INDEX, NOW)
    assert state.plan is SubscriptionPlan.STARTER
    assert state.plan_problem is not None
    assert "price_x" in state.plan_problem


def test_ended_subscription_is_canceled_with_the_rest_of_the_month() -> None:
    state = derive_state(FREE, [subscription("canceled")], INDEX, NOW)
    ended_at = START + timedelta(days=3)
    assert (state.ended_at, state.fee_minor, state.cancel_at) == (ended_at, 0, None)
    assert state.period == Period(starts_at=ended_at, ends_at=datetime(2026, 4, 1, tzinfo=UTC))
    assert unsubscribed_period(END, ended_at) == Period(
        starts_at=datetime(2026, 4, 1, tzinfo=UTC), ends_at=datetime(2026, 5, 1, tzinfo=UTC)
    )


def test_subscription_that_vanished_from_the_list_changes_nothing_but_is_flagged() -> None:
    former = replace(FREE, stripe_subscription_id="sub_1", plan=SubscriptionPlan.PRO, fee_minor=2900)
    state = derive_state(former, [], INDEX, NOW)
    assert (state.plan, state.status, state.fee_minor) == (SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE, 2900)
    assert state.plan_problem is not None


def test_fee_is_what_the_fixed_items_cost() -> None:
    metered = replace(item("price_m"), is_metered=True, quantity=0, unit_price_minor=Decimal("0.5"))
    assert fee_minor([item(), replace(item(), quantity=2), metered]) == 8700


def test_limits_after_the_end_are_those_of_free() -> None:
    former = replace(FREE, plan=SubscriptionPlan.PRO)
    assert limits_of(former) == PLANS[SubscriptionPlan.PRO].limits
    assert limits_of(replace(former, status=SubscriptionStatus.CANCELED)) == PLANS[SubscriptionPlan.FREE].limits


def test_running_period_is_cut_at_the_end_and_absent_when_nothing_was_lived() -> None:
    live = running_period(ACCOUNT, subscription("active"), SubscriptionPlan.PRO)
    assert live is not None
    assert live.period == Period(starts_at=START, ends_at=END)
    ended = running_period(ACCOUNT, subscription("canceled"), SubscriptionPlan.PRO)
    assert ended is not None
    assert ended.period.ends_at == START + timedelta(days=3)
    at_once = replace(subscription("canceled"), ended_at=START)
    assert running_period(ACCOUNT, at_once, SubscriptionPlan.PRO) is None


def _invoice(reason: str, starts_at: datetime, ends_at: datetime, of: str = "sub_1") -> Invoice:
    return Invoice(
        invoice_id="in_1",
        customer_id="cus_1",
        subscription_id=of,
        number=None,
        status="paid",
        billing_reason=reason,
        currency="usd",
        subtotal_minor=0,
        total_minor=0,
        amount_due_minor=0,
        amount_paid_minor=0,
        amount_remaining_minor=0,
        attempt_count=0,
        next_payment_attempt_at=None,
        starts_at=starts_at,
        ends_at=ends_at,
        issued_at=ends_at,
        finalized_at=None,
        paid_at=None,
        lines=(),
        has_more_lines=False,
    )


def test_only_renewal_invoices_of_the_subscription_tell_earlier_periods() -> None:
    invoices: Sequence[Invoice] = [
        _invoice("subscription_cycle", START, END),
        _invoice("subscription_create", START, START),
        _invoice("subscription_update", START, NOW),
        _invoice("subscription_cycle", START, END, of="sub_other"),
    ]
    found = earlier_periods(ACCOUNT, subscription("active"), SubscriptionPlan.PRO, invoices)
    assert [entry.period for entry in found] == [Period(starts_at=START, ends_at=END)]


def test_boundaries_hold_starts_future_ends_and_the_cancellation() -> None:
    one = replace(subscription("active"), cancel_at=END - timedelta(days=1))
    running = running_period(ACCOUNT, one, SubscriptionPlan.PRO)
    assert running is not None
    assert set(boundaries([one], [running])) == {START, END, END - timedelta(days=1)}


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_periods_that_tile_cover_and_one_missing_does_not(days: list[int], data: st.DataObject) -> None:
    edges = [START]
    for count in days:
        edges.append(edges[-1] + timedelta(days=count))
    periods = [Period(starts_at=a, ends_at=b) for a, b in pairwise(edges)]
    shuffled = data.draw(st.permutations(periods))
    assert is_covered(START, edges[-1], shuffled)
    assert is_covered(START, START, [])
    gone = data.draw(st.integers(0, len(periods) - 1))
    assert not is_covered(START, edges[-1], periods[:gone] + periods[gone + 1 :])
