"""How things stand and what happens next, in sentences and amounts. Pure.

Three amounts, never one for another: the open invoice, the usage so far, and the next charge.
"""

from dataclasses import dataclass

from helvetia.catalogue.plans import ResourceLimits
from helvetia.kernel.status import SubscriptionStatus
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.voice import Voice

_OWING = frozenset({SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """`pay_label`: the words on the way to paying; None for who may not."""

    title: str
    text: str
    pay_label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    label: str
    amount: str
    note: str


def sentence(facts: OverviewFacts) -> str:
    subscription = facts.subscription
    if subscription.status is SubscriptionStatus.CANCELED:
        ended = "" if subscription.ended_at is None else f" on {facts.day(subscription.ended_at)}"
        return f"{facts.title} plan ended{ended}. The limits of the Free plan apply."
    if not facts.usage.is_charged:
        return f"Free plan. Nothing is charged; usage counts anew on {facts.day(facts.period.ends_at)}."
    if subscription.status in _OWING:
        return _owing_sentence(facts)
    about = f"charge about {facts.money(facts.next_charge_minor)}"
    if subscription.cancel_at is not None:
        return f"{facts.title} plan until {facts.day(subscription.cancel_at)}. Last {about}."
    return f"{facts.title} plan. Next {about} on {facts.day(facts.period.ends_at)}."


def _owing_sentence(facts: OverviewFacts) -> str:
    state = "payment due" if facts.subscription.status is SubscriptionStatus.PAST_DUE else "unpaid"
    if not facts.open_invoices:
        return f"{facts.title} plan, {state}."
    since = min(invoice.issued_at for invoice in facts.open_invoices)
    return f"{facts.title} plan, {state}. {facts.money(facts.open_minor)} is open since {facts.day(since)}."


def alert(facts: OverviewFacts) -> Alert | None:
    if facts.subscription.status not in _OWING:
        return None
    attempts = [invoice for invoice in facts.open_invoices if invoice.attempt_count]
    again = [at for invoice in attempts if (at := invoice.next_payment_attempt_at) is not None]
    number = max((invoice.attempt_count for invoice in attempts), default=0)
    tried = "" if not number else f"It was tried {'once' if number == 1 else f'{number} times'}. "
    plan = f"The next try is on {facts.day(min(again))}." if again else "No further try is planned."
    card = "" if facts.offer is None else "Your new card was not tried yet. "
    return Alert(
        title="Payment failed.",
        text=(
            f"{facts.money(facts.open_minor)} could not be charged. {tried}{card}{plan} "
            "Your data and your usage are kept."
        ),
        pay_label="Pay what is open" if facts.may_pay else None,
    )


def as_of(facts: OverviewFacts) -> str:
    usage = facts.usage
    gaps = "no gaps" if usage.is_complete else "with gaps, which are never billed"
    at = facts.voice.instant(usage.as_of)
    period = f"Period {facts.voice.short_day(facts.period.starts_at)} – {facts.voice.short_day(facts.period.ends_at)}."
    return f"Usage complete to {at}, {gaps}. {period}"


def amounts(facts: OverviewFacts) -> list[Fact]:
    used, fee = facts.usage.usage_minor, facts.next_fee_minor
    since, until = facts.day(facts.period.starts_at), facts.day(facts.period.ends_at)
    if not facts.usage.is_charged:
        return [
            Fact(label="Usage so far", amount=facts.money(used), note=f"since {since} at list prices, not charged"),
            Fact(label="Next charge", amount="None", note="the Free plan has no fee"),
            Fact(label="Plan", amount="Free", note=_limit_words(facts.limits, facts.voice)),
        ]
    sum_words = f"usage {facts.money(used)}" + (f" + {facts.title} {facts.money(fee)}" if fee else "")
    next_charge = Fact(
        label=f"Next charge, {until}", amount=f"about {facts.money(facts.next_charge_minor)}", note=sum_words
    )
    third = Fact(label="Plan", amount=facts.title, note=f"{facts.money(facts.subscription.fee_minor)} a month")
    if facts.open_minor:
        numbers = ", ".join(invoice.number or "draft" for invoice in facts.open_invoices)
        third = Fact(label="Open invoice", amount=facts.money(facts.open_minor), note=numbers)
    return [
        Fact(label="Usage so far", amount=facts.money(used), note=f"since {since}, billed on {until}"),
        next_charge,
        third,
    ]


def _limit_words(limits: ResourceLimits, voice: Voice) -> str:
    services = "1 service" if limits.services_max == 1 else f"{limits.services_max} services"
    return f"{services}, {voice.megabytes(limits.memory_mb_max)}, {voice.plain(limits.cpu_cores_max)} cores"


def no_invoices(facts: OverviewFacts) -> str:
    if facts.usage.is_charged:
        return f"No invoice has arrived from Stripe yet. The next one is due on {facts.day(facts.period.ends_at)}."
    return "The Free plan is not charged, so there are no invoices."
