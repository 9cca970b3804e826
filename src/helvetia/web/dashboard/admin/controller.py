"""The operator's pages: signing in with the operator's token, the overview, and the list behind each number."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.kernel.clock import Clock
from helvetia.operations.model import ListName
from helvetia.operations.service import OperationsService
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.admin.session import COOKIE, LIFE, OperatorSignedOut, is_token, is_valid, issue
from helvetia.web.dashboard.admin.view import to_list_view, to_view
from helvetia.web.dashboard.render import Renderer
from helvetia.web.middleware.authenticate import Open
from helvetia.web.middleware.csrf import check_same_origin, read_form

HOME = "/admin/billing"
_SIGN_IN = "/admin/sign-in"
_SEE_OTHER = 303
OperatorPage = Annotated[None, Depends(Open("the operator shows a cookie of its own, which no user has"))]


class AdminPageController:
    def __init__(self, config: WebConfig, clock: Clock, renderer: Renderer, operations: OperationsService) -> None:
        self._config = config
        self._clock = clock
        self._renderer = renderer
        self._operations = operations

    def add_to(self, router: APIRouter) -> None:
        def add(path: str, endpoint: object, method: str) -> None:
            router.add_api_route(path, endpoint, methods=[method], include_in_schema=False)  # type: ignore[arg-type]

        add(_SIGN_IN, self.show_sign_in, "GET")
        add(_SIGN_IN, self.sign_in, "POST")
        add("/admin/sign-out", self.sign_out, "POST")
        add(HOME, self.show_overview, "GET")
        add(HOME + "/{name}", self.show_list, "GET")

    async def show_sign_in(self, request: Request, _page: OperatorPage) -> Response:
        """The form."""
        return self._renderer.render(request, "admin/sign_in.html", {"is_wrong": False})

    async def sign_in(self, request: Request, _page: OperatorPage) -> Response:
        """A cookie for who knows the token; the same form again for who does not."""
        check_same_origin(request, self._config)
        shown = (await read_form(request)).get("token", "")
        token = self._config.operator_token
        if not token or not is_token(token, shown):
            return self._renderer.render(request, "admin/sign_in.html", {"is_wrong": True}, status=403)
        response = RedirectResponse(HOME, _SEE_OTHER)
        self._set_cookie(response, issue(token, self._clock.wall()), int(LIFE.total_seconds()))
        return response

    async def sign_out(self, request: Request, _page: OperatorPage) -> Response:
        """Forget the cookie; the form comes from our own page only."""
        check_same_origin(request, self._config)
        response = RedirectResponse(_SIGN_IN, _SEE_OTHER)
        self._set_cookie(response, "", 0)
        return response

    async def show_overview(self, request: Request, _page: OperatorPage) -> Response:
        """What needs a decision."""
        if not self._is_operator(request):
            return RedirectResponse(_SIGN_IN, _SEE_OTHER)
        view = to_view(await self._operations.overview(), self._renderer.voice(request))
        return self._renderer.render(request, "admin/overview.html", {"view": view})

    async def show_list(self, request: Request, name: ListName, _page: OperatorPage) -> Response:
        """The rows behind a number."""
        if not self._is_operator(request):
            raise OperatorSignedOut
        voice = self._renderer.voice(request)
        view = to_list_view(await self._operations.list_rows(name), self._clock.now(), voice)
        return self._renderer.render(request, "admin/list.html", {"view": view})

    def _is_operator(self, request: Request) -> bool:
        return is_valid(self._config.operator_token, request.cookies.get(COOKIE, ""), self._clock.wall())

    def _set_cookie(self, response: Response, value: str, life_s: int) -> None:
        response.set_cookie(
            COOKIE, value, max_age=life_s, path="/admin", secure=self._config.is_https, httponly=True, samesite="strict"
        )
