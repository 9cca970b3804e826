"""What an account is told, and when: notices with due times, from facts alone. Pure.

A failure is told at once and after one, three and five days, and a day before services are held. The keys carry the
beginning of the failure, so a notice is written once however often a pass looks, and a second failure has its own.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from helvetia.catalogue.plans import PLANS
from helvetia.enforcement.model import AccountFacts, PaymentState, QuotaUse, Verdict
from helvetia.enforcement.policy import NOTICE_DAYS, reached_marks
from helvetia.kernel.clock import to_unix_s
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import BYTES_PER_GB
from helvetia.notifications.model import Notice, NoticeKind

DAY = timedelta(days=1)
_TELLING = frozenset({PaymentState.GRACE, PaymentState.LOCKED})


def failure_series(failed_at: datetime) -> str:
    return f"failure:{to_unix_s(failed_at)}"


def failure_notices(facts: AccountFacts, verdict: Verdict) -> Sequence[Notice]:
    """The notices of the failure that runs; none where nothing is threatened."""
    failed_at, hold_at = facts.first_failed_at, verdict.hold_due_at
    if verdict.state not in _TELLING or failed_at is None or hold_at is None:
        return ()
    last_at = hold_at - DAY
    days = [failed_at + day * DAY for day in NOTICE_DAYS[:-1]]
    dues = [(at, f"day-{(at - failed_at).days}") for at in days if at < last_at]
    series = failure_series(failed_at)
    figures = {"failed_at": failed_at.isoformat(), "held_at": hold_at.isoformat()}
    return [
        Notice(
            account_id=facts.account_id,
            key=f"{series}:{name}",
            series=series,
            kind=_kind(name),
            due_at=at,
            figures=figures,
        )
        for at, name in [*dues, (last_at, "last-day")]
    ]


def _kind(name: str) -> NoticeKind:
    known = {"day-0": NoticeKind.PAYMENT_FAILED, "last-day": NoticeKind.PAYMENT_LAST_DAY}
    return known.get(name, NoticeKind.PAYMENT_REMINDER)


def held_notice(account_id: AccountId, verdict: Verdict, *, at: datetime) -> Notice:
    """Services were stopped now."""
    return _now(account_id, NoticeKind.SERVICES_HELD, at, placed_at=at.isoformat(), reason=verdict.reason)


def resumed_notice(account_id: AccountId, *, at: datetime) -> Notice:
    """Services came back now."""
    return _now(account_id, NoticeKind.SERVICES_RESUMED, at, resumed_at=at.isoformat())


def _now(account_id: AccountId, kind: NoticeKind, at: datetime, **figures: str) -> Notice:
    key = f"{kind.value}:{at.isoformat()}"
    return Notice(account_id=account_id, key=key, series=key, kind=kind, due_at=at, figures=figures)


def limit_notices(facts: AccountFacts, use: QuotaUse, period: Period, *, at: datetime) -> Sequence[Notice]:
    """80, 90 and 100 % of bandwidth or storage, each once a period; of several at once the highest."""
    plan = facts.effective_plan
    limits = PLANS[plan].limits
    sizes = {
        "bandwidth": (use.bandwidth_bytes, limits.bandwidth_gb_max),
        "storage": (use.storage_bytes, limits.storage_gb_max),
    }
    notices = []
    for resource, percent in reached_marks(limits, use).items():
        used_bytes, allowed_gb = sizes[resource]
        series = f"limit:{resource}:{plan.value}:{to_unix_s(period.starts_at)}"
        figures = {
            "percent": str(percent),
            "resource": resource,
            "plan": PLANS[plan].title,
            "used": str(Decimal(used_bytes * 100 // BYTES_PER_GB).scaleb(-2)),
            "allowed": str(allowed_gb),
        }
        notices.append(
            Notice(
                account_id=facts.account_id,
                key=f"{series}:{percent}",
                series=series,
                kind=NoticeKind.LIMIT_REACHED,
                due_at=at,
                figures=figures,
            )
        )
    return notices
