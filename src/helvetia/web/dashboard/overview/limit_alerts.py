"""What is said of a limit: reached, or going to be, and what the plan does then. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.costs.forecasts.model import LimitOutlook
from helvetia.costs.model import UsageLine
from helvetia.enforcement.model import QuotaAction
from helvetia.kernel.quantity import UsageMetric
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.usage.words import metric_title
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A way onwards; at most one of a page is filled. `is_portal`: a form that leads to Stripe's page of the card."""

    label: str
    path: str
    is_filled: bool = False
    is_portal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """`tone`: urgent (red), warn (amber), or empty. `more`: where the whole story stands, as a link in the text."""

    title: str
    text: str
    tone: str = ""
    actions: Sequence[Action] = ()
    more: Action | None = None


def limit_alerts(facts: OverviewFacts) -> list[Alert]:
    """A limit that is reached, or will be; while nothing may run, none of them matters."""
    found: list[Alert] = []
    if facts.standing is not None and not facts.standing.verdict.services_run:
        return found
    for line in facts.usage.lines:
        use = line.limit_use
        if use is None or use.limit is None:
            continue
        alert = _used_up(line, facts) if use.used >= use.limit else _coming(line, facts)
        if alert is not None:
            found.append(alert)
    return found


def _used_up(line: UsageLine, facts: OverviewFacts) -> Alert:
    voice, metric = facts.voice, metric_title(line.metric, facts.voice)
    effect = {
        QuotaAction.WARN: voice.say("Everything goes on; usage beyond it is charged like any other."),
        QuotaAction.BLOCK_NEW: voice.say(
            "Creating, starting, scaling up and deploying are refused now. What runs goes on, and you can stop,"
            " delete and export as ever."
        ),
        QuotaAction.SUSPEND: voice.say(
            "Services are stopped until there is room again: with the next period, or with a larger plan. Your data"
            " is kept."
        ),
    }[_action_of(line, facts)]
    return Alert(
        title=voice.say("{metric}: the limit is reached.", metric=metric),
        text=effect,
        tone="urgent",
        actions=_upgrade(facts, is_filled=True),
    )


def _action_of(line: UsageLine, facts: OverviewFacts) -> QuotaAction:
    """What the plan does once this is used up."""
    if facts.standing is None:
        return QuotaAction.BLOCK_NEW
    is_bandwidth = line.metric is UsageMetric.BANDWIDTH_GB
    return facts.standing.bandwidth_action if is_bandwidth else facts.standing.storage_action


def _then(action: QuotaAction, voice: Voice) -> str:
    return {
        QuotaAction.WARN: voice.say("Then everything goes on; usage beyond it is charged like any other."),
        QuotaAction.BLOCK_NEW: voice.say("Then nothing new starts until the next period."),
        QuotaAction.SUSPEND: voice.say("Then services stop until the next period, or a larger plan."),
    }[action]


def _coming(line: UsageLine, facts: OverviewFacts) -> Alert | None:
    limit = None if facts.forecast is None else facts.forecast.metrics[line.metric].limit
    if limit is None or limit.outlook is not LimitOutlook.EXPECTED or limit.about is None:
        return None
    voice, metric = facts.voice, metric_title(line.metric, facts.voice)
    when = voice.say("If the days go on as they were.")
    if limit.earliest is not None and limit.latest is not None and limit.earliest < limit.latest:
        days = {"first": voice.day(limit.earliest), "last": voice.day(limit.latest)}
        when = voice.say("In 4 of 5 cases between {first} and {last}.", **days)
    text = f"{when} {_then(_action_of(line, facts), voice)}"
    title = voice.say("{metric} will reach its limit about {day}.", metric=metric, day=voice.day(limit.about))
    return Alert(title=title, text=text, tone="warn", actions=_upgrade(facts, is_filled=False))


def _upgrade(facts: OverviewFacts, *, is_filled: bool) -> list[Action]:
    usage = Action(label=facts.voice.say("Open usage"), path=facts.address("/billing/usage"))
    plans = Action(label=facts.voice.say("Compare plans"), path=facts.address("/billing/plans"), is_filled=is_filled)
    return [plans, usage] if facts.may_pay else [usage]
