"""The plans of an account: side by side, and what follows a choice.

A choice leads to a preview for a subscriber, to Stripe's page for everybody else; what the button said when the page
was loaded does not matter, so an old page does no harm: nothing is charged before the next page is confirmed.
"""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.accounts.model import Permission
from helvetia.billing.errors import (
    AlreadySubscribed,
    CancellationScheduled,
    CancellationUnderWay,
    NothingToResume,
    NotSubscribed,
    PlanUnchanged,
    UnpaidInvoices,
)
from helvetia.billing.plan_change.plan_facts_service import PlanFactsService
from helvetia.billing.service import BillingService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.enforcement.errors import NothingToChoose
from helvetia.enforcement.model import PaymentState
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.errors import Invalid
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.dashboard.frame import PageName, account_query
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.plans.view import PlansFacts, PlansView, to_plans_view
from helvetia.web.middleware.authenticate import BillingReader, Caller, MoneyMover
from helvetia.web.middleware.csrf import read_form

SEE_OTHER = 303


class UnknownPlan(Invalid):
    """There is no such plan."""

    code = "unknown_plan"


class PlansPageController:
    def __init__(
        self,
        pages: Pages,
        billing: BillingService,
        facts: PlanFactsService,
        subscriptions: SubscriptionService,
        enforcement: EnforcementService,
    ) -> None:
        self._pages = pages
        self._billing = billing
        self._facts = facts
        self._subscriptions = subscriptions
        self._enforcement = enforcement

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/billing/plans", self.show, methods=["GET"], include_in_schema=False)
        router.add_api_route("/billing/plans/choose", self.choose, methods=["POST"], include_in_schema=False)
        router.add_api_route("/billing/plans/keep", self.keep, methods=["POST"], include_in_schema=False)

    async def show(self, request: Request, caller: BillingReader) -> Response:
        """Every plan with what fits; read from our own records, so Stripe may be away."""
        view = await self._view(request, caller)
        return await self._pages.render(request, caller, "plans/plans.html", view, page=PageName.PLANS)

    async def choose(self, request: Request, caller: MoneyMover) -> Response:
        """Lead to what has to be confirmed before anything is charged."""
        try:
            plan = SubscriptionPlan((await read_form(request)).get("plan", ""))
        except ValueError as error:
            raise UnknownPlan from error
        try:
            return RedirectResponse(await self._next_step(caller, plan), SEE_OTHER)
        except UnpaidInvoices:
            return RedirectResponse(f"/billing/pay{account_query(caller.membership)}", SEE_OTHER)
        except (AlreadySubscribed, CancellationScheduled, CancellationUnderWay, NotSubscribed, PlanUnchanged):
            return self._back(caller)

    async def keep(self, caller: MoneyMover) -> Response:
        """Take back a planned end or a smaller plan; there being nothing to take back is fine."""
        try:
            await self._billing.resume_subscription(caller.account_id, actor=caller.actor)
        except (NothingToResume, NotSubscribed, CancellationUnderWay):
            return self._back(caller)
        return self._back(caller)

    async def _next_step(self, caller: Caller, plan: SubscriptionPlan) -> str:
        query = account_query(caller.membership)
        if (await self._subscriptions.get_subscription(caller.account_id)).is_live_at_stripe:
            preview = await self._billing.preview_update(caller.account_id, plan, actor=caller.actor)
            return f"/billing/plans/change/{preview.change.change_id}{query}"
        if plan is not SubscriptionPlan.FREE:
            session = await self._billing.create_checkout_session(caller.account_id, plan, actor=caller.actor)
            return session.url or f"/billing/plans{query}"
        try:
            await self._enforcement.choose_free(caller.account_id, actor=caller.actor)
        except NothingToChoose:
            return f"/billing/plans{query}"
        return f"/billing/plans{query}"

    async def _view(self, request: Request, caller: Caller) -> PlansView:
        account_id = caller.account_id
        subscription = await self._subscriptions.get_subscription(account_id)
        verdict = (await self._enforcement.explain(account_id)).verdict
        return to_plans_view(
            PlansFacts(
                subscription=subscription,
                offers=await self._billing.list_plans(account_id),
                use=await self._facts.account_use(account_id),
                pending=await self._billing.pending_change(account_id),
                ending_since=await self._facts.ending_since(account_id),
                may_choose_free=verdict.state is PaymentState.ENDED,
                may_pay=caller.allows(Permission.MOVE_MONEY),
                voice=self._pages.voice(request),
            )
        )

    def _back(self, caller: Caller) -> Response:
        return RedirectResponse(f"/billing/plans{account_query(caller.membership)}", SEE_OTHER)
