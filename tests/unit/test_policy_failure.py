"""When a failure began, read from Stripe's objects."""

from datetime import UTC, datetime, timedelta

from helvetia.enforcement.find_failure import find_failure
from helvetia.stripe_gateway.actions import Charge
from helvetia.stripe_gateway.model import Invoice, PendingUpdate, Subscription

START = datetime(2026, 2, 1, 9, tzinfo=UTC)
RENEWED = START + timedelta(days=28)
FINAL = RENEWED + timedelta(hours=1)
READ = RENEWED + timedelta(days=3)


def subscription(
    status: str = "past_due", *, pending: bool = False, latest: str = "in_renewal", reason: str | None = None
) -> Subscription:
    return Subscription(
        subscription_id="sub_1",
        customer_id="cus_1",
        status=status,
        currency="usd",
        items=(),
        created_at=START,
        started_at=START,
        cancel_at=None,
        canceled_at=None,
        ended_at=None,
        latest_invoice_id=latest,
        pending_update=PendingUpdate(price_ids=("price_1",), expires_at=READ) if pending else None,
        ended_reason=reason,
    )


def invoice(
    invoice_id: str, status: str, reason: str, issued_at: datetime, *, intents: tuple[str, ...] = ("pi_1",)
) -> Invoice:
    return Invoice(
        invoice_id=invoice_id,
        customer_id="cus_1",
        subscription_id="sub_1",
        number=None,
        status=status,
        billing_reason=reason,
        currency="usd",
        subtotal_minor=2900,
        total_minor=2900,
        amount_due_minor=2900,
        amount_paid_minor=0,
        amount_remaining_minor=2900,
        attempt_count=1,
        next_payment_attempt_at=None,
        starts_at=issued_at,
        ends_at=issued_at,
        issued_at=issued_at,
        finalized_at=issued_at + timedelta(hours=1),
        paid_at=None,
        lines=(),
        has_more_lines=False,
        payment_intent_ids=intents,
    )


def charge(charge_id: str, created_at: datetime, *, status: str = "failed", intent: str = "pi_1") -> Charge:
    return Charge(
        charge_id=charge_id,
        payment_intent_id=intent,
        amount_minor=2900,
        refunded_minor=0,
        currency="usd",
        status=status,
        failure_code="card_declined",
        method_kind="card",
        brand="visa",
        last4="0341",
        created_at=created_at,
    )


FIRST = invoice("in_first", "paid", "subscription_create", START)
RENEWAL = invoice("in_renewal", "open", "subscription_cycle", RENEWED)


def test_failed_renewal_begins_with_its_first_failed_charge() -> None:
    charges = [charge("ch_2", FINAL + timedelta(days=1)), charge("ch_1", FINAL + timedelta(seconds=4))]
    found = find_failure(subscription(), [RENEWAL, FIRST], charges, read_at=READ)
    assert found.first_failed_at == FINAL + timedelta(seconds=4)
    assert (found.failed_invoice_id, found.ended_by_failure, found.read_at) == ("in_renewal", False, READ)


def test_without_a_charge_the_finalization_counts() -> None:
    foreign = [charge("ch_1", START, intent="pi_other"), charge("ch_2", START, status="succeeded")]
    assert find_failure(subscription(), [RENEWAL, FIRST], foreign, read_at=READ).first_failed_at == FINAL


def test_later_failures_do_not_restart_the_episode() -> None:
    second = invoice("in_second", "open", "subscription_cycle", RENEWED + timedelta(days=31))
    found = find_failure(subscription("unpaid", latest="in_second"), [second, RENEWAL, FIRST], [], read_at=READ)
    assert found.first_failed_at == FINAL


def test_declined_upgrade_starts_nothing() -> None:
    upgrade = invoice("in_upgrade", "open", "subscription_update", START + timedelta(days=3))
    declined = subscription("active", pending=True, latest="in_upgrade")
    assert find_failure(declined, [upgrade, FIRST], [], read_at=READ).first_failed_at is None


def test_pending_upgrade_beside_a_failed_renewal_is_not_its_beginning() -> None:
    upgrade = invoice("in_upgrade", "open", "subscription_update", RENEWED - timedelta(hours=2))
    found = find_failure(subscription(pending=True, latest="in_upgrade"), [upgrade, RENEWAL, FIRST], [], read_at=READ)
    assert found.failed_invoice_id == "in_renewal"


def test_incomplete_first_invoice_starts_nothing() -> None:
    first = invoice("in_first", "open", "subscription_create", START)
    assert find_failure(subscription("incomplete"), [first], [], read_at=READ).first_failed_at is None


def test_open_invoice_older_than_the_last_paid_cycle_is_forgotten() -> None:
    old = invoice("in_old", "uncollectible", "subscription_cycle", START + timedelta(days=1))
    paid = invoice("in_paid", "paid", "subscription_cycle", RENEWED)
    newer = invoice("in_newer", "open", "subscription_cycle", RENEWED + timedelta(days=31))
    assert find_failure(subscription(), [newer, paid, old], [], read_at=READ).failed_invoice_id == "in_newer"
    assert find_failure(subscription(), [paid, old], [], read_at=READ).failed_invoice_id is None


def test_end_by_failure_is_told_from_an_end_by_wish() -> None:
    failed = subscription("canceled", reason="payment_failed")
    assert find_failure(failed, [RENEWAL, FIRST], [], read_at=READ).ended_by_failure
    wished = subscription("canceled", reason="cancellation_requested")
    assert not find_failure(wished, [FIRST], [], read_at=READ).ended_by_failure


def test_e15_second_episode_begins_anew_after_a_paid_cycle() -> None:
    paid = invoice("in_renewal", "paid", "subscription_cycle", RENEWED)
    second = invoice("in_second", "open", "subscription_cycle", RENEWED + timedelta(days=31))
    found = find_failure(subscription(latest="in_second"), [second, paid, FIRST], [], read_at=READ)
    assert found.first_failed_at == RENEWED + timedelta(days=31, hours=1)


def test_unpaid_without_an_open_invoice_has_no_beginning() -> None:
    void = invoice("in_renewal", "void", "subscription_cycle", RENEWED)
    found = find_failure(subscription("unpaid"), [void, FIRST], [charge("ch_1", FINAL)], read_at=READ)
    assert (found.failed_invoice_id, found.first_failed_at, found.ended_by_failure) == (None, None, False)
