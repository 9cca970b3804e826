"""The pages of an account: each reads what it shows, and renders it whole."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from helvetia.accounts.model import AccountKind, Permission
from helvetia.billing.service import BillingService
from helvetia.containers.model import Service
from helvetia.containers.service import ContainerService
from helvetia.costs.service import CostService
from helvetia.kernel.identity import AccountId
from helvetia.subscriptions.model import limits_of
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.frame import PageName
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.overview.view import to_view
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.voice import Voice
from helvetia.web.middleware.authenticate import BillingReader, Caller

_INVOICES_SHOWN = 6
_SERVICE_PAGE = 100
_SERVICE_PAGES_MAX = 10


class OverviewController:
    """The overview; it reads our own ledger only, so it needs neither Stripe nor the engine."""

    def __init__(
        self,
        config: WebConfig,
        pages: Pages,
        subscriptions: SubscriptionService,
        costs: CostService,
        billing: BillingService,
        containers: ContainerService,
    ) -> None:
        self._config = config
        self._pages = pages
        self._subscriptions = subscriptions
        self._costs = costs
        self._billing = billing
        self._containers = containers

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/billing", self.show_overview, methods=["GET"], include_in_schema=False)

    async def show_overview(self, request: Request, caller: BillingReader) -> Response:
        """How things stand and what happens next."""
        view = to_view(await self._read_overview(caller, self._pages.voice(request)))
        return await self._pages.render(request, caller, "overview/overview.html", view, page=PageName.OVERVIEW)

    async def _read_overview(self, caller: Caller, voice: Voice) -> OverviewFacts:
        account_id = caller.account_id
        subscription = await self._subscriptions.get_subscription(account_id)
        may_read_services = caller.allows(Permission.READ_SERVICES)
        is_organization = caller.account.kind is AccountKind.ORGANIZATION
        return OverviewFacts(
            subscription=subscription,
            limits=limits_of(subscription),
            usage=await self._costs.current_usage(account_id),
            invoices=(await self._billing.get_invoices(account_id, limit=_INVOICES_SHOWN)).invoices,
            services=await self._read_services(account_id) if may_read_services else None,
            organization_id=account_id if is_organization else None,
            base_url=self._config.public_base_url,
            voice=voice,
            may_pay=caller.allows(Permission.MOVE_MONEY),
            offer=await self._billing.payment_offer(account_id),
        )

    async def _read_services(self, account_id: AccountId) -> list[Service]:
        """All services, at most 1,000: what they reserve together is shown beside the limits."""
        services: list[Service] = []
        for _ in range(_SERVICE_PAGES_MAX):
            after = services[-1].service_id if services else None
            page = await self._containers.list_services(account_id, after, _SERVICE_PAGE)
            services += page
            if len(page) < _SERVICE_PAGE:
                break
        return services
