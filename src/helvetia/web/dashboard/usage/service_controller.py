"""One service, and why a figure is what it is, as pages: the evidence behind every amount."""

from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.errors import MeteredServiceNotFound
from helvetia.web.dashboard.frame import PageName, account_query
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.usage.query import read_query
from helvetia.web.dashboard.usage.read_facts import UsageReader
from helvetia.web.dashboard.usage.service_view import to_service_view
from helvetia.web.dashboard.usage.view import SERVICES, WHY
from helvetia.web.dashboard.usage.why_view import PIECES, to_piece_view, to_why_view
from helvetia.web.middleware.authenticate import BillingReader

_PIECES_A_PAGE = 50
_CURSOR_MAX = 300


class ServiceUsagePageController:
    """Reads our own ledger only: it answers while Stripe does not."""

    def __init__(self, pages: Pages, reader: UsageReader, usage: UsageHistoryService) -> None:
        self._pages = pages
        self._reader = reader
        self._usage = usage

    def add_to(self, router: APIRouter) -> None:
        def add(path: str, endpoint: object) -> None:
            router.add_api_route(path, endpoint, methods=["GET"], include_in_schema=False)  # type: ignore[arg-type]

        add(f"{SERVICES}/{{service_id}}", self.show_service)
        add(WHY, self.show_why)
        add(f"{PIECES}/{{record_id}}", self.show_piece)

    async def show_service(self, request: Request, caller: BillingReader, service_id: UUID) -> Response:
        """One service: what it used, and when its containers lived."""
        voice = self._pages.voice(request)
        query = replace(read_query(request.query_params, voice.now), service_id=ServiceId(service_id))
        facts = await self._reader.read_query(caller.account_id, query, voice)
        if facts.history is None:
            raise MeteredServiceNotFound
        runs = await self._usage.runs(caller.account_id, query.to_filter(facts.period))
        view = to_service_view(facts, runs)
        return await self._pages.render(request, caller, "usage/service.html", view, page=PageName.USAGE)

    async def show_why(self, request: Request, caller: BillingReader) -> Response:
        """What one metric's figure is made of, for one service or all."""
        voice = self._pages.voice(request)
        query = read_query(request.query_params, voice.now)
        metric = query.metric or UsageMetric.COMPUTE_HOURS
        facts = await self._reader.read_query(caller.account_id, query, voice)
        cursor = request.query_params.get("cursor", "")[:_CURSOR_MAX] or None
        found = await self._usage.explain(
            caller.account_id,
            metric,
            facts.period,
            service_id=query.service_id,
            cursor=cursor,
            limit=_PIECES_A_PAGE,
        )
        view = to_why_view(facts, found, is_first_page=cursor is None)
        return await self._pages.render(request, caller, "usage/why.html", view, page=PageName.USAGE)

    async def show_piece(self, request: Request, caller: BillingReader, record_id: UUID) -> Response:
        """One piece of the ledger down to its readings."""
        found = await self._usage.evidence(caller.account_id, record_id)
        names = await self._usage.names(caller.account_id)
        name = names.get(found.piece.service_id, "") or str(found.piece.service_id)
        view = to_piece_view(found, name, account_query(caller.membership), self._pages.voice(request))
        return await self._pages.render(request, caller, "usage/piece.html", view, page=PageName.USAGE)
