"""One service, ready for its template: its figures, and the lives of its containers as bars and rows. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from helvetia.kernel.clock import from_ns
from helvetia.metering.history.model import ServiceRun
from helvetia.web.dashboard.charts.lifelines import Life, Lifelines, draw_lifelines
from helvetia.web.dashboard.charts.rising_line import RisingLine
from helvetia.web.dashboard.charts.stacked_bars import StackedBars
from helvetia.web.dashboard.usage.changes.view import ChangesView, to_changes_view
from helvetia.web.dashboard.usage.charts import axis_days, cost_chart, rising_chart
from helvetia.web.dashboard.usage.facts import UsageFacts, buckets
from helvetia.web.dashboard.usage.filters import FilterView, to_filters
from helvetia.web.dashboard.usage.query import export_href
from helvetia.web.dashboard.usage.view import (
    EXPLORER,
    GAPS_SHOWN,
    SERVICES,
    GapLine,
    TotalView,
    as_of,
    gap_line,
    rounding,
    sentence,
    totals,
)

LIVES_DRAWN = 40
_ID_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A start of a container; `end` says how it ended, or that it runs."""

    container: str
    node: str
    started: str
    finished: str
    restarts: str
    end: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    name: str
    sentence: str
    as_of: str
    is_late: bool
    filters: FilterView
    totals: Sequence[TotalView]
    chart: StackedBars | None
    line: RisingLine | None
    changes: ChangesView | None
    lives: Lifelines | None
    runs: Sequence[RunLine]
    gaps: Sequence[GapLine]
    more_gaps: int
    rounding: str
    csv_href: str
    json_href: str
    explorer_href: str
    is_empty: bool


def to_service_view(facts: UsageFacts, runs: Sequence[ServiceRun]) -> ServiceView:
    """Everything that the page says; `facts` are of one service."""
    found, service_id = buckets(facts), facts.query.service_id
    path = f"{SERVICES}/{service_id}"
    wanted = facts.query.to_filter(facts.period)
    is_empty = not facts.blocks
    return ServiceView(
        name="" if service_id is None else facts.names.get(service_id, "") or str(service_id),
        sentence=sentence(facts),
        as_of=as_of(facts),
        is_late=facts.is_late,
        filters=to_filters(facts, path, with_services=False),
        totals=totals(facts),
        chart=None if is_empty else cost_chart(facts, found, path),
        line=None if is_empty else rising_chart(facts, found),
        changes=to_changes_view(facts, SERVICES),
        lives=_lives(facts, runs) if runs else None,
        runs=[run_line(run, facts) for run in runs],
        gaps=[gap_line(gap, facts) for gap in facts.totals.gaps[:GAPS_SHOWN]],
        more_gaps=max(0, len(facts.totals.gaps) - GAPS_SHOWN),
        rounding=rounding(facts),
        csv_href=export_href(wanted, "csv", facts.query.organization),
        json_href=export_href(wanted, "json", facts.query.organization),
        explorer_href=facts.query.href(EXPLORER),
        is_empty=is_empty,
    )


def run_line(run: ServiceRun, facts: UsageFacts) -> RunLine:
    voice = facts.voice
    if run.finished_ns is None:
        end, tone = voice.say("Running"), "good"
    elif run.vanished:
        end, tone = voice.say("Its end was not seen; counted until it was last seen"), "warn"
    elif run.oom_killed:
        end, tone = voice.say("Ended for want of memory"), "bad"
    elif run.exit_code:
        end, tone = voice.say("Ended with code {code}", code=run.exit_code), "warn"
    else:
        end, tone = voice.say("Ended"), ""
    return RunLine(
        container=run.container_id[:_ID_SHOWN],
        node=run.node,
        started=voice.full_instant(from_ns(run.started_ns)),
        finished="–" if run.finished_ns is None else voice.full_instant(from_ns(run.finished_ns)),
        restarts=str(run.restart_count),
        end=end,
        tone=tone,
    )


def _lives(facts: UsageFacts, runs: Sequence[ServiceRun]) -> Lifelines:
    voice, count = facts.voice, len(runs)
    running = sum(run.finished_ns is None for run in runs)
    started = voice.many("{count} container lived in this time", "{count} containers lived in this time", count)
    caption = voice.many("{started}; {count} runs now.", "{started}; {count} run now.", running, started=started)
    return draw_lifelines(
        [Life(started_at=from_ns(run.started_ns), finished_at=_finished_at(run)) for run in runs[:LIVES_DRAWN]],
        starts_at=facts.period.starts_at,
        ends_at=facts.period.ends_at,
        now=voice.now,
        name=voice.say("Lives of its containers"),
        caption=caption,
        labels=axis_days(facts, buckets(facts)),
    )


def _finished_at(run: ServiceRun) -> datetime | None:
    return None if run.finished_ns is None else from_ns(run.finished_ns)
