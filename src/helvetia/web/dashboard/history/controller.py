"""Past months and the forecast as a page; each block stands without the other."""

from datetime import UTC, date, timedelta

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from helvetia.costs.forecasts.model import AccountForecast
from helvetia.costs.forecasts.service import ForecastService
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.metering.history.model import Grain
from helvetia.web.dashboard.frame import PageName
from helvetia.web.dashboard.history.view import HISTORY, to_history_view
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.usage.query import PeriodKind, UsageQuery, read_query
from helvetia.web.dashboard.usage.read_facts import UsageReader
from helvetia.web.middleware.authenticate import BillingReader

SPANS = (12, 24)

_log = structlog.get_logger()


class HistoryPageController:
    """Reads our own ledger only: it answers while Stripe does not."""

    def __init__(self, pages: Pages, reader: UsageReader, forecasts: ForecastService) -> None:
        self._pages = pages
        self._reader = reader
        self._forecasts = forecasts

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(HISTORY, self.show, methods=["GET"], include_in_schema=False)

    async def show(self, request: Request, caller: BillingReader) -> Response:
        """Twelve or twenty-four months, stacked by metric, and what the current period will come to."""
        voice = self._pages.voice(request)
        months = SPANS[1] if request.query_params.get("months") == str(SPANS[1]) else SPANS[0]
        today = voice.now.astimezone(UTC).date()
        query = months_query(read_query(request.query_params, voice.now).organization, today, months)
        facts = await self._reader.read_query(caller.account_id, query, voice)
        forecast = await self._forecast(caller.account_id)
        view = to_history_view(facts, forecast, months, SPANS)
        return await self._pages.render(request, caller, "history/history.html", view, page=PageName.HISTORY)

    async def _forecast(self, account_id: AccountId) -> AccountForecast | None:
        """None: it could not be made now; the page says so and shows the rest."""
        try:
            return await self._forecasts.forecast(account_id)
        except HelvetiaError as error:
            _log.warning("history_page.no_forecast", code=error.code)
            return None


def months_query(organization: str | None, today: date, months: int) -> UsageQuery:
    """Whole months up to the end of this one."""
    first = today.replace(day=1)
    for _ in range(months - 1):
        first = (first - timedelta(days=1)).replace(day=1)
    last = (today.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return UsageQuery(kind=PeriodKind.CUSTOM, first=first, last=last, grain=Grain.MONTH, organization=organization)
