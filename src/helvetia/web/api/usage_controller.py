"""Usage over time: history, one service, the export, and why a figure is what it is. Our own ledger only."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime

from helvetia.catalogue.prices import CURRENCY
from helvetia.costs.export import ExportFormat
from helvetia.costs.forecasts.service import ForecastService
from helvetia.costs.history import to_period, to_zone
from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.model import Grain, UsageFilter
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.api.schemas.changes import ChangesAnswer, to_wire_changes
from helvetia.web.api.schemas.comparison import ComparisonAnswer, to_wire_comparison
from helvetia.web.api.schemas.forecast import ForecastAnswer, to_wire_forecast
from helvetia.web.api.schemas.history_text import to_history_text
from helvetia.web.api.schemas.usage import (
    EvidenceAnswer,
    ExplanationAnswer,
    ServiceUsageAnswer,
    UsageHistoryAnswer,
    to_wire_evidence,
    to_wire_explanation,
    to_wire_service_usage,
)
from helvetia.web.middleware.authenticate import BillingReader


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeQuery:
    """The range asked for; a missing end is that of the current billing period."""

    starts_at: Annotated[AwareDatetime | None, Query(alias="from", description="First instant of the range.")] = None
    ends_at: Annotated[AwareDatetime | None, Query(alias="to", description="First instant after the range.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewQuery:
    """How usage is told: by which grain, in days of which zone, of which metrics."""

    grain: Annotated[Grain, Query(description="The length of a row.")] = Grain.DAY
    zone: Annotated[str, Query(max_length=64, description="Days and months of this IANA zone.")] = "UTC"
    metric: Annotated[list[UsageMetric] | None, Query(max_length=4, description="Only these; all without any.")] = None


Range = Annotated[RangeQuery, Depends()]
View = Annotated[ViewQuery, Depends()]
ServiceQuery = Annotated[UUID | None, Query(alias="serviceId", description="Only this service.")]
Grouping = Annotated[Literal["service", "all"], Query(alias="groupBy", description="Rows by service, or of all.")]


class UsageController:
    """The usage of the selected account."""

    def __init__(
        self,
        clock: Clock,
        subscriptions: SubscriptionService,
        usage: UsageHistoryService,
        forecasts: ForecastService,
    ) -> None:
        self._clock = clock
        self._subscriptions = subscriptions
        self._usage = usage
        self._forecasts = forecasts

    def add_to(self, router: APIRouter) -> None:
        def add(path: str, endpoint: Callable[..., Any], **more: Any) -> None:
            router.add_api_route(f"/api/v1/billing/usage/{path}", endpoint, methods=["GET"], tags=["usage"], **more)

        add("history", self.get_history, response_model=UsageHistoryAnswer)
        add("comparison", self.get_comparison)
        add("changes", self.get_changes)
        add("services/{service_id}", self.get_service_usage)
        add("forecast", self.get_forecast)
        files: Any = {form.media_type.partition(";")[0]: {"schema": {"type": "string"}} for form in ExportFormat}
        add("export", self.get_export, response_class=StreamingResponse, responses={200: {"content": files}})
        add("explain", self.get_explanation)
        add("explain/{record_id}", self.get_evidence)

    async def get_history(
        self,
        caller: BillingReader,
        within: Range,
        view: View,
        service_id: ServiceQuery = None,
        group_by: Grouping = "service",
    ) -> Response:
        """Usage by hour, day or month; without a range, the current billing period by day."""
        wanted = await self._filter(caller.account_id, within, view, service_id, by_service=group_by == "service")
        history = await self._usage.history(caller.account_id, wanted)
        names = await self._usage.names(caller.account_id)
        text = await asyncio.to_thread(to_history_text, history, names, CURRENCY)
        return Response(text, media_type="application/json")

    async def get_comparison(
        self, caller: BillingReader, within: Range, view: View, service_id: ServiceQuery = None
    ) -> ComparisonAnswer:
        """What a range cost beside the equally long one right before it; without one, the current billing period."""
        wanted = await self._filter(caller.account_id, within, view, service_id, by_service=True)
        comparison = await self._usage.compare(caller.account_id, wanted)
        return to_wire_comparison(wanted.period, comparison, await self._usage.names(caller.account_id), CURRENCY)

    async def get_changes(self, caller: BillingReader, within: Range, service_id: ServiceQuery = None) -> ChangesAnswer:
        """Deploys and other changes of services, newest first, each with what it did to the cost of a day."""
        period = await self._period(caller.account_id, within)
        found = await self._usage.changes(caller.account_id, period, _service(service_id))
        return to_wire_changes(period, found, await self._usage.names(caller.account_id), CURRENCY)

    async def get_service_usage(
        self, caller: BillingReader, service_id: UUID, within: Range, view: View
    ) -> ServiceUsageAnswer:
        """One service: its rows, totals, gaps, and the lives of its containers."""
        wanted = await self._filter(caller.account_id, within, view, service_id, by_service=True)
        return to_wire_service_usage(await self._usage.service_usage(caller.account_id, wanted), CURRENCY)

    async def get_forecast(self, caller: BillingReader) -> ForecastAnswer:
        """What the current period will come to, with a range, its method, and how past ones turned out."""
        return to_wire_forecast(await self._forecasts.forecast(caller.account_id), CURRENCY)

    async def get_export(
        self,
        caller: BillingReader,
        within: Range,
        view: View,
        service_id: ServiceQuery = None,
        export_format: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.CSV,
    ) -> StreamingResponse:
        """The rows of the history as a file: CSV, or JSON with an object on each line. Streamed, of any size."""
        wanted = await self._filter(caller.account_id, within, view, service_id, by_service=True)
        parts = await self._usage.export(caller.account_id, wanted, export_format)
        name = f"usage-{wanted.period.starts_at:%Y-%m-%d}-{wanted.period.ends_at:%Y-%m-%d}.{export_format.value}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(parts, media_type=export_format.media_type, headers=headers)

    async def get_explanation(
        self,
        caller: BillingReader,
        metric: UsageMetric,
        within: Range,
        service_id: ServiceQuery = None,
        cursor: Annotated[str | None, Query(max_length=300)] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> ExplanationAnswer:
        """What a figure is made of: quantity, price, rounding, and the pieces with the lives they were cut from."""
        period = await self._period(caller.account_id, within)
        found = await self._usage.explain(
            caller.account_id, metric, period, service_id=_service(service_id), cursor=cursor, limit=limit
        )
        return to_wire_explanation(found)

    async def get_evidence(
        self, caller: BillingReader, record_id: Annotated[UUID, Path(description="A piece's `recordId`.")]
    ) -> EvidenceAnswer:
        """One piece down to its readings."""
        return to_wire_evidence(await self._usage.evidence(caller.account_id, record_id))

    async def _filter(
        self, account_id: AccountId, within: RangeQuery, view: ViewQuery, service_id: UUID | None, *, by_service: bool
    ) -> UsageFilter:
        return UsageFilter(
            period=await self._period(account_id, within),
            grain=view.grain,
            zone=to_zone(view.zone),
            metrics=tuple(view.metric or UsageMetric),
            service_id=_service(service_id),
            by_service=by_service,
        )

    async def _period(self, account_id: AccountId, within: RangeQuery) -> Period:
        record = await self._subscriptions.get_subscription(account_id)
        current = record.period_at(self._clock.now())
        return to_period(within.starts_at or current.starts_at, within.ends_at or current.ends_at)


def _service(service_id: UUID | None) -> ServiceId | None:
    return None if service_id is None else ServiceId(service_id)
