"""Changes of services with what each did to the cost of a day, on the wire."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from helvetia.costs.changes.model import ChangeCost, Changes
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import Period
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant

_PLACES = Decimal("0.00000001")


class ChangeAnswer(WireAnswer):
    """A change. `former` and `now`: fields that changed; `also`: names of others, whose values are not on record.

    `dayBefore` and `dayAfter`: the mean cost of `daysBefore` full UTC days before and `daysAfter` after it, to eight
    places; null, with a `reason`, where nobody can say.
    """

    at: WireInstant
    service_id: str
    name: str
    kind: str
    revision: int | None
    former: dict[str, str]
    now: dict[str, str]
    also: list[str]
    days_before: int
    days_after: int
    day_before: WireDecimal | None
    day_after: WireDecimal | None
    difference: WireDecimal | None
    reason: str | None


class ChangesAnswer(WireAnswer):
    """Changes of a range, newest first; `more`: there were others, which a shorter range tells."""

    start: WireInstant
    end: WireInstant
    currency: str
    changes: list[ChangeAnswer]
    more: bool


def to_wire_changes(period: Period, found: Changes, names: Mapping[ServiceId, str], currency: str) -> ChangesAnswer:
    return ChangesAnswer(
        start=period.starts_at,
        end=period.ends_at,
        currency=currency,
        changes=[_change(one, names) for one in found.found],
        more=found.has_more,
    )


def _change(found: ChangeCost, names: Mapping[ServiceId, str]) -> ChangeAnswer:
    change = found.change
    before, after = _amount(found.before_minor), _amount(found.after_minor)
    return ChangeAnswer(
        at=change.at,
        service_id=str(change.service_id),
        name=names.get(change.service_id, ""),
        kind=change.kind.value,
        revision=change.revision,
        former=dict(change.former),
        now=dict(change.now),
        also=list(change.also),
        days_before=found.days_before,
        days_after=found.days_after,
        day_before=before,
        day_after=after,
        difference=None if before is None or after is None else after - before,
        reason=None if found.reason is None else found.reason.value,
    )


def _amount(minor: Decimal | None) -> Decimal | None:
    return None if minor is None else minor.scaleb(-2).quantize(_PLACES, rounding=ROUND_HALF_EVEN)
