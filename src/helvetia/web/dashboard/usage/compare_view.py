"""The time before beside what is shown: one sentence, and an amount with its difference for each service. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from helvetia.catalogue.prices import CURRENCY
from helvetia.costs.compare import Comparison
from helvetia.kernel.identity import ServiceId
from helvetia.web.dashboard.usage.facts import UsageFacts, to_cents
from helvetia.web.dashboard.usage.words import days_of, exact_cost
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCells:
    """What it cost before, and the difference with the part of the former amount that it is."""

    before: str
    difference: str
    share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareView:
    """`services` by their id; a service that only the time before knows has a row of its own in the table."""

    sentence: str
    services: Mapping[ServiceId, ChangeCells]
    total: ChangeCells


def to_compare_view(facts: UsageFacts) -> CompareView | None:
    """None where nothing is to be compared."""
    found = facts.comparison
    if found is None:
        return None
    return CompareView(
        sentence=_sentence(found, facts),
        services={
            service_id: _cells(one.cost_minor, one.cost_before_minor, facts.voice)
            for service_id, one in found.services.items()
        },
        total=_cells(found.cost_minor, found.cost_before_minor, facts.voice),
    )


def _sentence(found: Comparison, facts: UsageFacts) -> str:
    voice, difference = facts.voice, to_cents(found.difference_minor)
    words = {
        "days": days_of(found.before, facts.utc),
        "before": voice.money(to_cents(found.cost_before_minor), CURRENCY),
        "amount": voice.money(abs(difference), CURRENCY),
    }
    if not found.cost_before_minor:
        told = voice.say("Nothing was used in the time before, {days}.", **words)
    elif difference > 0:
        told = voice.say("{amount} more than in the time before, {days}: that cost {before}.", **words)
    elif difference < 0:
        told = voice.say("{amount} less than in the time before, {days}: that cost {before}.", **words)
    else:
        told = voice.say("As much as in the time before, {days}: that cost {before}.", **words)
    if found.is_complete_before:
        return told
    return told + " " + voice.say("The time before has gaps, in which nothing was counted.")


def _cells(cost_minor: Decimal, before_minor: Decimal, voice: Voice) -> ChangeCells:
    difference = cost_minor - before_minor
    shown = voice.money(to_cents(difference), CURRENCY)
    if before_minor and difference:
        share = voice.say(
            "{share} of {before}",
            share=voice.percent(abs(difference), before_minor),
            before=voice.money(to_cents(before_minor), CURRENCY),
        )
    else:
        share = voice.say("new") if difference and not before_minor else voice.say("unchanged")
    return ChangeCells(
        before=exact_cost(before_minor, to_cents(before_minor), voice),
        difference=f"+{shown}" if to_cents(difference) > 0 else shown,
        share=share,
    )
