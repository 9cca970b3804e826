"""Ending a subscription as a page: with the period, or now with a final bill; each with what it means."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.billing.errors import CancellationUnderWay, NotSubscribed
from helvetia.billing.plan_change.plan_facts_service import PlanFactsService
from helvetia.billing.service import BillingService
from helvetia.catalogue.plans import PLANS
from helvetia.costs.service import CostService
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.dashboard.frame import PageName, account_query
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.voice import Voice
from helvetia.web.middleware.authenticate import Caller, MoneyMover
from helvetia.web.middleware.csrf import read_form

_SEE_OTHER = 303
_UNPROCESSABLE = 422
_PATH = "/billing/plans/end"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndView:
    """`word` has to be typed before anything ends now."""

    title: str
    as_of: str
    at_end_note: str
    at_end_button: str
    now_note: str
    now_button: str
    word: str
    complaint: str | None
    keep: str


class PlanEndPageController:
    def __init__(
        self,
        pages: Pages,
        billing: BillingService,
        facts: PlanFactsService,
        subscriptions: SubscriptionService,
        costs: CostService,
    ) -> None:
        self._pages = pages
        self._billing = billing
        self._facts = facts
        self._subscriptions = subscriptions
        self._costs = costs

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(_PATH, self.show, methods=["GET"], include_in_schema=False)
        router.add_api_route(_PATH, self.end, methods=["POST"], include_in_schema=False)

    async def show(self, request: Request, caller: MoneyMover) -> Response:
        """Both ways to end, side by side; without a live subscription the plans."""
        return await self._render(request, caller)

    async def end(self, request: Request, caller: MoneyMover) -> Response:
        """Plan the end, or end now once the plan's name was typed; ending twice is ending once."""
        form = await read_form(request)
        is_now = form.get("when") == "now"
        subscription = await self._subscriptions.get_subscription(caller.account_id)
        if is_now and form.get("word", "").strip().casefold() != PLANS[subscription.plan].title.casefold():
            return await self._render(request, caller, lacks_word=True)
        try:
            await self._billing.cancel_subscription(caller.account_id, now=is_now, actor=caller.actor)
        except (NotSubscribed, CancellationUnderWay):
            return self._to_plans(caller)
        return self._to_plans(caller)

    async def _render(self, request: Request, caller: Caller, *, lacks_word: bool = False) -> Response:
        subscription = await self._subscriptions.get_subscription(caller.account_id)
        if not subscription.is_live_at_stripe or await self._facts.ending_since(caller.account_id) is not None:
            return self._to_plans(caller)
        usage = await self._costs.current_usage(caller.account_id)
        voice = self._pages.voice(request)
        used = voice.money(usage.usage_minor, subscription.currency)
        ends_at = subscription.cancel_at or subscription.period.ends_at
        view = _to_view(PLANS[subscription.plan].title, voice.day(ends_at), used, voice, lacks_word=lacks_word)
        status = _UNPROCESSABLE if lacks_word else 200
        return await self._pages.render(
            request, caller, "plan_change/end.html", view, page=PageName.PLANS, status=status
        )

    def _to_plans(self, caller: Caller) -> Response:
        return RedirectResponse(f"/billing/plans{account_query(caller.membership)}", _SEE_OTHER)


def _to_view(plan: str, day: str, used: str, voice: Voice, *, lacks_word: bool) -> EndView:
    return EndView(
        title=voice.say("End {plan}?", plan=plan),
        as_of=voice.say("Data and usage records are kept either way."),
        at_end_note=voice.say(
            "Everything runs until {day}. The last invoice has the usage until then, {used} so far, and no new fee."
            " You can take it back until that day.",
            day=day,
            used=used,
        ),
        at_end_button=voice.say("End {plan} on {day}", plan=plan, day=day),
        now_note=voice.say(
            "Services stop now. The final invoice has the usage so far, about {used}; the rest of the fee is not paid"
            " back. This cannot be taken back.",
            used=used,
        ),
        now_button=voice.say("End {plan} now, pay about {used}", plan=plan, used=used),
        word=plan,
        complaint=voice.say("Type {plan} to end it now. Nothing was changed.", plan=plan) if lacks_word else None,
        keep=voice.say("Keep {plan}", plan=plan),
    )
