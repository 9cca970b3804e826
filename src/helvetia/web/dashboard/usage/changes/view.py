"""Changes of services, ready for the template: what was done, and what a day cost before and after. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from helvetia.catalogue.prices import CURRENCY
from helvetia.costs.changes.attribute_cost import DAYS_MAX
from helvetia.costs.changes.model import ChangeCost, ChangeKind, NoDifference, RecordedChange
from helvetia.web.dashboard.usage.facts import Bucket, UsageFacts, to_cents
from helvetia.web.dashboard.usage.query import href
from helvetia.web.dashboard.voice import Voice

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """A row; `difference` is None where `reason` says why there is none."""

    at: str
    service: str
    href: str
    what: str
    details: str
    before: str
    after: str
    difference: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesView:
    """`finding`: what mattered most; `more`: that there are others, None where all are shown."""

    finding: str
    lines: Sequence[ChangeLine]
    more: str | None


def to_changes_view(facts: UsageFacts, service_path: str) -> ChangesView | None:
    """None where nothing was changed. `service_path`: under which the page of a service lies."""
    found = facts.changes.found
    if not found:
        return None
    is_cut = len(found) > SHOWN_MAX or facts.changes.has_more
    return ChangesView(
        finding=_finding(facts),
        lines=[_line(one, facts, service_path) for one in found[:SHOWN_MAX]],
        more=facts.voice.say("Older changes are not shown; a shorter range shows them.") if is_cut else None,
    )


def mark_words(bucket: Bucket, facts: UsageFacts) -> str | None:
    """What was changed in a bucket of the chart, the first first; None where nothing was."""
    inside = [one.change for one in facts.changes.found if bucket.starts_at <= one.change.at < bucket.ends_at]
    said = [f"{_service(one, facts)}: {what_words(one, facts.voice)}" for one in reversed(inside)]
    return "; ".join(dict.fromkeys(said)) or None


def what_words(change: RecordedChange, voice: Voice) -> str:
    now, former = change.now.get("replicas", ""), change.former.get("replicas", "")
    if change.kind is ChangeKind.SCALED:
        if former:
            return voice.say("scaled from {former} to {now}", former=former, now=now)
        return voice.say("scaled to {now}", now=now)
    if change.kind is ChangeKind.DEPLOYED and change.revision is not None:
        return voice.say("revision {number} deployed", number=change.revision)
    return {
        ChangeKind.CREATED: voice.say("created"),
        ChangeKind.DEPLOYED: voice.say("deployed"),
        ChangeKind.STARTED: voice.say("started"),
        ChangeKind.STOPPED: voice.say("stopped"),
        ChangeKind.DELETED: voice.say("deleted"),
        ChangeKind.HELD: voice.say("held"),
        ChangeKind.RESUMED: voice.say("resumed"),
        ChangeKind.TRANSFERRED: voice.say("moved to another owner"),
    }[change.kind]


def _details(change: RecordedChange, voice: Voice) -> str:
    """Which fields, from what to what; of a secret one only its name."""
    titles = {
        "image": voice.say("image"),
        "memory_mb": voice.say("memory, MB"),
        "cpu_cores": voice.say("cores"),
        "replicas": voice.say("replicas"),
    }
    told = [] if change.kind is ChangeKind.SCALED else [name for name in titles if name in change.now]
    parts = [
        f"{titles[name]} {change.former[name]} → {change.now[name]}"
        if name in change.former
        else f"{titles[name]} {change.now[name]}"
        for name in told
    ]
    names = {"command": voice.say("command"), "env": voice.say("environment"), "volumes": voice.say("volumes")}
    return ", ".join([*parts, *(names.get(name, name) for name in change.also)])


def _line(found: ChangeCost, facts: UsageFacts, service_path: str) -> ChangeLine:
    change, voice, difference = found.change, facts.voice, found.difference_minor
    return ChangeLine(
        at=facts.utc.full_instant(change.at),
        service=_service(change, facts),
        href=_service_href(change, facts, service_path),
        what=what_words(change, voice),
        details=_details(change, voice),
        before=_money(found.before_minor, voice),
        after=_money(found.after_minor, voice),
        difference=None if difference is None else _signed(difference, voice),
        reason=_reason(found, voice),
    )


def _reason(found: ChangeCost, voice: Voice) -> str:
    if found.reason is None:
        if found.change.kind is ChangeKind.CREATED:
            return voice.many("{count} full day since", "{count} full days since", found.days_after)
        return voice.say("{before} days before, {after} after", before=found.days_before, after=found.days_after)
    return {
        NoDifference.NO_FULL_DAY_AFTER: voice.say("no full day since"),
        NoDifference.NO_FULL_DAY_BEFORE: voice.say("no full day before it"),
        NoDifference.SEVERAL_THAT_DAY: voice.say("several changes that day"),
        NoDifference.GAPS: voice.say("metering has gaps there"),
    }[found.reason]


def _finding(facts: UsageFacts) -> str:
    """The change that moved the cost of a day most; else that none did yet."""
    voice = facts.voice
    moved = [(abs(one.difference_minor), one) for one in facts.changes.found if one.difference_minor]
    method = voice.say("Means of up to {days} full UTC days, before and after.", days=DAYS_MAX)
    if not moved:
        return voice.say("No change has moved the cost of a day yet.") + f" {method}"
    _, most = max(moved, key=lambda one: (one[0], one[1].change.at))
    said = voice.say(
        "Most: {service}, {what} on {day}: {difference} a day.",
        service=_service(most.change, facts),
        what=what_words(most.change, voice),
        day=facts.utc.day(most.change.at),
        difference=_signed(most.difference_minor or Decimal(0), voice),
    )
    return f"{said} {method}"


def _service(change: RecordedChange, facts: UsageFacts) -> str:
    return facts.names.get(change.service_id, "") or str(change.service_id)


def _service_href(change: RecordedChange, facts: UsageFacts, service_path: str) -> str:
    told = facts.query.parameters()
    told.pop("service", None)
    return href(f"{service_path}/{change.service_id}", told)


def _money(minor: Decimal | None, voice: Voice) -> str:
    return "–" if minor is None else voice.money(to_cents(minor), CURRENCY)


def _signed(minor: Decimal, voice: Voice) -> str:
    cents = to_cents(minor)
    return f"+{voice.money(cents, CURRENCY)}" if cents > 0 else voice.money(cents, CURRENCY)
