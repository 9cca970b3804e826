"""Signing in and out, as pages.

Before there is a session, a cookie of its own binds the form to the browser that asked for it, so that no other site
can sign somebody in under its own account. Where a sign-in leads is fixed here, never taken from the request.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.accounts.errors import TooManyAttempts, WrongCredentials
from helvetia.accounts.secrets import new_session_secret
from helvetia.accounts.service import AccountService
from helvetia.web.client_address import client_address
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.render import Renderer
from helvetia.web.errors import FormExpired
from helvetia.web.middleware.authenticate import Open, SignedIn
from helvetia.web.middleware.csrf import check_same_origin, csrf_token, has_csrf_token, read_form
from helvetia.web.problems import problem_headers

HOME = "/billing"
_FORM_LIFE_S = 12 * 3_600
_SESSION_LIFE_S = 12 * 3_600
_SEE_OTHER = 303
Visitor = Annotated[None, Depends(Open("who signs in is not signed in yet"))]


class SignInController:
    def __init__(self, accounts: AccountService, config: WebConfig, renderer: Renderer) -> None:
        self._accounts = accounts
        self._config = config
        self._renderer = renderer

    def add_to(self, router: APIRouter) -> None:
        def add(path: str, endpoint: object, method: str) -> None:
            router.add_api_route(path, endpoint, methods=[method], include_in_schema=False)  # type: ignore[arg-type]

        add("/", self.go_home, "GET")
        add("/sign-in", self.show_form, "GET")
        add("/sign-in", self.sign_in, "POST")
        add("/sign-out", self.sign_out, "POST")

    async def go_home(self, _visitor: Visitor) -> Response:
        """The front door leads to the overview."""
        return RedirectResponse(HOME, _SEE_OTHER)

    async def show_form(self, request: Request, _visitor: Visitor) -> Response:
        """The form."""
        return self._form(request)

    async def sign_in(self, request: Request, _visitor: Visitor) -> Response:
        """Open a session, or show the form again with what is wrong; an earlier session of this browser ends."""
        check_same_origin(request, self._config)
        if not await has_csrf_token(request, request.cookies.get(self._config.form_cookie, "")):
            raise FormExpired
        fields = await read_form(request)
        email, password = fields.get("email", ""), fields.get("password", "")
        address = client_address(request, self._config)
        try:
            session = await self._accounts.sign_in(email, password, address=address)
        except (WrongCredentials, TooManyAttempts) as error:
            return self._form(request, email=email[:254], error=error)
        earlier = request.cookies.get(self._config.session_cookie)
        if earlier:
            await self._accounts.sign_out(earlier)
        response = RedirectResponse(HOME, _SEE_OTHER)
        self._set_cookie(response, self._config.session_cookie, session.secret, _SESSION_LIFE_S)
        self._set_cookie(response, self._config.form_cookie, "", 0)
        return response

    async def sign_out(self, caller: SignedIn) -> Response:
        """End the session, here and on the server."""
        if caller.session_secret is not None:
            await self._accounts.sign_out(caller.session_secret)
        response = RedirectResponse("/sign-in", _SEE_OTHER)
        self._set_cookie(response, self._config.session_cookie, "", 0)
        return response

    def _form(
        self, request: Request, *, email: str = "", error: WrongCredentials | TooManyAttempts | None = None
    ) -> Response:
        browser = request.cookies.get(self._config.form_cookie) or new_session_secret()
        values = {"csrf_token": csrf_token(browser), "email": email, "complaint": error and error.detail}
        status, headers = (200, {}) if error is None else (error.status, problem_headers(error))
        response = self._renderer.render(request, "sign_in.html", values, status=status, headers=headers)
        self._set_cookie(response, self._config.form_cookie, browser, _FORM_LIFE_S)
        return response

    def _set_cookie(self, response: Response, name: str, value: str, life_s: int) -> None:
        response.set_cookie(
            name, value, max_age=life_s, path="/", secure=self._config.is_https, httponly=True, samesite="lax"
        )
