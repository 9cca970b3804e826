"""What Stripe's subscriptions mean for an account: one table of statuses, and pure functions of what was read.

| Stripe's status    | ours       | why                                                                        |
|--------------------|------------|----------------------------------------------------------------------------|
| active             | ACTIVE     | paid, or nothing due                                                       |
| trialing           | ACTIVE     | the plan is granted before the first payment                               |
| past_due           | PAST_DUE   | the latest invoice is not paid; retries go on, the grace period runs       |
| unpaid             | UNPAID     | retries are exhausted; paying the latest invoice brings it back            |
| paused             | UNPAID     | nobody pays until it is resumed; nothing runs meanwhile, data is kept      |
| canceled           | CANCELED   | over for good                                                              |
| incomplete         | no say     | the first payment is pending: grants nothing, takes nothing away           |
| incomplete_expired | no say     | it never began                                                             |
| any other word     | unchanged  | neither granted nor taken away; flagged for the operator                   |

The account listens to its newest live subscription, else to the one that ended last.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.model import Invoice, Subscription, SubscriptionItem
from helvetia.subscriptions.model import (
    BillingPeriod,
    PlanIndex,
    SubscriptionRecord,
    SubscriptionState,
    unsubscribed_period,
)

CANCELED = "canceled"
STATUS_TABLE: Mapping[str, SubscriptionStatus] = {
    "active": SubscriptionStatus.ACTIVE,
    "trialing": SubscriptionStatus.ACTIVE,
    "past_due": SubscriptionStatus.PAST_DUE,
    "unpaid": SubscriptionStatus.UNPAID,
    "paused": SubscriptionStatus.UNPAID,
    CANCELED: SubscriptionStatus.CANCELED,
}
WITHOUT_SAY = frozenset({"incomplete", "incomplete_expired"})
_PLAN_ORDER = tuple(SubscriptionPlan)


def speaking(subscriptions: Iterable[Subscription]) -> list[Subscription]:
    """Those that say something about the account; the one it listens to comes first."""
    with_say = [subscription for subscription in subscriptions if subscription.status not in WITHOUT_SAY]
    live = [subscription for subscription in with_say if subscription.status != CANCELED]
    ended = [subscription for subscription in with_say if subscription.status == CANCELED]
    live.sort(key=lambda subscription: subscription.created_at, reverse=True)
    ended.sort(key=lambda subscription: subscription.ended_at or subscription.created_at, reverse=True)
    return live + ended


def find_plan(items: Sequence[SubscriptionItem], index: PlanIndex) -> SubscriptionPlan | None:
    """The plan of all items: by price id, then by product, then by their metadata; of several, the highest."""
    by_price = [index.by_price[item.price_id] for item in items if item.price_id in index.by_price]
    by_product = [index.by_product[item.product_id] for item in items if item.product_id in index.by_product]
    hinted = [plan for item in items if (plan := read_plan_hint(item.plan_hint)) is not None]
    found = by_price or by_product or hinted
    return max(found, key=_PLAN_ORDER.index) if found else None


def read_plan_hint(hint: str | None) -> SubscriptionPlan | None:
    """The plan that a `plan` metadata names, in any case; None when it names none of ours."""
    word = (hint or "").strip().upper()
    return SubscriptionPlan(word) if word in SubscriptionPlan.__members__ else None


def main_item(items: Sequence[SubscriptionItem]) -> SubscriptionItem | None:
    """The item whose period is the account's: the first fixed one, else the first."""
    fixed = [item for item in items if not item.is_metered]
    return next(iter(fixed or items), None)


def fee_minor(items: Iterable[SubscriptionItem]) -> int:
    """What the fixed items cost a period, in minor units."""
    return sum(int((item.unit_price_minor or 0) * item.quantity) for item in items if not item.is_metered)


def derive_state(
    former: SubscriptionRecord, subscriptions: Sequence[Subscription], plans: PlanIndex, now: datetime
) -> SubscriptionState:
    """What these subscriptions mean for the account; what they leave open stays as it was."""
    said = speaking(subscriptions)
    if not said:
        return _unchanged(former, subscriptions, now)
    chosen = said[0]
    item = main_item(chosen.items)
    known_status = STATUS_TABLE.get(chosen.status)
    plan = find_plan(chosen.items, plans)
    is_over = known_status is SubscriptionStatus.CANCELED
    return SubscriptionState(
        stripe_subscription_id=chosen.subscription_id,
        stripe_status=chosen.status,
        plan=plan or former.plan,
        status=known_status or former.status,
        period=unsubscribed_period(now, chosen.ended_at) if is_over or item is None else item.period,
        started_at=chosen.started_at,
        cancel_at=None if is_over else chosen.cancel_at,
        ended_at=chosen.ended_at if is_over else None,
        fee_minor=0 if is_over else fee_minor(chosen.items),
        currency=chosen.currency,
        plan_problem="; ".join(_problems(said, known_status, plan)) or None,
    )


