"""Figures with a line each: what was used, and what is reserved, beside the plan's limits. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from helvetia.catalogue.plans import UNLIMITED, ResourceLimits
from helvetia.catalogue.prices import METERED_PRICES
from helvetia.containers.model import HoldCause, Service, Wish
from helvetia.costs.model import LimitUse, UsageLine
from helvetia.web.dashboard.voice import Voice

_FULL = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A figure with its line; `fill` is the filled part of 100, None where there is no limit to fill.

    `mark`: the part of 100 expected at the period's end; `warning`: words in red after the note.
    """

    title: str
    quantity: str
    cost: str | None
    note: str
    fill: str | None
    is_over: bool
    price: str | None = None
    mark: str | None = None
    warning: str | None = None


def usage_reading(line: UsageLine, currency: str, voice: Voice) -> Reading:
    """One metric of the period, with its cost; the line fills towards the plan's limit where there is one."""
    unit = line.unit if line.quantity == 1 or line.unit == "GB" else f"{line.unit}s"
    used, limit = (None, None) if line.limit_use is None else (line.limit_use.used, line.limit_use.limit)
    return Reading(
        title=METERED_PRICES[line.metric].title,
        quantity=f"{voice.quantity(line.quantity)} {unit}",
        cost=voice.money(line.amount_minor, currency),
        note=_limit_note(line.limit_use, line.unit, voice),
        fill=None if used is None or limit is None else _fill(used / limit),
        is_over=used is not None and limit is not None and used >= limit,
        price=f"{voice.unit_price(line.unit_price_minor, currency)} per {line.unit}",
    )


def reserved_readings(services: Sequence[Service], limits: ResourceLimits, voice: Voice) -> list[Reading]:
    """What counts against the limits of the plan: held services keep their reservation unless held for quota."""
    counted = [service for service in services if HoldCause.QUOTA not in service.holds]
    wished = [service.definition for service in counted if service.wish is Wish.RUNNING]
    memory_mb = sum(definition.memory_mb * definition.replicas for definition in wished)
    cores = sum((definition.cpu_cores * definition.replicas for definition in wished), Decimal(0))
    services_limit, cores_limit = voice.plain(Decimal(limits.services_max)), voice.plain(limits.cpu_cores_max)
    memory_limit = voice.megabytes(limits.memory_mb_max)
    return [
        _reservation("Services", str(len(counted)), Decimal(len(counted)), limits.services_max, services_limit, voice),
        _reservation(
            "Memory reserved", voice.megabytes(memory_mb), Decimal(memory_mb), limits.memory_mb_max, memory_limit, voice
        ),
        _reservation("Cores reserved", voice.plain(cores), cores, limits.cpu_cores_max, cores_limit, voice),
    ]


def _reservation(
    title: str, quantity: str, value: Decimal, limit: Decimal | int, limit_words: str, voice: Voice
) -> Reading:
    if limit == UNLIMITED:
        return Reading(title=title, quantity=quantity, cost=None, note="no limit", fill=None, is_over=False)
    return Reading(
        title=title,
        quantity=quantity,
        cost=None,
        note=f"{voice.percent(value, Decimal(limit))} of {limit_words}",
        fill=_fill(value / Decimal(limit)),
        is_over=value > limit,
    )


def _limit_note(use: LimitUse | None, sold_unit: str, voice: Voice) -> str:
    if use is None or use.limit is None:
        return "no limit"
    held = "" if use.unit == sold_unit else f"{voice.quantity(use.used)} {use.unit} held, "
    return f"{held}{voice.percent(use.used, use.limit)} of {voice.plain(use.limit)} {use.unit}"


def _fill(share: Decimal) -> str:
    return f"{round(min(_FULL, max(Decimal(0), share * 100)), 2).normalize():f}"
