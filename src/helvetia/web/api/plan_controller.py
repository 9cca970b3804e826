"""Plans: what there is, buying one by checkout, the portal, changing, ending and resuming.

Money moves only on a confirmed preview; every answer of failure says whether anything was charged.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from helvetia.billing.service import BillingService
from helvetia.kernel.clock import Clock
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.web.api.schemas.billing import SubscriptionAnswer, to_wire_subscription
from helvetia.web.api.schemas.plans import (
    CancelRequest,
    CancelWhen,
    ChangeAnswer,
    ChangeRequest,
    CheckoutAnswer,
    CheckoutRequest,
    PlanListAnswer,
    PortalAnswer,
    PortalRequest,
    PreviewAnswer,
    PreviewRequest,
    to_wire_outcome,
    to_wire_plan,
    to_wire_preview,
)
from helvetia.web.middleware.authenticate import BillingReader, Caller, MoneyMover


class PlanController:
    """The plan of the selected account."""

    def __init__(self, clock: Clock, billing: BillingService) -> None:
        self._clock = clock
        self._billing = billing

    def add_to(self, router: APIRouter) -> None:
        def add(path: str, endpoint: Callable[..., Awaitable[object]], method: str = "POST") -> None:
            router.add_api_route(f"/api/v1/billing/{path}", endpoint, methods=[method], tags=["billing"])

        add("plans", self.list_plans, "GET")
        add("checkout", self.open_checkout)
        add("portal", self.open_portal)
        add("subscription/preview", self.preview_change)
        add("subscription/change", self.change_plan)
        add("subscription/cancel", self.cancel)
        add("subscription/resume", self.resume)

    async def list_plans(self, caller: BillingReader) -> PlanListAnswer:
        """Every plan with its fee and limits, and what of this account would not fit it."""
        offers = await self._billing.list_plans(caller.account_id)
        return PlanListAnswer(plans=[to_wire_plan(offer) for offer in offers])

    async def open_checkout(self, caller: MoneyMover, wanted: CheckoutRequest) -> CheckoutAnswer:
        """The page on which the plan is bought; one at a time. A subscriber changes the plan instead (409)."""
        session = await self._billing.create_checkout_session(caller.account_id, wanted.plan, actor=caller.actor)
        return CheckoutAnswer(session_id=session.session_id, url=session.url or "")

    async def open_portal(self, caller: MoneyMover, wanted: PortalRequest | None = None) -> PortalAnswer:
        """A visit to Stripe's portal: payment methods, invoices, billing details, the end of the subscription."""
        page = None if wanted is None else wanted.flow
        return PortalAnswer(url=await self._billing.create_portal_session(caller.account_id, page, actor=caller.actor))

    async def preview_change(self, caller: MoneyMover, wanted: PreviewRequest) -> PreviewAnswer:
        """What changing the plan would do, and charge now, to the cent. Changes nothing."""
        preview = await self._billing.preview_update(caller.account_id, wanted.plan, actor=caller.actor)
        return to_wire_preview(preview)

    async def change_plan(self, caller: MoneyMover, wanted: ChangeRequest) -> ChangeAnswer:
        """Do what the preview showed. When it would be something else by now: 409 with the new preview, nothing done.

        A bigger plan begins now, if it is paid; a smaller one with the next period; FREE ends the subscription then.
        """
        outcome = await self._billing.update_subscription(
            caller.account_id, wanted.plan, wanted.preview_token, actor=caller.actor
        )
        return to_wire_outcome(outcome)

    async def cancel(self, caller: MoneyMover, wanted: CancelRequest | None = None) -> SubscriptionAnswer:
        """End the subscription with the period, or now: then what was used is billed first, in the background."""
        now = wanted is not None and wanted.when is CancelWhen.NOW
        record = await self._billing.cancel_subscription(caller.account_id, now=now, actor=caller.actor)
        return await self._answer(caller, record)

    async def resume(self, caller: MoneyMover) -> SubscriptionAnswer:
        """Take back a planned end or a scheduled smaller plan."""
        return await self._answer(
            caller, await self._billing.resume_subscription(caller.account_id, actor=caller.actor)
        )

    async def _answer(self, caller: Caller, record: SubscriptionRecord) -> SubscriptionAnswer:
        pending = await self._billing.pending_change(caller.account_id)
        return to_wire_subscription(record, pending, self._clock.now())
