"""A change of plan as a page of its own, under the token of its preview: shown, confirmed once, told afterwards.

Reloading, the back button and a second press of the button lead to the same change: the token is the change.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.billing.errors import NotSubscribed, PaymentInDoubt, PreviewOutdated, UnpaidInvoices
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.plan_change.model import ChangeState
from helvetia.billing.plan_change.plan_facts_service import PlanFactsService
from helvetia.billing.service import BillingService
from helvetia.costs.service import CostService
from helvetia.kernel.errors import Unavailable
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.errors import CardDeclined
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.dashboard.frame import PageName, account_query
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.plan_change.view import ChangeFacts, needs_consent, to_change_view
from helvetia.web.middleware.authenticate import Caller, MoneyMover
from helvetia.web.middleware.csrf import read_form

_SEE_OTHER = 303
_UNPROCESSABLE = 422
_PATH = "/billing/plans/change/{change_id}"
ChangeId = Annotated[UUID, Path(description="The token of a preview.")]


class PlanChangePageController:
    def __init__(
        self,
        pages: Pages,
        billing: BillingService,
        facts: PlanFactsService,
        subscriptions: SubscriptionService,
        costs: CostService,
        payments: PaymentService,
    ) -> None:
        self._pages = pages
        self._billing = billing
        self._facts = facts
        self._subscriptions = subscriptions
        self._costs = costs
        self._payments = payments

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(_PATH, self.show, methods=["GET"], include_in_schema=False)
        router.add_api_route(_PATH, self.confirm, methods=["POST"], include_in_schema=False)

    async def show(self, request: Request, caller: MoneyMover, change_id: ChangeId, is_new: bool = False) -> Response:  # noqa: FBT001, FBT002 - a query parameter
        """The preview while it holds, else what became of it."""
        return await self._render(request, caller, change_id, is_new=is_new)

    async def confirm(self, request: Request, caller: MoneyMover, change_id: ChangeId) -> Response:
        """Do what was shown, once; then the same page says what became of it."""
        preview, holds = await self._facts.show_change(caller.account_id, change_id)
        has_consent = (await read_form(request)).get("consent") == "yes"
        if holds and needs_consent(preview.change, preview.will_not_fit) and not has_consent:
            return await self._render(request, caller, change_id, lacks_consent=True)
        if not holds and preview.change.state is ChangeState.PREVIEWED:
            return self._to_page(caller, change_id)
        try:
            await self._billing.update_subscription(
                caller.account_id, preview.change.plan, change_id, actor=caller.actor
            )
        except PreviewOutdated as error:
            return self._to_page(caller, error.figures["preview_token"], is_new=True)
        except UnpaidInvoices:
            return RedirectResponse(f"/billing/pay{account_query(caller.membership)}", _SEE_OTHER)
        except NotSubscribed:
            return RedirectResponse(f"/billing/plans{account_query(caller.membership)}", _SEE_OTHER)
        except (CardDeclined, PaymentInDoubt):
            return self._to_page(caller, change_id)
        return self._to_page(caller, change_id)

    async def _render(
        self,
        request: Request,
        caller: Caller,
        change_id: UUID,
        *,
        is_new: bool = False,
        lacks_consent: bool = False,
    ) -> Response:
        account_id = caller.account_id
        preview, holds = await self._facts.show_change(account_id, change_id)
        facts = ChangeFacts(
            preview=preview,
            holds=holds,
            subscription=await self._subscriptions.get_subscription(account_id),
            usage_minor=(await self._costs.current_usage(account_id)).usage_minor,
            card=await self._card(account_id) if holds and preview.change.amount_due_minor else None,
            voice=self._pages.voice(request),
            confirm_url=await self._confirm_url(caller, change_id, preview.change.state),
            is_new=is_new,
            lacks_consent=lacks_consent,
        )
        status = _UNPROCESSABLE if lacks_consent else 200
        view = to_change_view(facts)
        return await self._pages.render(
            request, caller, "plan_change/change.html", view, page=PageName.PLANS, status=status
        )

    async def _confirm_url(self, caller: Caller, change_id: UUID, state: ChangeState) -> str | None:
        """Where the bank asks; a change that waits is only read by this, never made again."""
        if state is not ChangeState.PENDING:
            return None
        preview, _ = await self._facts.show_change(caller.account_id, change_id)
        outcome = await self._billing.update_subscription(
            caller.account_id, preview.change.plan, change_id, actor=caller.actor
        )
        return outcome.confirm_url

    async def _card(self, account_id: AccountId) -> str | None:
        """The default card, if it can be read: the page is whole without it."""
        try:
            methods = await self._payments.list_methods(account_id)
        except Unavailable:
            return None
        return next((one.label for one in methods.entries if one.is_default), None)

    def _to_page(self, caller: Caller, change_id: object, *, is_new: bool = False) -> Response:
        query = account_query(caller.membership)
        if is_new:
            query += "&is_new=true" if query else "?is_new=true"
        return RedirectResponse(f"/billing/plans/change/{change_id}{query}", _SEE_OTHER)
