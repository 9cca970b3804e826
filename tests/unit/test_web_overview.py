from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from starlette.requests import Request

from helvetia.billing.model import InvoiceRecord
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.catalogue.prices import METERED_PRICES
from helvetia.containers.model import HoldCause, Service, ServiceDefinition, Wish
from helvetia.costs.history import UsageHistory, make_history
from helvetia.costs.model import CurrentUsage, UsageLine, limit_uses
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, new_account_id, new_id, new_service_id
from helvetia.kernel.period import Period, calendar_month
from helvetia.kernel.quantity import BYTES_PER_GB, SOLD_UNITS, UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.metering.history.model import Grain, UsageBlock, UsageFilter
from helvetia.subscriptions.model import SubscriptionRecord, limits_of
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.frame import AccountLink, Frame, PageLink
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.overview.view import OverviewView, to_view
from helvetia.web.dashboard.render import Renderer
from helvetia.web.dashboard.voice import Voice

NOW = datetime(2026, 3, 22, 14, 32, 10, tzinfo=UTC)
START, END = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC), datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
ACCOUNT = new_account_id()


def record(**changes: Any) -> SubscriptionRecord:
    base: dict[str, Any] = {
        "id": new_id(),
        "account_id": ACCOUNT,
        "user_id": ACCOUNT,
        "organization_id": None,
        "stripe_customer_id": "cus_1",
        "stripe_subscription_id": "sub_1",
        "stripe_status": "active",
        "plan": SubscriptionPlan.STARTER,
        "status": SubscriptionStatus.ACTIVE,
        "period": Period(starts_at=START, ends_at=END),
        "started_at": START,
        "cancel_at": None,
        "ended_at": None,
        "fee_minor": 900,
        "currency": "usd",
        "fetch_seq": 1,
        "synced_at": NOW,
        "plan_problem": None,
        "created_at": START,
        "updated_at": START,
    }
    return SubscriptionRecord(**{**base, **changes})


def usage(subscription: SubscriptionRecord, bandwidth_gb: str = "3.5", **changes: Any) -> CurrentUsage:
    quantity = Decimal(bandwidth_gb)
    uses = limit_uses(PLANS[subscription.plan].limits, quantity, 6 * 2**30)
    lines = [
        UsageLine(
            metric=metric,
            base_quantity=0,
            quantity=quantity if metric is UsageMetric.BANDWIDTH_GB else Decimal(0),
            unit=SOLD_UNITS[metric].name,
            unit_price_minor=METERED_PRICES[metric].unit_price_minor,
            amount_minor=42 if metric is UsageMetric.BANDWIDTH_GB else 0,
            limit_use=uses.get(metric),
            not_at_stripe=None,
        )
        for metric in UsageMetric
    ]
    base = CurrentUsage(
        account_id=AccountId(subscription.account_id),
        plan=subscription.plan,
        period=subscription.period_at(NOW),
        as_of=NOW - timedelta(seconds=5),
        is_complete=True,
        is_closed=False,
        is_charged=subscription.is_live_at_stripe,
        are_prices_verified=True,
        lines=lines,
        usage_minor=42,
        fee_minor=subscription.fee_minor,
        currency="usd",
        gaps=(),
    )
    return replace(base, **changes)


def invoice(**changes: Any) -> InvoiceRecord:
    base: dict[str, Any] = {
        "account_id": ACCOUNT,
        "stripe_invoice_id": "in_1",
        "stripe_subscription_id": "sub_1",
        "number": "HC-0031",
        "status": "open",
        "billing_reason": "subscription_cycle",
        "currency": "usd",
        "subtotal_minor": 1422,
        "total_minor": 1422,
        "amount_due_minor": 1422,
        "amount_paid_minor": 0,
        "amount_remaining_minor": 1422,
        "attempt_count": 2,
        "next_payment_attempt_at": NOW + timedelta(days=2),
        "period_start": START,
        "period_end": END,
        "issued_at": START,
        "finalized_at": START,
        "paid_at": None,
    }
    return InvoiceRecord(**{**base, **changes})


def service(name: str = "web", **changes: Any) -> Service:
    definition = ServiceDefinition(name=name, image="nginx", memory_mb=512, cpu_cores=Decimal("0.5"), replicas=2)
    base: dict[str, Any] = {
        "account_id": ACCOUNT,
        "service_id": new_service_id(),
        "definition": definition,
        "wish": Wish.RUNNING,
        "holds": frozenset(),
        "revision": 1,
        "restart_number": 0,
        "status": "running",
        "status_code": None,
        "status_message": None,
        "status_at": NOW,
        "created_at": NOW,
        "deleted_at": None,
    }
    return Service(**{**base, **changes})


def view(subscription: SubscriptionRecord, **changes: Any) -> OverviewView:
    base: dict[str, Any] = {
        "subscription": subscription,
        "usage": usage(subscription),
        "invoices": (),
        "services": (),
        "limits": limits_of(subscription),
        "organization_id": None,
        "base_url": "https://cloud.example",
        "voice": Voice(now=NOW),
    }
    return to_view(OverviewFacts(**{**base, **changes}))


