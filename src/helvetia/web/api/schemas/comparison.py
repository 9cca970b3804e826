"""A range of usage beside the one before it, on the wire."""

from collections.abc import Mapping

from helvetia.costs.compare import Comparison, ServiceChange
from helvetia.costs.history import HistoryTotal
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import Period
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant


class MetricChangeAnswer(WireAnswer):
    """A metric in both ranges; costs with all their places, before the invoice's rounding."""

    metric: str
    unit: str
    quantity: WireDecimal
    quantity_before: WireDecimal
    cost: WireDecimal
    cost_before: WireDecimal


class ServiceChangeAnswer(WireAnswer):
    """A service in both ranges; `difference` is `cost` less `costBefore`."""

    service_id: str
    name: str
    cost: WireDecimal
    cost_before: WireDecimal
    difference: WireDecimal


class ComparisonAnswer(WireAnswer):
    """The range, as far as it has passed, and the equally long one right before it.

    `completeBefore`: no gap touches the range before, so that it is no less than it should be.
    """

    start: WireInstant
    end: WireInstant
    before_start: WireInstant
    before_end: WireInstant
    complete_before: bool
    currency: str
    cost: WireDecimal
    cost_before: WireDecimal
    difference: WireDecimal
    totals: list[MetricChangeAnswer]
    services: list[ServiceChangeAnswer]


def to_wire_comparison(
    period: Period, found: Comparison, names: Mapping[ServiceId, str], currency: str
) -> ComparisonAnswer:
    return ComparisonAnswer(
        start=period.starts_at,
        end=period.ends_at,
        before_start=found.before.starts_at,
        before_end=found.before.ends_at,
        complete_before=found.is_complete_before,
        currency=currency,
        cost=found.cost_minor.scaleb(-2),
        cost_before=found.cost_before_minor.scaleb(-2),
        difference=found.difference_minor.scaleb(-2),
        totals=[_metric(*both) for both in zip(found.totals, found.totals_before, strict=True)],
        services=[_service(change, names.get(change.service_id, "")) for change in found.services.values()],
    )


def _metric(total: HistoryTotal, before: HistoryTotal) -> MetricChangeAnswer:
    return MetricChangeAnswer(
        metric=total.metric.value,
        unit=total.unit,
        quantity=total.quantity,
        quantity_before=before.quantity,
        cost=total.cost_minor.scaleb(-2),
        cost_before=before.cost_minor.scaleb(-2),
    )


def _service(change: ServiceChange, name: str) -> ServiceChangeAnswer:
    return ServiceChangeAnswer(
        service_id=str(change.service_id),
        name=name,
        cost=change.cost_minor.scaleb(-2),
        cost_before=change.cost_before_minor.scaleb(-2),
        difference=change.difference_minor.scaleb(-2),
    )
