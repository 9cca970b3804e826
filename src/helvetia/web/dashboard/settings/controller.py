"""The settings page: each form saves one thing and comes back here. Works without scripts."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.accounts.errors import InvalidName, TooManyOrganizations
from helvetia.accounts.model import AccountKind, Permission
from helvetia.accounts.reader_settings_service import ReaderSettingsService, time_zones
from helvetia.accounts.service import AccountService
from helvetia.kernel.errors import HelvetiaError, Invalid
from helvetia.notifications.service import NotificationService
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.frame import PageName, account_query
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.render import THEME_COOKIE, THEMES
from helvetia.web.dashboard.settings.view import THEME_CHOICES, SettingsFacts, to_settings_view
from helvetia.web.middleware.authenticate import ORGANIZATION_PARAMETER, Caller, MoneyMover, SignedIn
from helvetia.web.middleware.csrf import read_form

_SEE_OTHER = 303
_PATH = "/billing/settings"
_YEAR_S = 365 * 24 * 3_600
Saved = Annotated[bool, Query()]


class UnknownTheme(Invalid):
    """The pages are light, dark, or as the system is."""

    code = "unknown_theme"


class SettingsPageController:
    def __init__(
        self,
        config: WebConfig,
        pages: Pages,
        accounts: AccountService,
        readers: ReaderSettingsService,
        notifications: NotificationService,
    ) -> None:
        self._config = config
        self._pages = pages
        self._accounts = accounts
        self._readers = readers
        self._notifications = notifications

    def add_to(self, router: APIRouter) -> None:
        add = router.add_api_route
        add(_PATH, self.show, methods=["GET"], include_in_schema=False)
        add(f"{_PATH}/reader", self.set_reader, methods=["POST"], include_in_schema=False)
        add(f"{_PATH}/theme", self.set_theme, methods=["POST"], include_in_schema=False)
        add(f"{_PATH}/notices", self.set_notices, methods=["POST"], include_in_schema=False)
        add(f"{_PATH}/organizations", self.found_organization, methods=["POST"], include_in_schema=False)

    async def show(self, request: Request, caller: SignedIn, *, saved: Saved = False) -> Response:
        """What the reader may see of it; everybody may set how the pages speak to them."""
        return await self._render(request, caller, is_saved=saved)

    async def set_reader(self, request: Request, caller: SignedIn) -> Response:
        """The reader's own language and time zone; no amount changes with them."""
        form = await read_form(request)
        await self._readers.set_reader(
            caller.user.account_id,
            language=form.get("language") or None,
            time_zone=form.get("timeZone") or None,
            actor=caller.actor,
        )
        return self._back(caller)

    async def set_theme(self, request: Request, caller: SignedIn) -> Response:
        """Kept in a cookie of this browser; `system` forgets it."""
        theme = (await read_form(request)).get("theme", "")
        if theme not in THEME_CHOICES:
            raise UnknownTheme
        response = self._back(caller)
        life_s = _YEAR_S if theme in THEMES else 0
        response.set_cookie(
            THEME_COOKIE, theme, max_age=life_s, path="/", secure=self._config.is_https, httponly=True, samesite="lax"
        )
        return response

    async def set_notices(self, request: Request, caller: MoneyMover) -> Response:
        """The language of the account's notices."""
        language = (await read_form(request)).get("language", "")
        await self._notifications.set_language(caller.account_id, language, actor=caller.actor)
        return self._back(caller)

    async def found_organization(self, request: Request, caller: SignedIn) -> Response:
        """A new organization, whose owner the reader is, and its overview."""
        name = (await read_form(request)).get("name", "")
        try:
            made = await self._accounts.create_organization(name, caller.user.account_id)
        except (InvalidName, TooManyOrganizations) as error:
            return await self._render(request, caller, error=error, typed_name=name[:100])
        return RedirectResponse(f"/billing?{ORGANIZATION_PARAMETER}={made.account_id}", _SEE_OTHER)

    async def _render(
        self,
        request: Request,
        caller: Caller,
        *,
        is_saved: bool = False,
        error: HelvetiaError | None = None,
        typed_name: str = "",
    ) -> Response:
        account_id = caller.account_id
        is_organization = caller.account.kind is AccountKind.ORGANIZATION
        lists_members = is_organization and caller.allows(Permission.MANAGE_ACCOUNT)
        reads_billing = caller.allows(Permission.READ_BILLING)
        facts = SettingsFacts(
            caller=caller,
            memberships=await self._accounts.memberships(caller.user.account_id),
            members=await self._readers.members(account_id) if lists_members else None,
            notice_language=await self._notifications.language(account_id) if reads_billing else None,
            zones=time_zones(),
            theme=request.cookies.get(THEME_COOKIE),
            voice=self._pages.voice(request),
            is_saved=is_saved,
            complaint=None if error is None else error.detail,
            typed_name=typed_name,
        )
        status = 200 if error is None else error.status
        view = to_settings_view(facts)
        return await self._pages.render(
            request, caller, "settings/settings.html", view, page=PageName.SETTINGS, status=status
        )

    def _back(self, caller: Caller) -> Response:
        query = account_query(caller.membership)
        return RedirectResponse(f"{_PATH}{query}{'&' if query else '?'}saved=true", _SEE_OTHER)
