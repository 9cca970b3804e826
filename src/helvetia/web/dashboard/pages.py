"""A page of an account: its content within the frame of who reads it, for which account, and what they may open."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse

from helvetia.accounts.model import Permission
from helvetia.accounts.service import AccountService
from helvetia.enforcement.service import EnforcementService
from helvetia.web.dashboard.blocks import read_block
from helvetia.web.dashboard.frame import PageName, to_frame
from helvetia.web.dashboard.render import Renderer
from helvetia.web.dashboard.suspension.banner import Banner, to_banner
from helvetia.web.dashboard.voice import Voice
from helvetia.web.middleware.authenticate import Caller


class Pages:
    """What every page controller renders with."""

    def __init__(self, renderer: Renderer, accounts: AccountService, enforcement: EnforcementService) -> None:
        self._renderer = renderer
        self._accounts = accounts
        self._enforcement = enforcement

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
        has_banner: bool = True,
    ) -> HTMLResponse:
        """The whole page; the template reads `view` and `frame`, and speaks with `say`, `many` and `voice`.

        A payment that failed is told on every page, but on those whose content tells it (`has_banner` False).
        """
        memberships = await self._accounts.memberships(caller.user.account_id)
        voice = self.voice(request)
        banner = await self._banner(caller, voice) if has_banner else None
        frame = to_frame(caller, memberships, voice, page=page, banner=banner)
        values = {"frame": frame, "view": view}
        return self._renderer.render(request, template, values, status=status, headers=headers)

    async def _banner(self, caller: Caller, voice: Voice) -> Banner | None:
        if not caller.allows(Permission.READ_BILLING):
            return None
        standing = await read_block("banner", self._enforcement.standing(caller.account_id))
        return None if standing is None else to_banner(standing, voice)

    def render_part(self, request: Request, caller: Caller, template: str, view: object) -> HTMLResponse:
        """A fragment without its frame, for a page that is already open."""
        frame = to_frame(caller, (), self.voice(request), page=None)
        return self._renderer.render(request, template, {"frame": frame, "view": view})