def _problems(
    said: Sequence[Subscription], status: SubscriptionStatus | None, plan: SubscriptionPlan | None
) -> list[str]:
    chosen, problems = said[0], []
    if status is None:
        problems.append(f"the status {chosen.status} of {chosen.subscription_id} is not known")
    if plan is None:
        prices = ", ".join(item.price_id for item in chosen.items)
        problems.append(f"no plan is known for the prices of {chosen.subscription_id}: {prices}")
    others = [subscription.subscription_id for subscription in said[1:] if subscription.status != CANCELED]
    if others:
        problems.append(f"more than one subscription lives: {chosen.subscription_id}, {', '.join(others)}")
    return problems


def _unchanged(former: SubscriptionRecord, subscriptions: Sequence[Subscription], now: datetime) -> SubscriptionState:
    problem = None
    if former.stripe_subscription_id is not None and former.status is not SubscriptionStatus.CANCELED:
        problem = f"Stripe no longer lists {former.stripe_subscription_id}"
    return SubscriptionState(
        stripe_subscription_id=former.stripe_subscription_id,
        stripe_status=subscriptions[0].status if subscriptions else former.stripe_status,
        plan=former.plan,
        status=former.status,
        period=former.period_at(now),
        started_at=former.started_at,
        cancel_at=former.cancel_at,
        ended_at=former.ended_at,
        fee_minor=former.fee_minor,
        currency=former.currency,
        plan_problem=problem,
    )


def running_period(account_id: AccountId, subscription: Subscription, plan: SubscriptionPlan) -> BillingPeriod | None:
    """The period its items are in, cut at its end; None when nothing of it was lived."""
    item = main_item(subscription.items)
    if item is None:
        return None
    ended_at = subscription.ended_at or item.period.ends_at
    if ended_at <= item.period.starts_at:
        return None
    period = Period(starts_at=item.period.starts_at, ends_at=min(item.period.ends_at, ended_at))
    return _billing_period(account_id, subscription, plan, period)


def earlier_periods(
    account_id: AccountId, subscription: Subscription, plan: SubscriptionPlan, invoices: Iterable[Invoice]
) -> list[BillingPeriod]:
    """Past periods, from the invoices that close them: of a cycle, or of a change that reset the anchor."""
    metered_ids = {item.price_id for item in subscription.items if item.is_metered}
    return [
        _billing_period(account_id, subscription, plan, Period(starts_at=starts_at, ends_at=ends_at))
        for invoice in invoices
        if invoice.subscription_id == subscription.subscription_id
        for starts_at, ends_at in _closed_range(invoice, metered_ids)
        if starts_at < ends_at
    ]


def _closed_range(invoice: Invoice, metered_ids: Collection[str]) -> list[tuple[datetime, datetime]]:
    """What an invoice looks back on: one of a cycle always on a period; one of a change only if it bills usage of it,
    or the fee of the period that follows. Other changes bill prorations alone.
    """
    if invoice.billing_reason == "subscription_cycle":
        return [(invoice.starts_at, invoice.ends_at)]
    if invoice.billing_reason != "subscription_update":
        return []
    usage = [(line.starts_at, line.ends_at) for line in invoice.lines if line.price_id in metered_ids]
    is_reset = any(not line.is_proration and line.starts_at == invoice.ends_at for line in invoice.lines)
    return usage[:1] or ([(invoice.starts_at, invoice.ends_at)] if is_reset else [])


def _billing_period(
    account_id: AccountId, subscription: Subscription, plan: SubscriptionPlan, period: Period
) -> BillingPeriod:
    return BillingPeriod(
        account_id=account_id,
        period=period,
        stripe_subscription_id=subscription.subscription_id,
        stripe_customer_id=subscription.customer_id,
        plan=plan,
    )


def is_covered(starts_at: datetime, ends_at: datetime, periods: Iterable[Period]) -> bool:
    """Whether the periods leave no moment of [starts_at, ends_at) out."""
    reached_at = starts_at
    for period in sorted(periods):
        if reached_at >= ends_at or period.starts_at > reached_at:
            break
        reached_at = max(reached_at, period.ends_at)
    return reached_at >= ends_at


def boundaries(subscriptions: Iterable[Subscription], periods: Iterable[BillingPeriod]) -> dict[datetime, str]:
    """Every instant at which usage must be cut, and why; future ends included, so that they are cut in time."""
    cuts: dict[datetime, str] = {}
    for known in periods:
        cuts[known.period.starts_at] = "billing period starts"
        cuts[known.period.ends_at] = "billing period ends"
    for subscription in subscriptions:
        cuts[subscription.started_at] = "subscription starts"
        if subscription.cancel_at is not None:
            cuts[subscription.cancel_at] = "subscription is to end"
        if subscription.ended_at is not None:
            cuts[subscription.ended_at] = "subscription ended"
    return cuts
