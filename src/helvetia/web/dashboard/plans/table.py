"""The comparison of plans: rows are the fee and the limits, columns the plans; what does not fit is said. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from helvetia.billing.plan_change.model import AccountUse, Misfit, PlanOffer
from helvetia.catalogue.plans import UNLIMITED
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanColumn:
    """`fit` is what does not fit of the account's use; None for who has none, empty when all fits."""

    code: str
    title: str
    fee: str
    is_current: bool
    fit: Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    words: str
    exceeded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """One limit on every plan; `used` is the account's own."""

    title: str
    used: str | None
    cells: Sequence[Cell]


def to_columns(offers: Sequence[PlanOffer], voice: Voice, *, has_use: bool = True) -> list[PlanColumn]:
    return [
        PlanColumn(
            code=offer.plan.value,
            title=offer.title,
            fee=voice.money(offer.fee_minor, offer.currency),
            is_current=offer.is_current and has_use,
            fit=[misfit_words(one, voice) for one in offer.will_not_fit] if has_use else None,
        )
        for offer in offers
    ]


def to_rows(offers: Sequence[PlanOffer], use: AccountUse | None, voice: Voice) -> list[LimitRow]:
    """The five limits, in the order of the catalogue."""
    return [
        LimitRow(
            title=limit_title(name, voice),
            used=None if use is None else amount_words(name, _used(name, use), voice),
            cells=[
                Cell(
                    words=amount_words(name, _allowed(name, offer), voice),
                    exceeded=use is not None and any(one.limit == name for one in offer.will_not_fit),
                )
                for offer in offers
            ],
        )
        for name in ("services", "memory", "cpu", "bandwidth", "storage")
    ]


def limit_title(name: str, voice: Voice) -> str:
    return {
        "services": voice.say("Services"),
        "memory": voice.say("Memory"),
        "cpu": voice.say("Cores"),
        "bandwidth": voice.say("Bandwidth a period"),
        "storage": voice.say("Storage"),
    }[name]


def amount_words(name: str, value: Decimal, voice: Voice) -> str:
    """With its unit; no limit is a word, never a number."""
    if value == UNLIMITED:
        return voice.say("unlimited")
    if name == "memory":
        return voice.megabytes(int(value))
    if name in {"bandwidth", "storage"}:
        return f"{voice.quantity(value) if value % 1 else voice.plain(value)} GB"
    return voice.plain(value)


def misfit_words(one: Misfit, voice: Voice) -> str:
    """Memory: 3 GB used, 2 GB allowed."""
    return voice.say(
        "{limit}: {used} in use, {allowed} allowed",
        limit=limit_title(one.limit, voice),
        used=amount_words(one.limit, one.used, voice),
        allowed=amount_words(one.limit, one.allowed, voice),
    )


def _used(name: str, use: AccountUse) -> Decimal:
    return {
        "services": Decimal(use.services),
        "memory": Decimal(use.memory_mb),
        "cpu": use.cpu_cores,
        "bandwidth": use.bandwidth_gb,
        "storage": use.storage_gb,
    }[name]


def _allowed(name: str, offer: PlanOffer) -> Decimal:
    limits = offer.limits
    allowed: dict[str, int | Decimal] = {
        "services": limits.services_max,
        "memory": limits.memory_mb_max,
        "cpu": limits.cpu_cores_max,
        "bandwidth": limits.bandwidth_gb_max,
        "storage": limits.storage_gb_max,
    }
    return Decimal(allowed[name])
