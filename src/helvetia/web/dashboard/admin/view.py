"""The operator's overview in words: every figure with its note and the list that it counts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from helvetia.operations.model import CellKind, Column, ListName, OperatorList, OperatorOverview, Sum
from helvetia.web.dashboard.admin.words import column_title, hold_cause, list_title, report_state
from helvetia.web.dashboard.voice import Voice

_PATH = "/admin/billing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`needs`: somebody must act, so it is red."""

    label: str
    amount: str
    note: str
    link: str
    needs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    title: str
    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminView:
    sentence: str
    as_of: str
    warning: str | None
    groups: Sequence[Group]
    grace: Sequence[tuple[str, str]]
    grace_link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCell:
    text: str
    is_number: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    title: str
    as_of: str
    head: Sequence[ListCell]
    rows: Sequence[Sequence[ListCell]]


def to_view(found: OperatorOverview, voice: Voice) -> AdminView:
    groups = [_money(found, voice), _stopped(found, voice), _machinery(found, voice), _truth(found, voice)]
    needing = sum(figure.needs for group in groups for figure in group.figures)
    calm = voice.say("Nothing needs you.")
    return AdminView(
        sentence=voice.many("{count} thing needs you.", "{count} things need you.", needing) if needing else calm,
        as_of=voice.say("Read at {time} from our own records.", time=voice.instant(found.at)),
        warning=_warning(found, voice),
        groups=groups,
        grace=[(_days_left(day, voice), voice.number(Decimal(count), 0)) for day, count in found.in_grace.items()],
        grace_link=_link(ListName.GRACE),
    )


def to_list_view(found: OperatorList, at: datetime, voice: Voice) -> ListView:
    shown = voice.many("{count} row", "{count} rows", found.count)
    if len(found.rows) < found.count:
        shown = voice.say(
            "The first {shown} of {count} rows", shown=str(len(found.rows)), count=voice.number(Decimal(found.count), 0)
        )
    return ListView(
        title=list_title(found.name, voice),
        as_of=voice.say("{rows}, read at {time}.", rows=shown, time=voice.instant(at)),
        head=[ListCell(text=column_title(column.key, voice), is_number=_is_number(column)) for column in found.columns],
        rows=[[_cell(column, row, voice) for column in found.columns] for row in found.rows],
    )


def _money(found: OperatorOverview, voice: Voice) -> Group:
    return Group(
        title=voice.say("Money"),
        figures=[
            Figure(
                label=voice.say("Fees a month"),
                amount=_sums(found.fees, voice),
                note=voice.many("{count} live subscription", "{count} live subscriptions", _count(found.fees)),
                link=_link(ListName.SUBSCRIBERS),
            ),
            Figure(
                label=voice.say("Past due"),
                amount=_sums(found.past_due, voice),
                note=voice.many("open at {count} account", "open at {count} accounts", found.past_due_count),
                link=_link(ListName.PAST_DUE),
                needs=found.past_due_count > 0,
            ),
            Figure(
                label=voice.say("Usage that no invoice bills"),
                amount=_sums(found.tasks, voice),
                note=voice.many("{count} task to decide", "{count} tasks to decide", _count(found.tasks)),
                link=_link(ListName.TASKS),
                needs=bool(found.tasks),
            ),
        ],
    )


def _stopped(found: OperatorOverview, voice: Voice) -> Group:
    held = sum(found.held_services.values())
    causes = ", ".join(f"{hold_cause(cause, voice)} {count}" for cause, count in found.held_services.items())
    stuck = found.stuck_cancellation_count
    return Group(
        title=voice.say("Grace and holds"),
        figures=[
            Figure(
                label=voice.say("In grace"),
                amount=voice.number(Decimal(sum(found.in_grace.values())), 0),
                note=voice.say("services run until their day seven"),
                link=_link(ListName.GRACE),
            ),
            Figure(
                label=voice.say("Services held"),
                amount=voice.number(Decimal(held), 0),
                note=causes or voice.say("none"),
                link=_link(ListName.HELD),
            ),
            Figure(
                label=voice.say("Cancellations that wait"),
                amount=voice.number(Decimal(stuck), 0),
                note=voice.say("something keeps their final bill"),
                link=_link(ListName.TASKS),
                needs=stuck > 0,
            ),
        ],
    )


