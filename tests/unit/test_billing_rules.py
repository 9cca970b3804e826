"""The rules of billing actions, without I/O; the service is proven against the sandbox (tests/gateway, tests/api)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helvetia.billing.payments.model import (
    REASONS,
    PaymentKind,
    in_plain_words,
    method_label,
    payment_from_stored,
    to_entries,
    to_methods,
    to_stored,
)
from helvetia.billing.plan_change.model import (
    AccountUse,
    ChangeState,
    Direction,
    PlanChangeRecord,
    direction_of,
    misfits,
    misfits_then,
    offers,
)
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.kernel.identity import new_account_id, new_id
from helvetia.kernel.quantity import BYTES_PER_GB
from helvetia.stripe_gateway.actions import Charge, PaymentMethod, Refund
from helvetia.stripe_gateway.convert_actions import from_stripe_charge, from_stripe_refund

FREE, STARTER, PRO, ENTERPRISE = SubscriptionPlan
NOW = datetime(2026, 3, 10, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("from_plan", "plan", "direction"),
    [
        (STARTER, PRO, Direction.UPGRADE),
        (PRO, ENTERPRISE, Direction.UPGRADE),
        (ENTERPRISE, STARTER, Direction.DOWNGRADE),
        (PRO, STARTER, Direction.DOWNGRADE),
        (STARTER, FREE, Direction.END),
        (ENTERPRISE, FREE, Direction.END),
        (PRO, PRO, None),
    ],
)
def test_d08_direction_follows_the_order_of_plans(
    from_plan: SubscriptionPlan, plan: SubscriptionPlan, direction: Direction | None
) -> None:
    assert direction_of(from_plan, plan) is direction


def use(**changed: object) -> AccountUse:
    figures: dict[str, object] = {
        "services": 5,
        "memory_mb": 2048,
        "cpu_cores": Decimal(2),
        "bandwidth_bytes": 100 * BYTES_PER_GB,
        "storage_bytes": 50 * BYTES_PER_GB,
    }
    return AccountUse(**{**figures, **changed})  # type: ignore[arg-type]


def test_what_just_fits_fits() -> None:
    assert misfits(use(), PLANS[STARTER].limits) == ()


@pytest.mark.parametrize(
    ("changed", "limit"),
    [
        ({"services": 6}, "services"),
        ({"memory_mb": 2049}, "memory"),
        ({"cpu_cores": Decimal("2.001")}, "cpu"),
        ({"bandwidth_bytes": 101 * BYTES_PER_GB}, "bandwidth"),
        ({"storage_bytes": 51 * BYTES_PER_GB}, "storage"),
    ],
)
def test_each_limit_is_named_when_it_is_exceeded(changed: dict[str, object], limit: str) -> None:
    assert [one.limit for one in misfits(use(**changed), PLANS[STARTER].limits)] == [limit]


def test_bandwidth_of_this_period_is_no_misfit_of_a_plan_that_begins_with_the_next() -> None:
    found = misfits(use(bandwidth_bytes=10**15, storage_bytes=10**15), PLANS[STARTER].limits)
    assert [one.limit for one in found] == ["bandwidth", "storage"]
    assert [one.limit for one in misfits_then(found)] == ["storage"]


def test_unlimited_plan_fits_everything() -> None:
    assert misfits(use(services=10**6, memory_mb=10**9), PLANS[ENTERPRISE].limits) == ()


def test_offers_show_stripes_fee_where_it_is_known() -> None:
    found = {one.plan: one for one in offers(STARTER, use(), {PRO: 3100}, "usd", is_sold=True)}
    assert (found[PRO].fee_minor, found[STARTER].fee_minor, found[FREE].fee_minor) == (3100, 900, 0)
    assert [plan for plan, one in found.items() if one.is_current] == [STARTER]
    assert not {one.is_sold for one in found.values()} - {True}
    assert [one.plan for one in offers(STARTER, use(), {}, "usd", is_sold=False) if one.is_sold] == [FREE]


def change(state: ChangeState) -> PlanChangeRecord:
    return PlanChangeRecord(
        account_id=new_account_id(),
        change_id=new_id(),
        state=state,
        direction=Direction.UPGRADE,
        plan=PRO,
        from_plan=STARTER,
        stripe_subscription_id="sub_1",
        item_id="si_1",
        from_price_id="price_1",
        price_id="price_2",
        prorated_at=NOW,
        effective_at=NOW + timedelta(days=5),
        period_start=NOW - timedelta(days=25),
        period_end=NOW + timedelta(days=5),
        total_minor=1,
        amount_due_minor=1,
        currency="usd",
        stripe_invoice_id=None,
        created_at=NOW,
        confirmed_at=NOW,
        settled_at=None,
    )


@pytest.mark.parametrize(
    ("state", "plan", "days", "is_awaited"),
    [
        (ChangeState.SCHEDULED, STARTER, 4, True),
        (ChangeState.SCHEDULED, STARTER, 5, False),
        (ChangeState.PENDING, STARTER, 1, True),
        (ChangeState.PENDING, PRO, 1, False),
        (ChangeState.APPLYING, STARTER, 6, False),
        (ChangeState.APPLIED, STARTER, 1, False),
        (ChangeState.DECLINED, STARTER, 1, False),
        (ChangeState.UNDONE, STARTER, 1, False),
    ],
)
def test_change_is_awaited_until_it_came_about_or_cannot(
    state: ChangeState, plan: SubscriptionPlan, days: int, is_awaited: bool
) -> None:
    assert change(state).is_awaited(plan, NOW + timedelta(days=days)) is is_awaited


def test_preview_never_outlives_its_period() -> None:
    made = change(ChangeState.PREVIEWED)
    assert made.valid_until == NOW + timedelta(minutes=10)


def charge(charge_id: str, **changed: object) -> Charge:
    figures: dict[str, object] = {
        "charge_id": charge_id,
        "payment_intent_id": None,
        "amount_minor": 900,
        "refunded_minor": 0,
        "currency": "usd",
        "status": "succeeded",
        "failure_code": None,
        "method_kind": "card",
        "brand": "visa",
        "last4": "4242",
        "created_at": NOW,
    }
    return Charge(**{**figures, **changed})  # type: ignore[arg-type]


def test_payments_refunds_and_failures_are_told_newest_first() -> None:
    failed = charge("ch_2", status="failed", failure_code="insufficient_funds", created_at=NOW + timedelta(hours=1))
    refund = Refund(
        refund_id="re_1",
        charge_id="ch_1",
        amount_minor=300,
        currency="usd",
        status="succeeded",
        reason="requested_by_customer",
        created_at=NOW + timedelta(hours=2),
    )
    entries = to_entries([charge("ch_1"), failed], [refund], [])
    assert [entry.kind for entry in entries] == [PaymentKind.REFUND, PaymentKind.FAILED_ATTEMPT, PaymentKind.PAYMENT]
    assert entries[0].reason == "Given back as you asked."
    assert entries[1].reason == "There was not enough money on the account of the card."
    assert {entry.method for entry in entries} == {"Visa •••• 4242"}
    assert tuple(payment_from_stored(row) for row in to_stored(entries)) == entries


def test_unknown_reason_is_still_plain_words() -> None:
    assert in_plain_words("some_new_code") == REASONS["generic_decline"]
    assert in_plain_words(None) is None


def test_methods_are_labelled_and_the_default_comes_first() -> None:
    def method(name: str, kind: str = "card", brand: str | None = "visa", last4: str | None = "4242") -> PaymentMethod:
        return PaymentMethod(
            payment_method_id=name, kind=kind, brand=brand, last4=last4, expires_month=None, expires_year=None
        )

    found = to_methods(
        [method("pm_1"), method("pm_2", "sepa_debit", None, "3000"), method("pm_3", "link", None, None)], "pm_2"
    )
    assert [(one.label, one.is_default) for one in found] == [
        ("SEPA direct debit •••• 3000", True),
        ("Visa •••• 4242", False),
        ("Link", False),
    ]
    assert method_label("us_bank_account", None, None) == "Us bank account"


def test_charge_and_refund_are_read_with_their_finest_reason() -> None:
    raw = {
        "id": "ch_1",
        "object": "charge",
        "payment_intent": {"id": "pi_1"},
        "amount": 900,
        "amount_refunded": 100,
        "currency": "usd",
        "status": "failed",
        "failure_code": "card_declined",
        "outcome": {"reason": "insufficient_funds"},
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
        "created": 1_773_136_800,
    }
    found = from_stripe_charge(raw)
    assert (found.failure_code, found.payment_intent_id, found.refunded_minor) == ("insufficient_funds", "pi_1", 100)
    refund = from_stripe_refund(
        {"id": "re_1", "object": "refund", "amount": 1, "currency": "usd", "created": 1_773_136_800}
    )
    assert (refund.status, refund.reason, refund.charge_id) == ("pending", None, None)
