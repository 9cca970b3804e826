"""Plans, checkout, the portal, and changes of the subscription."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pydantic import JsonValue

from helvetia.billing.errors import (
    AlreadySubscribed,
    CancellationScheduled,
    NothingCharged,
    NothingToResume,
    NotSubscribed,
    PaymentInDoubt,
    PlanNotSold,
    PlanUnchanged,
    PreviewOutdated,
    UnpaidInvoices,
)
from helvetia.billing.open_checkout import CHANGE_ROUTE
from helvetia.billing.plan_change.model import Direction
from helvetia.billing.plan_change.preview_change import CHECKOUT_ROUTE
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.errors import CardDeclined, PricesNotVerified
from helvetia.web.examples.model import (
    MOVING,
    NOT_FITTING,
    PERIOD_END,
    PERIOD_START,
    PREVIEW_ID,
    READING,
    USER_ID,
    Example,
    Examples,
)

_STARTER_LIMITS: JsonValue = {
    "maxServices": 5,
    "maxMemoryMb": 2048,
    "maxCpuCores": "2",
    "maxBandwidthGb": 100,
    "maxStorageGb": 50,
}
_PRO_LIMITS: JsonValue = {
    "maxServices": 20,
    "maxMemoryMb": 8192,
    "maxCpuCores": "8",
    "maxBandwidthGb": 500,
    "maxStorageGb": 200,
}
_SUBSCRIPTION: dict[str, JsonValue] = {
    "id": "01a20585-d00d-7788-a77a-be475ac7dca1",
    "userId": USER_ID,
    "organizationId": None,
    "plan": "PRO",
    "status": "ACTIVE",
    "stripeCustomerId": "cus_TdYusxt5VeQMS5",
    "stripeSubscriptionId": "sub_1TgPzBHv7cXr4KaZmBFNgkjM",
    "currentPeriodStart": PERIOD_START,
    "currentPeriodEnd": PERIOD_END,
    "cancelAt": None,
    "endedAt": None,
    "fee": "29.00",
    "currency": "usd",
    "limits": _PRO_LIMITS,
    "pendingChange": None,
    "asOf": PERIOD_START,
}
_PLANS: JsonValue = {
    "plans": [
        {
            "plan": "STARTER",
            "title": "Starter",
            "fee": "9.00",
            "currency": "usd",
            "isCurrent": False,
            "isSold": True,
            "limits": _STARTER_LIMITS,
            "fits": False,
            "willNotFit": [{"limit": "services", "allowed": "5", "used": "7", "unit": "services"}],
        },
        {
            "plan": "PRO",
            "title": "Pro",
            "fee": "29.00",
            "currency": "usd",
            "isCurrent": True,
            "isSold": True,
            "limits": _PRO_LIMITS,
            "fits": True,
            "willNotFit": [],
        },
    ]
}
_PREVIEW: JsonValue = {
    "previewToken": PREVIEW_ID,
    "plan": "PRO",
    "fromPlan": "STARTER",
    "direction": "upgrade",
    "effectiveAt": PERIOD_START,
    "amountDue": "20.00",
    "total": "20.00",
    "currency": "usd",
    "lines": [
        {"description": "Unused time on Starter after 10 Mar 2026", "amount": "-9.00"},
        {"description": "Remaining time on Pro after 10 Mar 2026", "amount": "29.00"},
    ],
    "nextFee": "29.00",
    "periodEnd": PERIOD_END,
    "validUntil": "2026-03-10T10:47:23Z",
    "willNotFit": [],
}
_CHANGED: JsonValue = {
    "plan": "PRO",
    "direction": "upgrade",
    "state": "applied",
    "effectiveAt": PERIOD_START,
    "charged": "20.00",
    "currency": "usd",
    "confirmUrl": None,
}
_ENDS_AT = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
_NOT_SUBSCRIBED = NotSubscribed(checkout_at=CHECKOUT_ROUTE)
_UNPAID = UnpaidInvoices(subscription_status=SubscriptionStatus.PAST_DUE)
_NEW_PREVIEW = PreviewOutdated(
    preview_token=PREVIEW_ID,
    plan=SubscriptionPlan.PRO,
    direction=Direction.UPGRADE,
    amount_due=Decimal("20.00"),
    currency="usd",
    effective_at=_ENDS_AT - timedelta(days=31),
    valid_until=_ENDS_AT - timedelta(days=31) + timedelta(minutes=30),
    lines=[{"description": "Remaining time on Pro after 10 Mar 2026", "amount": Decimal("20.00")}],
    will_not_fit=[],
)
_DECLINED = CardDeclined(decline_code="insufficient_funds", charged="no", plan=SubscriptionPlan.STARTER)
_SUBSCRIBED = AlreadySubscribed(plan=SubscriptionPlan.STARTER, change_at=CHANGE_ROUTE)

EXAMPLES: Examples = {
    ("GET", "/api/v1/billing/subscription"): Example(answer=_SUBSCRIPTION, problems=READING),
    ("GET", "/api/v1/billing/plans"): Example(answer=_PLANS, problems=READING),
    ("POST", "/api/v1/billing/checkout"): Example(
        request={"plan": "PRO"},
        answer={"sessionId": "cs_test_a1U3S8", "url": "https://checkout.stripe.com/c/pay/cs_test_a1U3S8"},
        problems=(*MOVING, NOT_FITTING, PlanNotSold(), _SUBSCRIBED, NothingCharged(), PricesNotVerified()),
    ),
    ("POST", "/api/v1/billing/portal"): Example(
        request={"flow": "payment_method"},
        answer={"url": "https://billing.stripe.com/p/session/test_YWNjdF8x"},
        problems=(*MOVING, NotSubscribed(), CancellationScheduled(cancel_at=_ENDS_AT), NothingCharged()),
    ),
    ("POST", "/api/v1/billing/subscription/preview"): Example(
        request={"plan": "PRO"},
        answer=_PREVIEW,
        problems=(
            *MOVING,
            *(NOT_FITTING, _UNPAID, _NOT_SUBSCRIBED, PlanUnchanged(plan=SubscriptionPlan.PRO), NothingCharged()),
        ),
    ),
    ("POST", "/api/v1/billing/subscription/change"): Example(
        request={"plan": "PRO", "previewToken": PREVIEW_ID},
        answer=_CHANGED,
        problems=(
            *MOVING,
            *(NOT_FITTING, _DECLINED, _UNPAID, _NEW_PREVIEW, _NOT_SUBSCRIBED, NothingCharged(), PaymentInDoubt()),
        ),
    ),
    ("POST", "/api/v1/billing/subscription/cancel"): Example(
        request={"when": "period_end"},
        answer={**_SUBSCRIPTION, "cancelAt": PERIOD_END},
        problems=(*MOVING, NotSubscribed(), NothingCharged()),
    ),
    ("POST", "/api/v1/billing/subscription/resume"): Example(
        answer=_SUBSCRIPTION, problems=(*MOVING, NothingToResume(), NothingCharged())
    ),
}
