"""Our own count beside an invoice's lines of usage: one sentence, and a row for each. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.costs.estimate.check_invoice import CheckedLine, Verdict
from helvetia.web.dashboard.usage.words import metric_title, metric_unit
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """`difference` is what we count more than the invoice, in quantity and money; `why` None where they are equal."""

    title: str
    period: str
    invoiced: str
    counted: str
    difference: str
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    sentence: str
    rows: Sequence[CheckRow]


def to_check_view(check: Sequence[CheckedLine], currency: str, voice: Voice) -> CheckView | None:
    """None where no line bills usage."""
    if not check:
        return None
    return CheckView(sentence=_sentence(check, currency, voice), rows=[_row(one, currency, voice) for one in check])


def _sentence(check: Sequence[CheckedLine], currency: str, voice: Voice) -> str:
    different = [one for one in check if one.verdict is not Verdict.EQUAL]
    if not different:
        return voice.many(
            "The line of usage equals our own count to the last digit.",
            "All {count} lines of usage equal our own count to the last digit.",
            len(check),
        )
    amount = voice.money(sum(one.own_amount_minor - one.amount_minor for one in different), currency)
    if all(one.verdict is Verdict.NOT_AT_STRIPE_YET for one in different):
        return voice.say("{amount} of usage is not on this draft yet; it follows before it is final.", amount=amount)
    return voice.many(
        "{count} line differs from our own count, by {amount}.",
        "{count} lines differ from our own count, by {amount} in all.",
        len(different),
        amount=amount,
    )


def _row(line: CheckedLine, currency: str, voice: Voice) -> CheckRow:
    unit, more = metric_unit(line.metric, voice), line.own_quantity - line.quantity
    difference = f"{voice.plain(more)} {unit}"
    if more or line.own_amount_minor != line.amount_minor:
        difference = f"{difference}, {voice.money(line.own_amount_minor - line.amount_minor, currency)}"
    return CheckRow(
        title=metric_title(line.metric, voice),
        period=voice.span(line.period.starts_at, line.period.ends_at),
        invoiced=f"{voice.plain(line.quantity)} {unit}",
        counted=f"{voice.plain(line.own_quantity)} {unit}",
        difference=difference,
        why=_why(line.verdict, voice),
    )


def _why(verdict: Verdict, voice: Voice) -> str | None:
    return {
        Verdict.EQUAL: None,
        Verdict.NOT_AT_STRIPE_YET: voice.say("not yet at Stripe"),
        Verdict.KNOWN_AFTER_INVOICE: voice.say("known after this invoice was final; not charged by it"),
        Verdict.UNEXPLAINED: voice.say("not explained; the operator is told of it"),
    }[verdict]
