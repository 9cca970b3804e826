"""Why a figure is what it is, ready for its templates: an amount, its pieces, their readings. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from markupsafe import Markup

from helvetia.catalogue.prices import CURRENCY
from helvetia.costs.explain import Explanation, PieceEvidence
from helvetia.kernel.clock import from_ns
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric
from helvetia.metering.history.model import PieceReading, UsagePiece
from helvetia.web.dashboard.usage.facts import UsageFacts
from helvetia.web.dashboard.usage.query import href
from helvetia.web.dashboard.usage.view import EXPLORER, SERVICES, WHY
from helvetia.web.dashboard.usage.words import days_of, metric_title, metric_unit
from helvetia.web.dashboard.voice import Voice

PIECES = "/billing/usage/pieces"
_ID_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step from base units to the amount: what is done, and what comes out, exact."""

    title: str
    how: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceLine:
    when: str
    href: str
    service: str
    container: str
    life: str
    readings: str
    quantity: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyView:
    """`sum_words` says what the pieces shown add up to; `metrics` leads to the same question of another metric."""

    sentence: str
    note: str
    metrics: Sequence[tuple[str, str, bool]]
    steps: Sequence[Step]
    pieces: Sequence[PieceLine]
    sum: str
    sum_words: str
    base_unit: str
    next_href: str | None
    back_href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceView:
    sentence: str
    note: str
    facts: Sequence[tuple[str, str]]
    head: Sequence[str]
    readings: Sequence[Sequence[str]]
    no_readings: str | None
    left_out: str | None
    back_href: str


def to_why_view(facts: UsageFacts, found: Explanation, *, is_first_page: bool) -> WhyView:
    """Everything that the page says of one metric over one range."""
    voice, metric = facts.voice, found.line.metric
    whose = _whose(facts)
    shown = sum(piece.quantity for piece in found.pieces)
    told = facts.query.parameters()
    is_all = is_first_page and found.next_cursor is None
    return WhyView(
        sentence=voice.say(
            "{metric} of {whose}: {quantity} {unit}, {amount}.",
            metric=metric_title(metric, voice),
            whose=whose,
            quantity=voice.number(found.line.quantity, 6),
            unit=metric_unit(metric, voice),
            amount=voice.money(found.line.amount_minor, found.currency),
        ),
        note=voice.say("Days are UTC: {days}.", days=days_of(facts.period, facts.utc)),
        metrics=[
            (metric_title(one, voice), href(WHY, {**told, "metric": one.value}), one is metric) for one in UsageMetric
        ],
        steps=steps(found, voice),
        pieces=[piece_line(piece, facts) for piece in found.pieces],
        sum=exact_base(shown, voice),
        sum_words=voice.say("Sum of all pieces") if is_all else voice.say("Sum of the pieces on this page"),
        base_unit=base_unit(metric, voice),
        next_href=None
        if found.next_cursor is None
        else href(WHY, {**told, "metric": metric.value, "cursor": found.next_cursor}),
        back_href=facts.query.href(EXPLORER if facts.query.service_id is None else _service_path(facts)),
    )


def steps(found: Explanation, voice: Voice) -> list[Step]:
    """From the pieces to the amount; the one rounding is the last step."""
    line, unit = found.line, metric_unit(found.line.metric, voice)
    price = voice.unit_price(line.unit_price_minor, found.currency)
    source = (
        voice.say("the list price")
        if found.price_id is None
        else voice.say("Stripe's price {price_id}", price_id=found.price_id)
    )
    base = base_unit(line.metric, voice)
    return [
        Step(
            title=voice.say("Counted"),
            how=voice.say("the sum of all pieces below"),
            result=Markup("{} {}").format(exact_base(line.base_quantity, voice), base),
        ),
        Step(
            title=voice.say("In the unit that is sold"),
            how=voice.say(
                "divided by {count} {base} per {unit}, cut after six places, never rounded up",
                count=_grouped(found.base_per_unit, voice),
                base=base,
                unit=unit,
            ),
            result=Markup('<data value="{}">{}</data> {}').format(
                f"{line.quantity:f}", voice.number(line.quantity, 6), unit
            ),
        ),
        Step(
            title=voice.say("Times the price"),
            how=voice.say("{price} per {unit}, {source}", price=price, unit=unit, source=source),
            result=Markup('<data value="{}">{}</data>').format(
                f"{found.cost_minor.scaleb(-2):f}", voice.exact_money(found.cost_minor, CURRENCY)
            ),
        ),
        Step(
            title=voice.say("Rounded once"),
            how=voice.say("to a whole cent, half up, as Stripe rounds the line of an invoice"),
            result=voice.money(line.amount_minor, found.currency),
        ),
    ]


