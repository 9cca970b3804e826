"""A page of an account: its content within the frame of who reads it, for which account, and what they may open."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse

from helvetia.accounts.service import AccountService
from helvetia.web.dashboard.frame import PageName, to_frame
from helvetia.web.dashboard.render import Renderer
from helvetia.web.dashboard.voice import Voice
from helvetia.web.middleware.authenticate import Caller


class Pages:
    """What every page controller renders with."""

    def __init__(self, renderer: Renderer, accounts: AccountService) -> None:
        self._renderer = renderer
        self._accounts = accounts

    def voice(self, request: Request) -> Voice:
        """How this reader is spoken to."""
        return self._renderer.voice(request)

    async def render(
        self,
        request: Request,
        caller: Caller,
        template: str,
        view: object,
        *,
        page: PageName,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """The whole page; the template reads `view` and `frame`, and speaks with `say`, `many` and `voice`."""
        memberships = await self._accounts.memberships(caller.user.account_id)
        frame = to_frame(caller, memberships, self.voice(request), page=page)
        values = {"frame": frame, "view": view}
        return self._renderer.render(request, template, values, status=status, headers=headers)

    def render_part(self, request: Request, caller: Caller, template: str, view: object) -> HTMLResponse:
        """A fragment without its frame, for a page that is already open."""
        frame = to_frame(caller, (), self.voice(request), page=None)
        return self._renderer.render(request, template, {"frame": frame, "view": view})