def _machinery(found: OperatorOverview, voice: Voice) -> Group:
    webhooks, waits = found.webhooks, {state: count for state, count in found.outbox.items() if state != "confirmed"}
    oldest = webhooks.oldest_waiting_at
    lag = voice.duration(found.at - oldest) if oldest is not None else voice.say("no lag")
    complete = webhooks.complete_until_at
    walked = "" if complete is None else voice.say("complete to {time}", time=voice.instant(complete))
    outbox = ", ".join(f"{report_state(state, voice)} {count}" for state, count in waits.items())
    return Group(
        title=voice.say("To and from Stripe"),
        figures=[
            Figure(
                label=voice.say("Webhook events waiting"),
                amount=voice.number(Decimal(webhooks.waiting_count), 0),
                note=" · ".join(filter(None, [lag, walked])),
                link=_link(ListName.WEBHOOKS),
            ),
            Figure(
                label=voice.say("Events of unknown customers"),
                amount=voice.number(Decimal(webhooks.parked_count), 0),
                note=voice.say("parked until an account has the customer"),
                link=_link(ListName.WEBHOOKS),
            ),
            Figure(
                label=voice.say("Usage reports on their way"),
                amount=voice.number(Decimal(sum(waits.values())), 0),
                note=outbox or voice.say("everything is confirmed"),
                link=_link(ListName.OUTBOX),
                needs=bool(found.outbox.get("dead") or found.outbox.get("rejected")),
            ),
        ],
    )


def _truth(found: OperatorOverview, voice: Voice) -> Group:
    metering = found.metering
    read = metering.read_until_at
    compared = found.compared_from
    read_note = voice.say("nothing runs") if read is None else voice.say("read to {time}", time=voice.instant(read))
    since = voice.say("never compared") if compared is None else voice.say("since {time}", time=voice.instant(compared))
    return Group(
        title=voice.say("Metering and comparison"),
        figures=[
            Figure(
                label=voice.say("Gaps of the last day"),
                amount=voice.number(Decimal(metering.open_gap_count), 0),
                note=voice.many("{count} container runs", "{count} containers run", metering.running_count),
                link=_link(ListName.GAPS),
                needs=metering.open_gap_count > 0,
            ),
            Figure(
                label=voice.say("Late hosts"),
                amount=voice.number(Decimal(metering.late_host_count), 0),
                note=read_note,
                link=_link(ListName.HOSTS),
                needs=metering.late_host_count > 0,
            ),
            Figure(
                label=voice.say("Differences from Stripe"),
                amount=voice.number(Decimal(found.difference_count), 0),
                note=since,
                link=_link(ListName.DIFFERENCES),
                needs=found.difference_count > 0,
            ),
        ],
    )


def _warning(found: OperatorOverview, voice: Voice) -> str | None:
    if found.brake is not None:
        return voice.say("The brake is on and nobody is held: {reason}", reason=found.brake)
    return found.mode_warning


def _days_left(day: int, voice: Voice) -> str:
    return voice.many("{count} day left", "{count} days left", day) if day else voice.say("less than a day left")


def _count(sums: Sequence[Sum]) -> int:
    return sum(one.count for one in sums)


def _sums(sums: Sequence[Sum], voice: Voice) -> str:
    return " + ".join(voice.money(one.amount_minor, one.currency) for one in sums) or voice.money(0, "usd")


def _link(name: ListName) -> str:
    return f"{_PATH}/{name.value}"


def _is_number(column: Column) -> bool:
    return column.kind in {CellKind.COUNT, CellKind.MONEY, CellKind.QUANTITY}


def _cell(column: Column, row: Mapping[str, object], voice: Voice) -> ListCell:
    return ListCell(text=_cell_text(column, row, voice), is_number=_is_number(column))


def _cell_text(column: Column, row: Mapping[str, object], voice: Voice) -> str:
    value = row.get(column.key)
    if value is None:
        return "–"
    if column.kind is CellKind.MONEY:
        return voice.money(int(str(value)), str(row[column.currency_key]))
    if isinstance(value, datetime):
        return voice.full_instant(value)
    if isinstance(value, Decimal):
        return voice.plain(value)
    return str(value)