FREE = record(
    plan=SubscriptionPlan.FREE, stripe_subscription_id=None, fee_minor=0, period=calendar_month(NOW), stripe_status=None
)
OWED = [invoice()]
SERVICE_ID = new_service_id()


def history(grain: Grain, gb_by_day: Sequence[int] = (2, 1)) -> UsageHistory:
    """Bandwidth of one service, a number of GB on each of the period's first days."""
    wanted = UsageFilter(period=Period(starts_at=START, ends_at=END), grain=grain, by_service=grain is Grain.MONTH)
    service_id = SERVICE_ID if grain is Grain.MONTH else None
    days = [datetime(2026, 3, 10, tzinfo=UTC) + timedelta(days=number) for number in range(len(gb_by_day))]
    if grain is Grain.MONTH:
        days, gb_by_day = [datetime(2026, 3, 1, tzinfo=UTC)], [sum(gb_by_day)]
    cells = [
        UsageBlock(
            starts_at=day,
            metric=UsageMetric.BANDWIDTH_GB,
            service_ids=[service_id],
            quantities=[gb * BYTES_PER_GB],
        )
        for day, gb in zip(days, gb_by_day, strict=True)
    ]
    prices = {metric: METERED_PRICES[metric].unit_price_minor for metric in UsageMetric}
    return make_history(cells, wanted, prices)


@pytest.mark.parametrize(
    ("subscription", "invoices", "sentence"),
    [
        (FREE, [], "Free plan. Nothing is charged; usage counts anew on 1 April."),
        (record(), [], "Starter plan. Next charge about $9.42 on 10 April."),
        (record(cancel_at=END), [], "Starter plan until 10 April. Last charge about $0.42."),
        (
            record(cancel_at=END + timedelta(days=300)),
            [],
            "Starter plan until 4 February 2027. Last charge about $9.42.",
        ),
        (
            record(status=SubscriptionStatus.PAST_DUE),
            OWED,
            "Starter plan, payment due. $14.22 is open since 10 March.",
        ),
        (record(status=SubscriptionStatus.UNPAID), OWED, "Starter plan, unpaid. $14.22 is open since 10 March."),
        (record(status=SubscriptionStatus.UNPAID), [], "Starter plan, unpaid."),
        (
            record(status=SubscriptionStatus.CANCELED, ended_at=START),
            [],
            "Starter plan ended on 10 March. The limits of the Free plan apply.",
        ),
    ],
)
def test_first_line_says_how_things_stand(
    subscription: SubscriptionRecord, invoices: list[InvoiceRecord], sentence: str
) -> None:
    assert view(subscription, invoices=invoices).sentence == sentence


def test_open_invoice_usage_and_next_charge_are_three_amounts() -> None:
    amounts = view(record(status=SubscriptionStatus.PAST_DUE), invoices=OWED).amounts
    assert [(fact.label, fact.amount) for fact in amounts] == [
        ("Open invoice", "$14.22"),
        ("Usage so far", "$0.42"),
        ("Paid with", "not known now"),
    ]
    quiet = view(record()).amounts
    assert [(fact.label, fact.amount) for fact in quiet[:2]] == [
        ("Usage so far", "$0.42"),
        ("Next charge, 10 April", "about $9.42"),
    ]


def test_failed_payment_says_how_often_and_when_again() -> None:
    (alert,) = view(record(status=SubscriptionStatus.PAST_DUE), invoices=OWED).alerts
    assert alert.text.startswith("$14.22 could not be charged; it was tried 2 times. The next try is on 24 March.")
    assert view(record()).alerts == []


@pytest.mark.parametrize(
    ("changes", "line", "is_late"),
    [
        ({}, "Usage complete to 14:32:05 UTC, no gaps. Period 10 Mar – 10 Apr.", False),
        (
            {"is_complete": False},
            "Usage complete to 14:32:05 UTC, with gaps, which are never billed. Period 10 Mar – 10 Apr.",
            False,
        ),
        (
            {"as_of": datetime(2026, 3, 21, 23, 0, tzinfo=UTC)},
            "Usage complete to 21 March, 23:00:00 UTC, no gaps. Period 10 Mar – 10 Apr.",
            True,
        ),
    ],
)
def test_as_of_line_tells_how_fresh_and_complete(changes: dict[str, Any], line: str, is_late: bool) -> None:
    shown = view(record(), usage=usage(record(), **changes))
    assert (shown.as_of, shown.is_late) == (line, is_late)


@pytest.mark.parametrize(
    ("used", "fill", "note", "is_over"),
    [
        ("0", "0", "0 % of 100 GB", False),
        ("99.999999", "100", "99 % of 100 GB", False),
        ("100", "100", "100 % of 100 GB", True),
        ("104", "100", "104 % of 100 GB", True),
        ("0.000001", "0", "0 % of 100 GB", False),
    ],
)
def test_meter_fills_to_its_limit_and_no_further(used: str, fill: str, note: str, is_over: bool) -> None:
    bandwidth = view(record(), usage=usage(record(), used)).readings[2]
    assert (bandwidth.fill, bandwidth.note, bandwidth.is_over) == (fill, note, is_over)


