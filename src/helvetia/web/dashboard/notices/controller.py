"""The page of notices: newest first, each with what became of it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from helvetia.billing.model import PageCursor
from helvetia.notifications.service import NotificationService
from helvetia.web.dashboard.frame import PageName, account_query
from helvetia.web.dashboard.notices.view import to_view
from helvetia.web.dashboard.pages import Pages
from helvetia.web.middleware.authenticate import BillingReader

_SHOWN = 25
_PATH = "/billing/notifications"

Text = Annotated[str, Query(max_length=300)]


class NoticePageController:
    def __init__(self, pages: Pages, notifications: NotificationService) -> None:
        self._pages = pages
        self._notifications = notifications

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(_PATH, self.show, methods=["GET"], include_in_schema=False)

    async def show(self, request: Request, caller: BillingReader, cursor: Text = "") -> Response:
        """What the account was told."""
        before = _position(cursor) if cursor else None
        found = await self._notifications.list_notifications(caller.account_id, before=before, limit=_SHOWN + 1)
        shown, following = found[:_SHOWN], None
        if len(found) > _SHOWN:
            last = PageCursor(happened_at=shown[-1].due_at, thing_id=str(shown[-1].notification_id))
            query = account_query(caller.membership)
            following = f"{_PATH}{query}{'&' if query else '?'}cursor={last.to_wire()}"
        view = to_view(shown, following, self._pages.voice(request))
        return await self._pages.render(request, caller, "notices/notices.html", view, page=PageName.OVERVIEW)


def _position(cursor: str) -> tuple[datetime, UUID] | None:
    """Where the page before ended; from the start for what is no such place. Raises InvalidCursor."""
    found = PageCursor.from_wire(cursor)
    try:
        return found.happened_at, UUID(found.thing_id)
    except ValueError:
        return None
