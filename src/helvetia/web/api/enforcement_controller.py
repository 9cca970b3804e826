"""What is in force for the account and why; the order of stopping; the choice of FREE; notices; the local mailbox."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from helvetia.enforcement.errors import InvalidStopOrder
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.errors import Invalid
from helvetia.kernel.identity import ServiceId
from helvetia.notifications.errors import MailboxForbidden
from helvetia.notifications.service import NotificationService
from helvetia.web.api.house_controller import is_this_machine
from helvetia.web.api.schemas.enforcement import (
    EnforcementAnswer,
    LanguageAnswer,
    LanguageRequest,
    NotificationListAnswer,
    StopOrderAnswer,
    StopOrderRequest,
    to_wire_enforcement,
    to_wire_notification,
    to_wire_order,
)
from helvetia.web.dashboard.render import Renderer
from helvetia.web.middleware.authenticate import BillingReader, MoneyMover, Open, ServiceRunner

At = Annotated[datetime | None, Query(description="What would be in force then, by what is known now (a rehearsal).")]
Limit = Annotated[int, Query(ge=1, le=100)]
_BASE = "/api/v1/billing/enforcement"


class InvalidInstant(Invalid):
    """`at` is an instant with its offset, such as 2026-03-08T12:00:00Z."""

    code = "invalid_instant"


class EnforcementController:
    def __init__(self, enforcement: EnforcementService) -> None:
        self._enforcement = enforcement

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(_BASE, self.get_enforcement, methods=["GET"], tags=["billing"])
        router.add_api_route(f"{_BASE}/stop-order", self.set_stop_order, methods=["PUT"], tags=["billing"])
        router.add_api_route(f"{_BASE}/free", self.choose_free, methods=["POST"], tags=["billing"])

    async def get_enforcement(self, caller: BillingReader, at: At = None) -> EnforcementAnswer:
        """What is in force, why, until when, and what happens next in which order."""
        if at is not None and at.tzinfo is None:
            raise InvalidInstant
        return to_wire_enforcement(await self._enforcement.explain(caller.account_id, at))

    async def set_stop_order(self, caller: ServiceRunner, wanted: StopOrderRequest) -> StopOrderAnswer:
        """Which services are stopped first, should any have to be."""
        try:
            services = [ServiceId(UUID(one)) for one in wanted.services]
        except ValueError as error:
            raise InvalidStopOrder from error
        await self._enforcement.set_stop_order(caller.account_id, services, actor=caller.actor)
        found = await self._enforcement.explain(caller.account_id)
        return StopOrderAnswer(services=to_wire_order(found))

    async def choose_free(self, caller: MoneyMover) -> EnforcementAnswer:
        """After the end of a subscription, go on with FREE; what does not fit it stays held."""
        await self._enforcement.choose_free(caller.account_id, actor=caller.actor)
        return to_wire_enforcement(await self._enforcement.explain(caller.account_id))


class NotificationController:
    """Notices of the account, and the mailbox that stands in for a mail server."""

    def __init__(self, notifications: NotificationService, renderer: Renderer) -> None:
        self._notifications = notifications
        self._renderer = renderer

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/api/v1/notifications", self.list_notifications, methods=["GET"], tags=["billing"])
        router.add_api_route("/api/v1/notifications/language", self.set_language, methods=["PUT"], tags=["billing"])
        router.add_api_route("/mailbox", self.get_mailbox, methods=["GET"], include_in_schema=False)

    async def list_notifications(self, caller: BillingReader, limit: Limit = 50) -> NotificationListAnswer:
        """Notices of the account with their delivery, newest first."""
        found = await self._notifications.list_notifications(caller.account_id, limit=limit)
        language = await self._notifications.language(caller.account_id)
        return NotificationListAnswer(notifications=[to_wire_notification(one) for one in found], language=language)

    async def set_language(self, caller: MoneyMover, wanted: LanguageRequest) -> LanguageAnswer:
        """The language of the account's notices: `en` or `de`."""
        await self._notifications.set_language(caller.account_id, wanted.language, actor=caller.actor)
        return LanguageAnswer(language=wanted.language)

    async def get_mailbox(
        self, request: Request, _peer: Annotated[None, Depends(Open("only this machine may read it"))]
    ) -> Response:
        """Mail that no server took away, readable on this machine only."""
        if self._notifications.sends_mail or not is_this_machine(request):
            raise MailboxForbidden
        return self._renderer.render(request, "mailbox.html", {"messages": await self._notifications.read_mailbox()})
