"""The usage explorer as a page: its address tells all its filters."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from helvetia.web.dashboard.frame import PageName
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.usage.read_facts import UsageReader
from helvetia.web.dashboard.usage.view import EXPLORER, to_view
from helvetia.web.middleware.authenticate import BillingReader


class UsagePageController:
    """Reads our own ledger only: it answers while Stripe does not."""

    def __init__(self, pages: Pages, reader: UsageReader) -> None:
        self._pages = pages
        self._reader = reader

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(EXPLORER, self.show, methods=["GET"], include_in_schema=False)

    async def show(self, request: Request, caller: BillingReader) -> Response:
        """What was used, when, by which service, and what it costs."""
        facts = await self._reader.read(caller.account_id, request.query_params, self._pages.voice(request))
        return await self._pages.render(request, caller, "usage/explorer.html", to_view(facts), page=PageName.USAGE)
