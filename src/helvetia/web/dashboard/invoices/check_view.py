"""Our own count beside an invoice's lines of usage: one sentence, and a row for each. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from helvetia.costs.estimate.check_invoice import CheckedLine, InvoiceCheck, Verdict
from helvetia.web.dashboard.usage.words import metric_title, metric_unit
from helvetia.web.dashboard.voice import Voice

_ON_THE_WAY = (Verdict.NOT_AT_STRIPE_YET, Verdict.NOT_COUNTED_YET)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """`difference` is what we count more than the invoice, in quantity and money; `why` None where they are equal.

    `link`: our count of exactly this line's period.
    """

    title: str
    link: str
    period: str
    invoiced: str
    invoiced_amount: str
    counted: str
    counted_amount: str
    difference: str
    difference_amount: str
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """`terms`: what is left out of the comparison, where the invoice has any of it."""

    sentence: str
    terms: str | None
    rows: Sequence[CheckRow]


def to_check_view(
    check: InvoiceCheck,
    currency: str,
    voice: Voice,
    *,
    has_terms: bool,
    link_to: Callable[[CheckedLine], str],
) -> CheckView | None:
    """None where no line bills usage."""
    if not check.is_possible:
        sentence = voice.say("It cannot be compared now: the prices at Stripe have not been read yet.")
        return CheckView(sentence=sentence, terms=None, rows=())
    if not check.lines:
        return None
    terms = voice.say("Discounts, taxes and credits are left out: lines are compared before them.")
    return CheckView(
        sentence=_sentence(check, currency, voice),
        terms=terms if has_terms else None,
        rows=[_row(line, link_to(line), currency, voice) for line in check.lines],
    )


def _sentence(check: InvoiceCheck, currency: str, voice: Voice) -> str:
    different = [one for one in check.lines if one.verdict is not Verdict.EQUAL]
    if not different:
        return voice.many(
            "The line of usage equals our own count to the last digit.",
            "All {count} lines of usage equal our own count to the last digit.",
            len(check.lines),
        )
    more = check.difference_minor
    amount = voice.money(abs(more), currency)
    if all(one.verdict in _ON_THE_WAY for one in different) and more >= 0:
        return voice.say("{amount} of usage is not on this draft yet; it follows before it is final.", amount=amount)
    if more > 0:
        return voice.say("We count {amount} more than this invoice charges.", amount=amount)
    if more < 0:
        return voice.say("We count {amount} less than this invoice charges.", amount=amount)
    return voice.many(
        "{count} line differs from our own count, by nothing in money.",
        "{count} lines differ from our own count, by nothing in money in all.",
        len(different),
    )


def _row(line: CheckedLine, link: str, currency: str, voice: Voice) -> CheckRow:
    unit = metric_unit(line.metric, voice)
    return CheckRow(
        title=metric_title(line.metric, voice),
        link=link,
        period=voice.span(line.period.starts_at, line.period.ends_at),
        invoiced=f"{voice.plain(line.quantity)} {unit}",
        invoiced_amount=voice.money(line.amount_minor, currency),
        counted=f"{voice.plain(line.own_quantity)} {unit}",
        counted_amount=voice.money(line.own_amount_minor, currency),
        difference=f"{voice.plain(line.own_quantity - line.quantity)} {unit}",
        difference_amount=voice.money(line.difference_minor, currency),
        why=_why(line.verdict, voice),
    )


def _why(verdict: Verdict, voice: Voice) -> str | None:
    return {
        Verdict.EQUAL: None,
        Verdict.NOT_AT_STRIPE_YET: voice.say("not yet at Stripe"),
        Verdict.NOT_COUNTED_YET: voice.say("at Stripe, which has not counted it yet"),
        Verdict.REFUSED: voice.say("Stripe refused a report of it; this invoice does not charge it"),
        Verdict.BILLED_SEPARATELY: voice.say("settled by an item on a later invoice"),
        Verdict.WAIVED: voice.say("the operator decided to leave it as it is"),
        Verdict.KNOWN_AFTER_INVOICE: voice.say("known after this invoice was final; not charged by it"),
        Verdict.UNEXPLAINED: voice.say("not explained; the operator is told of it"),
    }[verdict]
