"""The page on a failed payment, ready for its template: amounts, order of stopping, attempts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.billing.payments.model import PaymentKind
from helvetia.containers.model import HoldCause
from helvetia.enforcement.model import PaymentState, ServiceFacts
from helvetia.kernel.status import SubscriptionStatus
from helvetia.web.dashboard.reasons import reason_words
from helvetia.web.dashboard.suspension.banner import Countdown, countdown, stops_at
from helvetia.web.dashboard.suspension.facts import SuspensionFacts
from helvetia.web.dashboard.suspension.sentences import (
    DatedLine,
    observed,
    overrides,
    promises,
    reason,
    sentence,
    steps,
)
from helvetia.web.dashboard.voice import Voice
from helvetia.web.dashboard.words import hold_words

ATTEMPTS_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """A service in the order of stopping; `place` counts from 1."""

    place: int
    service_id: str
    name: str
    status: str
    tone: str
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    at: str
    amount: str
    method: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFact:
    amount: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspensionView:
    """The page, ready for its template."""

    sentence: str
    reason: str
    needs: bool
    observed: str | None
    countdown: Countdown | None
    open: OpenFact | None
    retry: OpenFact | None
    overrides: Sequence[str]
    pay_label: str | None
    may_update_card: bool
    may_choose_free: bool
    has_ended: bool
    may_order: bool
    order: str
    services: Sequence[OrderRow]
    attempts: Sequence[AttemptRow]
    steps: Sequence[DatedLine]
    promises: Sequence[str]
    was_changed: bool


def to_view(facts: SuspensionFacts, *, was_changed: bool = False) -> SuspensionView:
    """Everything that the page says."""
    found, voice = facts.found, facts.voice
    state, stopping_at = found.verdict.state, stops_at(found.verdict, found.mode, found.at)
    has_ended = state is PaymentState.ENDED or facts.subscription.status is SubscriptionStatus.CANCELED
    return SuspensionView(
        sentence=sentence(facts),
        reason=reason(facts),
        needs=state not in {PaymentState.CURRENT, PaymentState.EXEMPT},
        observed=observed(facts),
        countdown=None if stopping_at is None else countdown(stopping_at, found.at, voice),
        open=_open(facts),
        retry=_retry(facts),
        overrides=overrides(facts),
        pay_label=_pay_label(facts),
        may_update_card=facts.may_pay and facts.subscription.stripe_customer_id is not None,
        may_choose_free=facts.may_pay and state is PaymentState.ENDED,
        has_ended=has_ended,
        may_order=facts.may_order and len(found.services) > 1,
        order=" ".join(str(one.service_id) for one in found.services),
        services=[
            _row(place, one, voice, has_ended=state is PaymentState.ENDED)
            for place, one in enumerate(found.services, start=1)
        ],
        attempts=_attempts(facts),
        steps=steps(found.steps, voice),
        promises=promises(facts),
        was_changed=was_changed,
    )


def _open(facts: SuspensionFacts) -> OpenFact | None:
    if not facts.open_invoices:
        return None
    since = min(invoice.issued_at for invoice in facts.open_invoices)
    numbers = ", ".join(invoice.number or facts.voice.say("draft") for invoice in facts.open_invoices)
    note = facts.voice.say("{numbers}, since {day}", numbers=numbers, day=facts.voice.day(since))
    return OpenFact(amount=facts.money(facts.open_minor), note=note)


def _retry(facts: SuspensionFacts) -> OpenFact | None:
    """When Stripe tries again, and how often it has."""
    voice, tried = facts.voice, max((invoice.attempt_count for invoice in facts.open_invoices), default=0)
    if not tried:
        return None
    coming = [at for one in facts.open_invoices if (at := one.next_payment_attempt_at) and at > facts.found.at]
    note = voice.many("tried once so far", "tried {count} times so far", tried)
    if not coming:
        return OpenFact(amount=voice.say("none planned"), note=note)
    instant = voice.full_instant(min(coming)).partition(", ")
    return OpenFact(amount=instant[0], note=f"{instant[2]}, {note}")


def _pay_label(facts: SuspensionFacts) -> str | None:
    """An unpaid subscription may have drafts that only Stripe knows; the page of paying names the sum then."""
    if not facts.may_pay or facts.subscription.stripe_customer_id is None:
        return None
    if facts.subscription.status is SubscriptionStatus.PAST_DUE and facts.open_minor:
        return facts.voice.say("Pay {amount} now", amount=facts.money(facts.open_minor))
    is_owing = facts.subscription.status is SubscriptionStatus.UNPAID or facts.open_minor > 0
    return facts.voice.say("Pay what is open") if is_owing else None


def _row(place: int, one: ServiceFacts, voice: Voice, *, has_ended: bool) -> OrderRow:
    causes = sorted(HoldCause(cause) for cause in one.causes)
    if causes:
        status, tone = hold_words(causes[0], voice), "warn"
    else:
        status, tone = (voice.say("Runs"), "good") if one.is_wished else (voice.say("Stopped by you"), "")
    if not one.is_wished or causes not in ([], [HoldCause.PAYMENT]):
        then = voice.say("stays stopped")
    else:
        then = voice.say("comes back with a plan") if has_ended else voice.say("comes back when paid")
    return OrderRow(place=place, service_id=str(one.service_id), name=one.name, status=status, tone=tone, then=then)


def _attempts(facts: SuspensionFacts) -> list[AttemptRow]:
    if facts.payments is None:
        return []
    ids = {invoice.stripe_invoice_id for invoice in facts.open_invoices}
    failed = [
        one
        for one in facts.payments.entries
        if one.kind is PaymentKind.FAILED_ATTEMPT and (one.invoice_id is None or one.invoice_id in ids)
    ]
    return [
        AttemptRow(
            at=facts.voice.full_instant(one.happened_at),
            amount=facts.voice.money(one.amount_minor, one.currency),
            method=one.method or "",
            reason=reason_words(one.reason_code, facts.voice) or "",
        )
        for one in failed[:ATTEMPTS_SHOWN]
    ]
