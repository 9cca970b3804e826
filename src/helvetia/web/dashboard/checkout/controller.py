"""The two pages that Stripe's checkout leads back to.

The address only says which checkout is meant; it is looked up, and one that is not this account's shows nothing.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.billing.plan_change.plan_facts_service import PlanFactsService
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.dashboard.checkout.view import LOOKS_MAX, to_cancel_view, to_success_view
from helvetia.web.dashboard.frame import PageName, account_query
from helvetia.web.dashboard.pages import Pages
from helvetia.web.middleware.authenticate import BillingReader

_SEE_OTHER = 303
SessionId = Annotated[str | None, Query(max_length=300)]
Look = Annotated[int, Query(ge=0, le=LOOKS_MAX)]


class CheckoutPageController:
    def __init__(self, pages: Pages, facts: PlanFactsService, subscriptions: SubscriptionService) -> None:
        self._pages = pages
        self._facts = facts
        self._subscriptions = subscriptions

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/billing/success", self.show_success, methods=["GET"], include_in_schema=False)
        router.add_api_route("/billing/cancel", self.show_cancel, methods=["GET"], include_in_schema=False)

    async def show_success(
        self, request: Request, caller: BillingReader, session_id: SessionId = None, look: Look = 0
    ) -> Response:
        """What came of this checkout; without one there is nothing to tell."""
        if session_id is None:
            return RedirectResponse(f"/billing{account_query(caller.membership)}", _SEE_OTHER)
        outcome = await self._facts.read_checkout(caller.account_id, session_id)
        view = to_success_view(outcome, self._pages.voice(request), look=look)
        headers = {}
        if view.next_look is not None:
            query = account_query(caller.membership).replace("?", "&", 1)
            address = f"/billing/success?session_id={session_id}&look={view.next_look}{query}"
            headers["Refresh"] = f"{view.refresh_s}; url={address}"
        return await self._pages.render(
            request, caller, "checkout/back.html", view, page=PageName.PLANS, headers=headers
        )

    async def show_cancel(self, request: Request, caller: BillingReader) -> Response:
        """Nothing was bought, unless our records say otherwise."""
        record = await self._subscriptions.get_subscription(caller.account_id)
        view = to_cancel_view(record, self._pages.voice(request))
        return await self._pages.render(request, caller, "checkout/back.html", view, page=PageName.PLANS)
