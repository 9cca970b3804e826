"""The overview of an account: read part by part, rendered whole."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from helvetia.accounts.model import AccountKind, Permission
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.frame import PageName
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.overview.read_overview import OverviewParts, read_overview
from helvetia.web.dashboard.overview.view import to_view
from helvetia.web.dashboard.pages import Pages
from helvetia.web.middleware.authenticate import BillingReader, Caller


class OverviewController:
    """The overview. Its figures are our own ledger's, so it needs neither Stripe nor the engine."""

    def __init__(self, config: WebConfig, pages: Pages, parts: OverviewParts) -> None:
        self._config = config
        self._pages = pages
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/billing", self.show_overview, methods=["GET"], include_in_schema=False)

    async def show_overview(self, request: Request, caller: BillingReader) -> Response:
        """How things stand and what happens next."""
        view = to_view(await self._read(request, caller))
        return await self._pages.render(
            request, caller, "overview/overview.html", view, page=PageName.OVERVIEW, has_banner=False
        )

    async def _read(self, request: Request, caller: Caller) -> OverviewFacts:
        is_organization = caller.account.kind is AccountKind.ORGANIZATION
        return await read_overview(
            self._parts,
            caller.account_id,
            base_url=self._config.public_base_url,
            organization_id=caller.account_id if is_organization else None,
            voice=self._pages.voice(request),
            may_pay=caller.allows(Permission.MOVE_MONEY),
            may_read_services=caller.allows(Permission.READ_SERVICES),
        )
