"""The words of usage: metrics, units, figures with their machine-readable value. Pure."""

from datetime import UTC, timedelta
from decimal import Decimal

from markupsafe import Markup

from helvetia.catalogue.prices import CURRENCY
from helvetia.costs.history import HistoryTotal
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.model import Grain
from helvetia.metering.model import FindingCause, UsageGap
from helvetia.web.dashboard.usage.facts import Bucket, UsageFacts
from helvetia.web.dashboard.voice import Voice

_MICROSECOND = timedelta(microseconds=1)
_DATA = Markup('<data value="%s">%s</data>')


def metric_title(metric: UsageMetric, voice: Voice) -> str:
    return {
        UsageMetric.COMPUTE_HOURS: voice.say("Compute"),
        UsageMetric.MEMORY_GB_HOURS: voice.say("Memory"),
        UsageMetric.BANDWIDTH_GB: voice.say("Bandwidth"),
        UsageMetric.STORAGE_GB: voice.say("Storage"),
    }[metric]


def gap_words(gap: UsageGap, voice: Voice) -> str:
    """Why something may be missing; the record's own words where the cause alone says too little."""
    return {
        FindingCause.NO_READING: voice.say("memory was not read; none is counted"),
        FindingCause.ENGINE_UNREACHABLE: voice.say("the engine could not be asked"),
        FindingCause.FINISH_UNSEEN: voice.say("its end was not seen; counted until it was last seen"),
        FindingCause.RUNS_UNSEEN: voice.say("runs of it came and went unseen; none is counted"),
        FindingCause.SIZE_UNKNOWN: voice.say("its size could not be read; none is counted"),
        FindingCause.EGRESS_UNKNOWN: voice.say("the firewall told no bytes; none are counted"),
        FindingCause.NODE_LOST: voice.say("its node was lost; counted until it was last heard of"),
    }.get(gap.cause, gap.detail)


def metric_unit(metric: UsageMetric, voice: Voice) -> str:
    """The sold unit, short: for heads of columns and after figures."""
    return {
        UsageMetric.COMPUTE_HOURS: voice.say("h"),
        UsageMetric.MEMORY_GB_HOURS: voice.say("GB-h"),
        UsageMetric.BANDWIDTH_GB: "GB",
        UsageMetric.STORAGE_GB: voice.say("GB-mo"),
    }[metric]


def per_unit(total: HistoryTotal, voice: Voice) -> str:
    price = voice.unit_price(total.unit_price_minor, CURRENCY)
    return {
        UsageMetric.COMPUTE_HOURS: voice.say("{price} per hour", price=price),
        UsageMetric.MEMORY_GB_HOURS: voice.say("{price} per GB-hour", price=price),
        UsageMetric.BANDWIDTH_GB: voice.say("{price} per GB", price=price),
        UsageMetric.STORAGE_GB: voice.say("{price} per GB-month", price=price),
    }[total.metric]


def exact_quantity(value: Decimal, voice: Voice) -> Markup:
    """A quantity as people read it, with every place of it for machines."""
    return _DATA % (f"{value:f}", voice.quantity(value))


def exact_cost(cost_minor: Decimal, shown_minor: int, voice: Voice) -> Markup:
    """An amount in whole cents, with every place of the cost for machines, as the API and files have it."""
    return _DATA % (f"{cost_minor.scaleb(-2):f}", voice.money(shown_minor, CURRENCY))


def days_of(period: Period, voice: Voice) -> str:
    """1 Nov 2026 – 30 Nov 2026: the last day that is in it, in the voice's zone."""
    return voice.span(period.starts_at, period.ends_at - _MICROSECOND)


def bucket_words(bucket: Bucket, facts: UsageFacts) -> str:
    """What stands under a bar and before its row; days and hours are those of UTC."""
    if facts.grain is Grain.MONTH:
        return facts.utc.month(bucket.starts_at)
    if facts.grain is Grain.DAY:
        return facts.utc.shortest_day(bucket.starts_at)
    hour = f"{bucket.starts_at.astimezone(UTC):%H:%M}"
    is_one_day = (facts.period.ends_at - facts.period.starts_at) <= timedelta(days=1)
    return hour if is_one_day else f"{facts.utc.shortest_day(bucket.starts_at)} {hour}"
