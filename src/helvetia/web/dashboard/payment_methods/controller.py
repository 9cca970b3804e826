"""With what an account pays, and the way to Stripe's portal from any page that needs it.

No card number passes here: a form leads to the portal, which leads back to the same page.
"""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.accounts.model import Permission
from helvetia.billing.open_portal import PortalPage, PortalReturn
from helvetia.billing.payments.model import Methods
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.service import BillingService
from helvetia.kernel.errors import Invalid, Unavailable
from helvetia.kernel.identity import AccountId
from helvetia.web.dashboard.frame import PageName
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.payment_methods.view import to_methods_view
from helvetia.web.middleware.authenticate import BillingReader, MoneyMover
from helvetia.web.middleware.csrf import read_form

_SEE_OTHER = 303
_BACK_TO = {
    "overview": PortalReturn.OVERVIEW,
    "payment-methods": PortalReturn.PAYMENT_METHODS,
    "settings": PortalReturn.SETTINGS,
}


class UnknownPortalPage(Invalid):
    """The portal has no such page."""

    code = "unknown_portal_page"


class PaymentMethodsPageController:
    def __init__(self, pages: Pages, payments: PaymentService, billing: BillingService) -> None:
        self._pages = pages
        self._payments = payments
        self._billing = billing

    def add_to(self, router: APIRouter) -> None:
        add = router.add_api_route
        add("/billing/payment-methods", self.show, methods=["GET"], include_in_schema=False)
        add("/billing/portal", self.open_portal, methods=["POST"], include_in_schema=False)

    async def show(self, request: Request, caller: BillingReader) -> Response:
        """Cards as Stripe knows them; our copy with its age while Stripe is away."""
        methods = await self._read(caller.account_id)
        may_change = caller.allows(Permission.MOVE_MONEY)
        view = to_methods_view(methods, self._pages.voice(request), may_change=may_change)
        return await self._pages.render(request, caller, "payment_methods/methods.html", view, page=PageName.SETTINGS)

    async def open_portal(self, request: Request, caller: MoneyMover) -> Response:
        """Lead to the portal; it leads back to the page that is named, which is one of ours."""
        form = await read_form(request)
        flow, back = form.get("flow", ""), _BACK_TO.get(form.get("back", "overview"))
        if back is None or flow not in {"", *PortalPage}:
            raise UnknownPortalPage
        page = PortalPage(flow) if flow else None
        url = await self._billing.create_portal_session(caller.account_id, page, actor=caller.actor, back_to=back)
        return RedirectResponse(url, _SEE_OTHER)

    async def _read(self, account_id: AccountId) -> Methods | None:
        try:
            return await self._payments.list_methods(account_id)
        except Unavailable:
            return None