def test_unlimited_plan_has_no_bars_and_never_says_minus_one() -> None:
    enterprise = record(plan=SubscriptionPlan.ENTERPRISE, fee_minor=19900)
    shown = view(enterprise, services=(service(),))
    assert all(reading.fill is None for reading in shown.readings)
    assert "-1" not in rendered(shown)


def test_reservations_count_what_is_wished_and_not_held_for_quota() -> None:
    services = (
        service("a"),
        service("b", wish=Wish.STOPPED),
        service("c", holds=frozenset({HoldCause.PAYMENT})),
        service("d", holds=frozenset({HoldCause.QUOTA})),
    )
    readings = view(record(), services=services).readings[:2]
    assert [(reading.quantity, reading.note) for reading in readings] == [
        ("3", "60 % of 5"),
        ("2 GB", "100 % of 2 GB"),
    ]
    assert readings[1].price == "2 of 2 cores reserved"
    assert not any(reading.is_over for reading in readings)


def test_held_service_says_why() -> None:
    held = service(status="held", holds=frozenset({HoldCause.PAYMENT}))
    shown = view(record(), services=(held,), by_service=history(Grain.MONTH)).services
    assert shown is not None
    row = next(row for row in shown.rows if row.name == "web")
    assert (row.status, row.tone, row.why) == ("held", "warn", "Stopped because a payment is due.")


def test_reader_without_services_sees_costs_and_no_status() -> None:
    shown = view(record(), services=None, by_service=history(Grain.MONTH), names={SERVICE_ID: "web"})
    assert [reading.title for reading in shown.readings] == ["Bandwidth", "Storage"]
    assert shown.services is not None
    assert [(row.name, row.status) for row in shown.services.rows] == [("web", None)]


@pytest.mark.parametrize(
    "shown",
    [
        view(FREE),
        view(record(), services=(service(),), invoices=(invoice(status="paid"), invoice(number=None, status="draft"))),
        view(record(status=SubscriptionStatus.PAST_DUE), invoices=OWED),
        view(record(), usage=usage(record(), "250"), organization_id=new_account_id()),
    ],
    ids=["free", "active", "past-due", "over"],
)
def test_page_has_no_script_no_inline_style_and_every_value(shown: OverviewView) -> None:
    page = rendered(shown)
    assert shown.sentence in page
    for forbidden in ("<script", "style=", "onclick", "http://", "None</"):
        assert forbidden not in page.replace("None</p>", "")


def rendered(shown: OverviewView) -> str:
    link = AccountLink(name="ada@example.ch", role="Owner", query="", is_selected=True)
    page = PageLink(title="Overview", path="/billing", is_current=True)
    frame = Frame(
        email="ada@example.ch",
        selected_name="ada",
        role="Owner",
        query="",
        and_query="",
        pages=[page],
        accounts=[link],
        csrf_token="x",
        may_move_money=True,
    )
    renderer = Renderer(WebConfig(public_base_url="https://cloud.example"), ManualClock(NOW))
    request = Request({"type": "http", "headers": [], "query_string": b"", "state": {}})
    return renderer.to_html(request, "overview/overview.html", {"frame": frame, "view": shown})


@pytest.mark.parametrize(
    ("days", "caption"),
    [
        ((2, 1), "$0.42 so far. From the fourth day on, unusual days are named here."),
        ((2, 1, 1, 1, 1), "The usual day costs $0.12; none stands out."),
        ((2, 1, 1, 4, 1), "13 Mar was $0.36 above the usual day, most of it Bandwidth."),
    ],
)
def test_chart_says_what_stands_out(days: Sequence[int], caption: str) -> None:
    now = datetime(2026, 3, 10 + len(days), 9, tzinfo=UTC)
    chart = view(record(), days=history(Grain.DAY, days), voice=Voice(now=now)).chart
    assert chart is not None
    assert chart.caption == caption
    assert len(chart.bars) == len(days) + 1


def test_chart_and_table_of_services_show_the_same_sum() -> None:
    shown = view(record(), days=history(Grain.DAY), by_service=history(Grain.MONTH), names={SERVICE_ID: "web"})
    assert shown.chart is not None
    assert shown.services is not None
    assert sum((sum(bar.parts) for bar in shown.chart.bars), Decimal(0)) == Decimal(36)
    assert (shown.services.rows[0].cost, shown.services.rows[0].share) == ("$0.36", "100 %")


def test_part_that_could_not_be_read_says_so_and_the_page_stands() -> None:
    page = rendered(view(record(), days=None, by_service=None, invoices=None, notices=None, entries=None))
    assert page.count("This part could not be read just now") == 4
    assert "Next charge about $9.42" in page
