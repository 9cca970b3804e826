"""The pages' routes: each visit is guarded, read, and answered inside one transaction of its account."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from stripe_sandbox.context import Cause, Context
from stripe_sandbox.documents import Kind, random_text
from stripe_sandbox.driver import Driver
from stripe_sandbox.objects import account as accounts
from stripe_sandbox.pages import checkout, credit_note, guard, inspector, invoice, portal, render
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.store import Store
from stripe_sandbox.wire.errors import BadRequest, NotFound, StripeError
from stripe_sandbox.wire.forms import decode_form

MAX_FORM_BYTES = 20_000
LOG = logging.getLogger(__name__)
Answerer = Callable[[Request], Awaitable[Response]]


class Site:
    """All pages over one store."""

    def __init__(self, store: Store, kinds: Mapping[str, Kind], driver: Driver) -> None:
        """Bind the pages to the store that the API works on, and to the driver that moves its clocks."""
        self._store = store
        self._kinds = kinds
        self._driver = driver

    def routes(self) -> list[Route]:
        """Return the routes of every page."""
        pages = (*checkout.PAGES, *portal.PAGES, *invoice.PAGES, *credit_note.PAGES, *inspector.PAGES)
        return [
            Route("/static/sandbox.css", _style, methods=["GET"]),
            Route("/", _guarded(self._accounts), methods=["GET"]),
            Route("/inspect", _guarded(self._by_key), methods=["POST"]),
            Route("/inspect/{account}/advance", _guarded(self._advance), methods=["POST"]),
            *(Route(path, _guarded(self._visited(answer)), methods=[method]) for method, path, answer in pages),
        ]

    def _visited(self, answer: Callable[[Visit], Response]) -> Answerer:
        async def visited(request: Request) -> Response:
            form = await read_form(request)
            with self._store.transaction():
                response = answer(self._visit(request, form))
            self._driver.wake()
            return response

        return visited

    def _visit(self, request: Request, form: dict[str, str]) -> Visit:
        ids = dict(request.path_params)
        account = self._known(ids.pop("account"))
        cause = Cause(request_id="req_" + random_text(14))
        ctx = Context(self._store, self._kinds, account, cause)
        return Visit(ctx=ctx, ids=ids, form=form, query=dict(request.query_params), path=request.url.path)

    def _known(self, account: str) -> str:
        if self._store.row("SELECT 1 FROM accounts WHERE id=?", account) is None:
            raise NotFound("There is no such page.")
        return account

    async def _accounts(self, _request: Request) -> Response:
        return inspector.accounts(self._store)

    async def _by_key(self, request: Request) -> Response:
        """Lead from a secret key to its account."""
        key = (await read_form(request)).get("key", "")
        account = accounts.find_account(self._store, key) if key else None
        return render.go(f"/inspect/{account}") if account else inspector.unknown_key()

    async def _advance(self, request: Request) -> Response:
        """Move an account's own clock; everything due on the way happens before the answer."""
        form = await read_form(request)
        account = self._known(request.path_params["account"])
        now_s = accounts.clock_answer(self._store, account)["now"]
        await self._driver.advance(account, now_s + inspector.seconds_of(form))
        return render.go(f"/inspect/{account}")


def _guarded(answer: Answerer) -> Answerer:
    """Let only browsers of this machine in, and turn refusals and breakdowns into pages."""

    async def guarded(request: Request) -> Response:
        try:
            guard.check(request)
            return await answer(request)
        except StripeError as error:
            return render.notice("This does not work", error.message, status=error.status)
        except Exception:
            LOG.exception("the page %s failed and was rolled back", request.url.path)
            text = "Nothing was changed. The log of the sandbox says more."
            return render.notice("Something broke", text, status=500)

    return guarded


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a posted form; everything else has none."""
    if request.method != "POST":
        return {}
    body = await request.body()
    if len(body) > MAX_FORM_BYTES:
        raise BadRequest("The form is too large.")
    try:
        fields = decode_form(body.decode())
    except UnicodeDecodeError as error:
        raise BadRequest("The form is not valid UTF-8.") from error
    return {name: value.strip() for name, value in fields.items() if isinstance(value, str)}


async def _style(_request: Request) -> Response:
    return FileResponse(render.HERE / "static" / "sandbox.css", media_type="text/css")
