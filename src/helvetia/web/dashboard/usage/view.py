"""The usage explorer, ready for its template: sentence, totals, drawings, services, gaps. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from helvetia.catalogue.plans import UNLIMITED
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.model import Grain
from helvetia.metering.model import UsageGap
from helvetia.web.dashboard.charts.rising_line import RisingLine
from helvetia.web.dashboard.charts.stacked_bars import StackedBars
from helvetia.web.dashboard.usage.changes.view import ChangesView, to_changes_view
from helvetia.web.dashboard.usage.charts import cost_chart, rising_chart
from helvetia.web.dashboard.usage.compare_view import ChangeCells, CompareView, to_compare_view
from helvetia.web.dashboard.usage.facts import (
    NOTHING,
    Sum,
    UsageFacts,
    amount_minor,
    buckets,
    by_metric,
    by_service,
    cost_of,
    to_cents,
)
from helvetia.web.dashboard.usage.filters import FilterView, to_filters
from helvetia.web.dashboard.usage.query import export_href, href
from helvetia.web.dashboard.usage.words import (
    days_of,
    exact_cost,
    exact_quantity,
    gap_words,
    metric_title,
    metric_unit,
    per_unit,
)
from helvetia.web.dashboard.words import late_words

EXPLORER, SERVICES, WHY, LIVE = (
    "/billing/usage",
    "/billing/usage/services",
    "/billing/usage/why",
    "/billing/usage/live",
)
GAPS_SHOWN = 10
_FULL = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalView:
    """A metric over the range; `fill` in percent of the plan's limit, None where no limit applies here."""

    title: str
    quantity: str
    unit: str
    cost: str
    price: str
    why: str
    fill: str | None
    is_over: bool
    limit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLine:
    """A service's row; `share` in percent of all cost, for the bar and in words."""

    name: str
    href: str | None
    quantities: Sequence[str]
    cost: str
    share: str
    share_words: str
    change: ChangeCells | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTable:
    """`heads`: title with unit; `prices`: of one unit; one of both for each metric shown."""

    heads: Sequence[str]
    prices: Sequence[str]
    lines: Sequence[ServiceLine]
    total: ServiceLine


@dataclass(frozen=True, slots=True, kw_only=True)
class GapLine:
    when: str
    service: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerView:
    """The page; `live_href` is None where nothing can change any more, `too_many` where a shorter range is needed."""

    sentence: str
    as_of: str
    compared: str | None
    is_late: bool
    filters: FilterView
    totals: Sequence[TotalView]
    chart: StackedBars | None
    line: RisingLine | None
    services: ServiceTable | None
    changes: ChangesView | None
    gaps: Sequence[GapLine]
    more_gaps: int
    rounding: str
    csv_href: str
    json_href: str
    live_href: str | None
    too_many: bool
    is_empty: bool


def to_view(facts: UsageFacts) -> ExplorerView:
    """Everything that the page says."""
    found = buckets(facts)
    wanted = facts.query.to_filter(facts.period)
    gaps, compared = facts.totals.gaps, to_compare_view(facts)
    is_empty = not facts.blocks
    return ExplorerView(
        sentence=sentence(facts),
        as_of=as_of(facts),
        compared=None if compared is None else compared.sentence,
        is_late=facts.is_late,
        filters=to_filters(facts, EXPLORER),
        totals=totals(facts),
        chart=None if is_empty else cost_chart(facts, found, EXPLORER),
        line=None if is_empty else rising_chart(facts, found),
        services=None if is_empty else service_table(facts, compared),
        changes=to_changes_view(facts, SERVICES),
        gaps=[gap_line(gap, facts) for gap in gaps[:GAPS_SHOWN]],
        more_gaps=max(0, len(gaps) - GAPS_SHOWN),
        rounding=rounding(facts),
        csv_href=export_href(wanted, "csv", facts.query.organization),
        json_href=export_href(wanted, "json", facts.query.organization),
        live_href=facts.query.href(LIVE, after=facts.mark) if facts.voice.now < facts.period.ends_at else None,
        too_many=facts.history is None,
        is_empty=is_empty,
    )


def sentence(facts: UsageFacts) -> str:
    """How much, of what, in which time."""
    voice, days = facts.voice, days_of(facts.period, facts.utc)
    if facts.history is None:
        return voice.say("Too much to show at once.")
    amount = voice.money(billed_minor(facts), "usd")
    since = facts.utc.day(facts.period.starts_at)
    is_going_on = facts.voice.now < facts.period.ends_at
    if not facts.blocks:
        return (
            voice.say("Nothing used since {day}.", day=since)
            if is_going_on
            else voice.say("Nothing used, {days}.", days=days)
        )
    if is_going_on:
        return voice.say("{amount} of usage since {day}.", amount=amount, day=since)
    return voice.say("{amount} of usage, {days}.", amount=amount, days=days)


def billed_minor(facts: UsageFacts) -> int:
    """The lines of an invoice over this range, each rounded once."""
    return sum(amount_minor(facts, metric) for metric in by_metric(facts))


