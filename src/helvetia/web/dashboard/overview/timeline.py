"""The last things that happened with an account's billing, from our own records, newest first. Pure.

Notices tell of failures, holds, limits and plans; invoices of what was issued and paid; the audit record of decisions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from helvetia.audit.model import AuditEntry
from helvetia.billing.model import InvoiceRecord
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.notifications.model import NoticeKind, Notification
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.voice import Voice

EVENTS_SHOWN = 10
ACTIONS = (
    "billing.payment_failed",
    "billing.change_scheduled",
    "billing.change_declined",
    "billing.change_undone",
    "billing.cancel_planned",
    "billing.cancelled_now",
    "billing.resumed",
    "free_chosen",
    "operator_hold",
    "operator_release",
    "override_added",
    "overrides_revoked",
    "stop_order_set",
)
_TOLD_BY_INVOICES = frozenset({NoticeKind.INVOICE_READY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    happened_at: datetime
    text: str
    amount: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    at: str
    text: str
    amount: str | None


def timeline(facts: OverviewFacts) -> list[EventRow]:
    """The newest of all; what could not be read is missing, and the rest stands."""
    events = [
        *_of_invoices(facts),
        *(event for notice in facts.notices or () if (event := _of_notice(notice, facts.voice)) is not None),
        *(event for entry in facts.entries or () if (event := _of_entry(entry, facts)) is not None),
    ]
    events.sort(key=lambda event: event.happened_at, reverse=True)
    return [
        EventRow(at=facts.voice.full_instant(one.happened_at), text=one.text, amount=one.amount)
        for one in events[:EVENTS_SHOWN]
    ]


def _of_invoices(facts: OverviewFacts) -> Iterator[Event]:
    for invoice in facts.invoices or ():
        number, amount = _number(invoice, facts.voice), facts.voice.money(invoice.total_minor, invoice.currency)
        if invoice.paid_at is not None:
            paid = facts.voice.say("Invoice {number} was paid.", number=number)
            yield Event(happened_at=invoice.paid_at, text=paid, amount=amount)
        if invoice.finalized_at is not None:
            issued = facts.voice.say("Invoice {number} was issued.", number=number)
            yield Event(happened_at=invoice.finalized_at, text=issued, amount=amount)


def _number(invoice: InvoiceRecord, voice: Voice) -> str:
    return invoice.number or voice.say("draft")


def notice_words(kind: NoticeKind, figures: Mapping[str, str], voice: Voice) -> str:
    """What a notice tells, in one sentence."""
    resource = {"bandwidth": voice.say("bandwidth"), "storage": voice.say("storage")}
    values = {
        "percent": figures.get("percent", ""),
        "resource": resource.get(figures.get("resource", ""), figures.get("resource", "")),
        "plan": figures.get("plan", ""),
        "former": figures.get("former", ""),
        "number": figures.get("number", ""),
        "expires": figures.get("expires", ""),
    }
    return {
        NoticeKind.PAYMENT_FAILED: voice.say("A payment failed."),
        NoticeKind.PAYMENT_REMINDER: voice.say("Reminder of the open payment."),
        NoticeKind.PAYMENT_LAST_DAY: voice.say("Last reminder of the open payment."),
        NoticeKind.SERVICES_HELD: voice.say("Services were stopped."),
        NoticeKind.SERVICES_RESUMED: voice.say("Services came back."),
        NoticeKind.LIMIT_REACHED: voice.say("{percent} % of the {resource} is used.", **values),
        NoticeKind.INVOICE_READY: voice.say("Invoice {number} is ready.", **values),
        NoticeKind.PLAN_CHANGED: voice.say("The plan changed from {former} to {plan}.", **values),
        NoticeKind.CARD_EXPIRING: voice.say("The card expires at the end of {expires}.", **values),
    }[kind]


def _of_notice(notice: Notification, voice: Voice) -> Event | None:
    kind = NoticeKind(notice.kind)
    if kind in _TOLD_BY_INVOICES or notice.state in {"superseded", "cancelled"}:
        return None
    happened_at = notice.sent_at or notice.due_at
    return Event(happened_at=happened_at, text=notice_words(kind, notice.figures, voice))


def _of_entry(entry: AuditEntry, facts: OverviewFacts) -> Event | None:
    words = _entry_words(entry, facts.voice).get(entry.action)
    amount = entry.detail.get("amount_minor") if entry.action == "billing.payment_failed" else None
    if words is None:
        return None
    said = None if not isinstance(amount, int) else facts.money(amount)
    return Event(happened_at=entry.recorded_at, text=words, amount=said)


def _entry_words(entry: AuditEntry, voice: Voice) -> Mapping[str, str]:
    target = str(entry.detail.get("to", ""))
    plan = PLANS[SubscriptionPlan(target)].title if target in set(SubscriptionPlan) else target
    return {
        "billing.payment_failed": voice.say("A payment by hand was declined."),
        "billing.change_scheduled": voice.say("A move to {plan} was planned.", plan=plan),
        "billing.change_declined": voice.say("A move to {plan} was not paid, so nothing changed.", plan=plan),
        "billing.change_undone": voice.say("The planned move to {plan} was taken back.", plan=plan),
        "billing.cancel_planned": voice.say("The end of the subscription was planned."),
        "billing.cancelled_now": voice.say("The subscription was ended."),
        "billing.resumed": voice.say("What was planned for the subscription was taken back."),
        "free_chosen": voice.say("The Free plan was chosen."),
        "operator_hold": voice.say("The operator stopped the services."),
        "operator_release": voice.say("The operator let the services go on."),
        "override_added": voice.say("The operator gave more time."),
        "overrides_revoked": voice.say("The operator took the additional time back."),
        "stop_order_set": voice.say("The order of stopping was set."),
    }