def piece_line(piece: UsagePiece, facts: UsageFacts) -> PieceLine:
    voice = facts.voice
    organization = {} if facts.query.organization is None else {"organizationId": facts.query.organization}
    return PieceLine(
        when=f"{voice.full_instant(piece.period_start)} – {_clock(piece.period_end, voice)}",
        href=href(f"{PIECES}/{piece.id}", organization),
        service=facts.names.get(piece.service_id, "") or str(piece.service_id),
        container=_container(piece, voice),
        life=_life(piece, voice),
        readings=_grouped(piece.reading_count, voice),
        quantity=exact_base(piece.quantity, voice),
        state=_state(piece, voice),
    )


def to_piece_view(found: PieceEvidence, service_name: str, query: str, voice: Voice) -> PieceView:
    """One piece and its readings."""
    piece = found.piece
    metric = metric_title(piece.metric, voice)
    told = [
        (voice.say("Service"), service_name),
        (voice.say("Container or volume"), piece.container_id or _container(piece, voice)),
        (voice.say("Node"), piece.node or "–"),
        (voice.say("Lived"), _life(piece, voice)),
        (voice.say("State"), _state(piece, voice)),
        (voice.say("Revision"), str(piece.revision)),
        (voice.say("Made of"), voice.many("{count} reading", "{count} readings", piece.reading_count)),
        *([(voice.say("Bounded by"), piece.bound)] if piece.bound else []),
        *([(voice.say("Reason"), piece.reason)] if piece.reason else []),
        *([(voice.say("By"), piece.actor)] if piece.actor else []),
        (voice.say("Piece"), str(piece.id)),
    ]
    return PieceView(
        sentence=voice.say(
            "{metric}: {quantity} {unit}.",
            metric=metric,
            quantity=_grouped(piece.quantity, voice),
            unit=base_unit(piece.metric, voice),
        ),
        note=f"{voice.full_instant(piece.period_start)} – {_clock(piece.period_end, voice)}",
        facts=told,
        head=[
            voice.say("Read at"),
            voice.say("Memory, bytes"),
            voice.say("Sent, bytes"),
            voice.say("Sent outside, bytes"),
            voice.say("Size, bytes"),
        ],
        readings=[_reading(reading, voice) for reading in found.readings],
        no_readings=_no_readings(found, voice),
        left_out=_left_out(found, voice),
        back_href=f"{SERVICES}/{piece.service_id}{query}",
    )


def base_unit(metric: UsageMetric, voice: Voice) -> str:
    return {
        "nanosecond": voice.say("nanoseconds"),
        "byte-nanosecond": voice.say("byte-nanoseconds"),
        "byte": voice.say("bytes"),
    }[SOLD_UNITS[metric].base_unit]


def exact_base(quantity: int, voice: Voice) -> Markup:
    return Markup('<data value="{}">{}</data>').format(quantity, _grouped(quantity, voice))


def _no_readings(found: PieceEvidence, voice: Voice) -> str | None:
    if found.readings:
        return None
    if not found.are_readings_kept:
        return voice.say("Its readings were dropped 35 days after the end of their period; the piece itself stays.")
    return voice.say("It was told from outside or by the engine's own start and end; no reading was needed.")


def _left_out(found: PieceEvidence, voice: Voice) -> str | None:
    count = found.readings_left_out_count
    if not count:
        return None
    return voice.many("{count} more reading is not shown.", "{count} more readings are not shown.", count)


def _reading(reading: PieceReading, voice: Voice) -> list[str]:
    figures = (reading.memory_bytes, reading.transmitted_bytes, reading.external_bytes, reading.size_bytes)
    at = from_ns(reading.sampled_ns)
    return [f"{voice.short_day(at)}, {_exact_clock(at, voice)}", *(_figure(one, voice) for one in figures)]


def _figure(value: int | None, voice: Voice) -> str:
    return "–" if value is None else _grouped(value, voice)


def _whose(facts: UsageFacts) -> str:
    service_id = facts.query.service_id
    return facts.voice.say("all services") if service_id is None else facts.names.get(service_id, "") or str(service_id)


def _service_path(facts: UsageFacts) -> str:
    return f"{SERVICES}/{facts.query.service_id}"


def _container(piece: UsagePiece, voice: Voice) -> str:
    return voice.say("told from outside") if piece.container_id is None else piece.container_id[:_ID_SHOWN]


def _life(piece: UsagePiece, voice: Voice) -> str:
    if piece.lived_from_ns is None:
        return "–"
    began = voice.full_instant(from_ns(piece.lived_from_ns))
    if piece.lived_until_ns is None:
        return voice.say("since {at}", at=began)
    return f"{began} – {voice.full_instant(from_ns(piece.lived_until_ns))}"


def _state(piece: UsagePiece, voice: Voice) -> str:
    if piece.closed_at is None:
        return voice.say("still growing")
    return voice.say("late difference") if piece.revision else voice.say("closed")


def _clock(at: datetime, voice: Voice) -> str:
    return f"{at.astimezone(voice.zone):%H:%M %Z}"


def _exact_clock(at: datetime, voice: Voice) -> str:
    return f"{at.astimezone(voice.zone):%H:%M:%S %Z}"


def _grouped(value: int, voice: Voice) -> str:
    """Every digit of an integer, in groups of three."""
    return voice.number(Decimal(value), 0)