def as_of(facts: UsageFacts) -> str:
    """How fresh and how complete; and of which days."""
    voice, found = facts.voice, facts.totals
    count = len(found.gaps)
    gaps = (
        voice.say("no gaps")
        if found.is_complete
        else voice.many("{count} gap, which is never billed", "{count} gaps, which are never billed", count)
    )
    days = _range_words(facts)
    if found.is_closed and voice.now >= facts.period.ends_at:
        fresh = voice.say("Counted for good, {gaps}.", gaps=gaps)
    elif found.as_of is None:
        fresh = voice.say("Nothing runs at the moment, {gaps}.", gaps=gaps)
    else:
        fresh = voice.say("Complete to {at}, {gaps}.", at=voice.instant(min(found.as_of, facts.until)), gaps=gaps)
    return f"{fresh} {days}{late_words(facts.late_hosts, voice)}"


def _range_words(facts: UsageFacts) -> str:
    """Of which days; of a range to the second, its instants, so that nobody takes it for whole days."""
    exact, utc = facts.query.exact, facts.utc
    if exact is None:
        return facts.voice.say("Days are UTC: {days}.", days=days_of(facts.period, utc))
    start, end = (f"{utc.short_day(at)}, {at:%H:%M:%S}" for at in (exact.starts_at, exact.ends_at))
    return facts.voice.say("Exactly from {start} to {end} UTC, as on an invoice.", start=start, end=end)


def totals(facts: UsageFacts) -> list[TotalView]:
    if facts.history is None:
        return []
    voice, view = facts.voice, []
    for total in facts.history.totals:
        limit = facts.limits.bandwidth_gb_max if total.metric is UsageMetric.BANDWIDTH_GB else UNLIMITED
        is_limited = limit != UNLIMITED and facts.is_billing_period and facts.query.service_id is None
        share = total.quantity / limit if is_limited else None
        view.append(
            TotalView(
                title=metric_title(total.metric, voice),
                quantity=exact_quantity(total.quantity, voice),
                unit=metric_unit(total.metric, voice),
                cost=exact_cost(total.cost_minor, amount_minor(facts, total.metric), voice),
                price=per_unit(total, voice),
                why=facts.query.href(WHY, metric=total.metric.value),
                fill=None if share is None else percent_words(share),
                is_over=share is not None and share >= 1,
                limit=None
                if share is None
                else voice.say(
                    "{share} of {limit} GB",
                    share=voice.percent(total.quantity, Decimal(limit)),
                    limit=voice.plain(Decimal(limit)),
                ),
            )
        )
    return view


def service_table(facts: UsageFacts, compared: CompareView | None) -> ServiceTable | None:
    if facts.history is None:
        return None
    voice, metrics, of_all = facts.voice, facts.query.metrics, by_metric(facts)
    whole, changes = cost_of(of_all), {} if compared is None else compared.services
    total = line_of(facts, of_all, whole, voice.say("All services"), None, billed_minor(facts))
    found = by_service(facts)
    gone: Mapping[ServiceId, Mapping[UsageMetric, Sum]] = {
        service_id: {} for service_id in changes if service_id not in found
    }
    return ServiceTable(
        heads=[f"{metric_title(metric, voice)} {metric_unit(metric, voice)}" for metric in metrics],
        prices=[per_unit(one, voice) for one in facts.history.totals],
        lines=[
            replace(
                line_of(facts, sums, whole, _name(facts, service_id), _service_href(facts, service_id), None),
                change=changes.get(service_id),
            )
            for service_id, sums in {**found, **gone}.items()
        ],
        total=total if compared is None else replace(total, change=compared.total),
    )


def line_of(
    facts: UsageFacts,
    sums: Mapping[UsageMetric, Sum],
    whole: Decimal,
    name: str,
    href: str | None,
    billed: int | None,
) -> ServiceLine:
    """`billed` in place of the cost in cents, where the invoice's rounding applies."""
    voice, cost = facts.voice, cost_of(sums)
    return ServiceLine(
        name=name,
        href=href,
        quantities=[exact_quantity(sums.get(metric, NOTHING).quantity, voice) for metric in facts.query.metrics],
        cost=exact_cost(cost, to_cents(cost) if billed is None else billed, voice),
        share=percent_words(cost / whole) if whole else "0",
        share_words=voice.percent(cost, whole) if whole else "0 %",
    )


def rounding(facts: UsageFacts) -> str:
    """Why rows in cents may not add up to the total in cents."""
    exact = facts.exact_money(cost_of(by_metric(facts)))
    return facts.voice.say(
        "The exact sum is {exact}. Rows are shown in whole cents; each metric is rounded once, as on the invoice.",
        exact=exact,
    )


def gap_line(gap: UsageGap, facts: UsageFacts) -> GapLine:
    voice = facts.voice
    return GapLine(
        when=f"{voice.full_instant(gap.starts_at)} – {voice.full_instant(gap.ends_at)}",
        service=facts.names.get(gap.service_id, ""),
        why=gap_words(gap, voice),
    )


def percent_words(share: Decimal) -> str:
    """A share as percent of a drawing, 0 to 100."""
    return f"{round(min(_FULL, max(Decimal(0), share * 100)), 2):f}"


def _name(facts: UsageFacts, service_id: ServiceId) -> str:
    return facts.names.get(service_id, "") or str(service_id)


def _service_href(facts: UsageFacts, service_id: ServiceId) -> str:
    told = facts.query.parameters()
    told.pop("service", None)
    if facts.grain is Grain.HOUR:
        told["grain"] = Grain.HOUR.value
    return href(f"{SERVICES}/{service_id}", told)
