"""The page on a failed payment: what stops when and in which order, what is kept, and what brings it back."""

from contextlib import suppress
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.accounts.model import Permission
from helvetia.billing.model import PAGE_SIZE_MAX, InvoiceFilter
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.service import BillingService
from helvetia.enforcement.errors import InvalidStopOrder, NothingToChoose
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.identity import ServiceId
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.dashboard.blocks import read_block
from helvetia.web.dashboard.frame import PageName, account_query
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.suspension.facts import SuspensionFacts
from helvetia.web.dashboard.suspension.view import to_view
from helvetia.web.middleware.authenticate import BillingReader, Caller, MoneyMover, ServiceRunner
from helvetia.web.middleware.csrf import read_form

_SEE_OTHER = 303
_PATH = "/billing/suspension"
_SERVICES_MAX = 1_000


class SuspensionPageController:
    def __init__(
        self,
        pages: Pages,
        subscriptions: SubscriptionService,
        enforcement: EnforcementService,
        billing: BillingService,
        payments: PaymentService,
    ) -> None:
        self._pages = pages
        self._subscriptions = subscriptions
        self._enforcement = enforcement
        self._billing = billing
        self._payments = payments

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(_PATH, self.show, methods=["GET"], include_in_schema=False)
        router.add_api_route(f"{_PATH}/order", self.reorder, methods=["POST"], include_in_schema=False)
        router.add_api_route(f"{_PATH}/free", self.choose_free, methods=["POST"], include_in_schema=False)

    async def show(self, request: Request, caller: BillingReader, order: str = "") -> Response:
        """How things stand; `order=changed` says that an order could not be kept."""
        view = to_view(await self._read(request, caller), was_changed=order == "changed")
        return await self._pages.render(
            request, caller, "suspension/suspension.html", view, page=PageName.OVERVIEW, has_banner=False
        )

    async def reorder(self, request: Request, caller: ServiceRunner) -> Response:
        """Move one service up or down in the order that was shown; the same button twice is the same order."""
        form = await read_form(request)
        note = ""
        try:
            wanted = moved(form.get("order", "").split()[:_SERVICES_MAX], form.get("up", ""), form.get("down", ""))
            services = [ServiceId(UUID(one)) for one in wanted]
            await self._enforcement.set_stop_order(caller.account_id, services, actor=caller.actor)
        except (ValueError, InvalidStopOrder):
            note = "order=changed"
        query = "&".join(part for part in (account_query(caller.membership).removeprefix("?"), note) if part)
        return RedirectResponse(f"{_PATH}{'?' if query else ''}{query}#order", _SEE_OTHER)

    async def choose_free(self, _request: Request, caller: MoneyMover) -> Response:
        """After the end of a subscription, go on with FREE; a second press finds it chosen."""
        with suppress(NothingToChoose):
            await self._enforcement.choose_free(caller.account_id, actor=caller.actor)
        return RedirectResponse(f"/billing{account_query(caller.membership)}", _SEE_OTHER)

    async def _read(self, request: Request, caller: Caller) -> SuspensionFacts:
        account_id = caller.account_id
        found = await self._billing.get_invoices(account_id, limit=PAGE_SIZE_MAX, wanted=InvoiceFilter(status="open"))
        owed = [invoice for invoice in found.invoices if invoice.amount_remaining_minor > 0]
        return SuspensionFacts(
            subscription=await self._subscriptions.get_subscription(account_id),
            found=await self._enforcement.explain(account_id),
            open_invoices=sorted(owed, key=lambda invoice: invoice.issued_at),
            payments=await read_block("attempts", self._payments.known_payments(account_id)),
            may_pay=caller.allows(Permission.MOVE_MONEY),
            may_order=caller.allows(Permission.RUN_SERVICES),
            voice=self._pages.voice(request),
        )


def moved(order: list[str], up: str, down: str) -> list[str]:
    """The order with one service a place further up or down. Raises ValueError for one that is not in it."""
    name = up or down
    place = order.index(name)
    other = place - 1 if up else place + 1
    if 0 <= other < len(order):
        order[place], order[other] = order[other], order[place]
    return order
