"""The line on every page, the order of stopping, reasons in both languages, and the list of invoices as a file."""

from datetime import UTC, datetime, timedelta

import pytest

from helvetia.billing.model import InvoiceFilter, InvoicePage, InvoiceRecord
from helvetia.billing.payments.model import GIVEN_BACK, REASONS
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.enforcement.model import AccountFacts, EnforcementMode, Override, OverrideKind, PaymentFacts, Standing
from helvetia.enforcement.policy import GRACE, decide
from helvetia.kernel.identity import new_account_id, new_id
from helvetia.kernel.status import SubscriptionStatus
from helvetia.web.dashboard.invoices.list_view import COLUMNS, ListFacts, to_file_row, to_list_view
from helvetia.web.dashboard.invoices.query import to_query
from helvetia.web.dashboard.reasons import REASONS_SAID
from helvetia.web.dashboard.suspension.banner import countdown, to_banner
from helvetia.web.dashboard.suspension.controller import moved
from helvetia.web.dashboard.voice import Voice

NOW = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
ACCOUNT = new_account_id()


def standing(
    failed_at: datetime | None, *, mode: EnforcementMode = EnforcementMode.ENFORCE, overrides: tuple[Override, ...] = ()
) -> Standing:
    status = SubscriptionStatus.ACTIVE if failed_at is None else SubscriptionStatus.PAST_DUE
    payment = PaymentFacts(
        stripe_subscription_id="sub_1",
        failed_invoice_id="in_1",
        first_failed_at=failed_at,
        ended_by_failure=False,
        read_at=NOW,
    )
    facts = AccountFacts(
        account_id=ACCOUNT, plan=SubscriptionPlan.PRO, status=status, payment=payment, overrides=overrides
    )
    return Standing(facts=facts, verdict=decide(facts, NOW), mode=mode, at=NOW)


def test_paid_account_has_no_banner() -> None:
    assert to_banner(standing(None), Voice(now=NOW)) is None


def test_failed_payment_counts_down_on_every_page() -> None:
    banner = to_banner(standing(NOW - timedelta(days=2, hours=3)), Voice(now=NOW))
    assert banner is not None
    assert banner.text == "Payment failed. Services stop in 4 days 21 hours: 15 Mar 2026, 07:17 UTC."
    assert banner.needs


def test_banner_of_an_installation_that_holds_nobody_does_not_threaten() -> None:
    banner = to_banner(standing(NOW - timedelta(days=2), mode=EnforcementMode.WARN), Voice(now=NOW))
    assert banner is not None
    assert banner.text == "Payment failed."


def test_banner_after_the_grace_says_that_services_are_stopped() -> None:
    banner = to_banner(standing(NOW - GRACE), Voice(now=NOW, language="de"))
    assert banner is not None
    assert banner.text == "Zahlung fehlgeschlagen. Die Dienste sind angehalten; deine Daten bleiben."


def test_banner_of_an_exemption_is_not_red() -> None:
    exempt = Override(
        override_id=new_id(),
        kind=OverrideKind.EXEMPT,
        until_at=NOW + timedelta(days=1),
        reason="agreed",
        actor="operator:eva",
    )
    banner = to_banner(standing(NOW - timedelta(days=1), overrides=(exempt,)), Voice(now=NOW))
    assert banner is not None
    assert not banner.needs


def test_countdown_sends_seconds_and_the_words_to_count_with() -> None:
    left = countdown(NOW + timedelta(hours=1, seconds=1), NOW, Voice(now=NOW, language="de"))
    assert (left.words, left.remaining_s) == ("1 Stunde", 3_601)
    assert '"day": ["1 Tag", "2 Tage"]' in left.forms


@pytest.mark.parametrize(
    ("up", "down", "order"),
    [("b", "", "b a c"), ("", "b", "a c b"), ("a", "", "a b c"), ("", "c", "a b c")],
)
def test_service_moves_one_place_and_never_out_of_the_order(up: str, down: str, order: str) -> None:
    assert moved(["a", "b", "c"], up, down) == order.split()


def test_service_that_was_not_shown_is_refused() -> None:
    with pytest.raises(ValueError, match="not in list"):
        moved(["a"], "b", "")


def test_every_reason_of_billing_has_its_words_on_the_pages() -> None:
    assert set(REASONS_SAID) == {*REASONS.values(), *GIVEN_BACK.values()}


@pytest.mark.parametrize(
    ("year", "status", "wanted"),
    [
        ("2026", "paid", InvoiceFilter(year=2026, status="paid")),
        ("", "", InvoiceFilter()),
        ("twenty", "stolen", InvoiceFilter()),
        ("99999999999999", "open", InvoiceFilter(status="open")),
        ("²", "", InvoiceFilter()),
    ],
)
def test_address_that_names_no_such_filter_shows_all(year: str, status: str, wanted: InvoiceFilter) -> None:
    assert to_query(year, status, None).wanted == wanted


def invoice() -> InvoiceRecord:
    return InvoiceRecord(
        account_id=ACCOUNT,
        stripe_invoice_id="in_1",
        stripe_subscription_id="sub_1",
        number="HC-0031",
        status="open",
        billing_reason="subscription_cycle",
        currency="usd",
        subtotal_minor=1422,
        total_minor=1422,
        amount_due_minor=1422,
        amount_paid_minor=0,
        amount_remaining_minor=1422,
        attempt_count=2,
        next_payment_attempt_at=None,
        period_start=NOW - timedelta(days=28),
        period_end=NOW,
        issued_at=NOW,
        finalized_at=NOW,
        paid_at=None,
    )


def test_file_has_plain_figures_in_every_language() -> None:
    row = dict(zip(COLUMNS, to_file_row(invoice()), strict=True))
    assert (row["total"], row["open"], row["issued"]) == ("14.22", "14.22", "2026-03-10T10:17:23Z")


def test_list_says_what_is_open_whatever_its_filter() -> None:
    page = InvoicePage(invoices=(), next_cursor=None, as_of=NOW)
    facts = ListFacts(page=page, owed=[invoice()], years=[2026], back={})
    query = to_query("2025", "paid", "org-1")
    view = to_list_view(facts, query, may_pay=False, is_later_page=False, voice=Voice(now=NOW))
    assert (view.sentence, view.pay_label) == ("$14.22 is open on one invoice.", None)
    assert view.csv_link == "/billing/invoices/export?year=2025&status=paid&organizationId=org-1"
