"""HTTP request → validated call → one transaction → answer. Every answer carries a Request-Id.

An expected refusal is Stripe's envelope with its status; anything unexpected is a 500 ``api_error``. In both cases the
work's transaction is rolled back whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stripe_sandbox import API_VERSION, faults
from stripe_sandbox.clock import DAY_S
from stripe_sandbox.connections import cut
from stripe_sandbox.context import Cause, Context
from stripe_sandbox.delivery import Deliverer
from stripe_sandbox.documents import Call, Doc, random_text
from stripe_sandbox.driver import Driver
from stripe_sandbox.objects import account as accounts
from stripe_sandbox.objects import meter_event_v2
from stripe_sandbox.objects.registry import all_kinds, build_router
from stripe_sandbox.pages.site import Site
from stripe_sandbox.store import Store
from stripe_sandbox.wire import idempotency
from stripe_sandbox.wire.credentials import read_key
from stripe_sandbox.wire.errors import BadRequest, NotFound, ServerFault, StripeError
from stripe_sandbox.wire.expand import expand
from stripe_sandbox.wire.forms import Raw, decode_form, decode_json
from stripe_sandbox.wire.idempotency import Answer
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Integer, table
from stripe_sandbox.wire.strike import ConnectionCut, around

MAX_BODY_BYTES = 1_000_000
METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]
_OWN_PATHS = "/_sandbox/"
_V2_PATHS = "/v2/"
_API_PATHS = ("/v1/", "/v2/")
_ADVANCE_PATH = "/_sandbox/clock/advance"
# A bound on every loop: an advance ends, and its dates exist.
_FURTHEST_S = 20 * 366 * DAY_S
_ADVANCE = table({"seconds": Integer(minimum=1, maximum=_FURTHEST_S), "to": Integer(minimum=1)})
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrival:
    """One request after its transport was read."""

    method: str
    path: str
    account: str
    request_id: str
    key: str | None
    raw: dict[str, Raw]


class Server:
    """The API over one store."""

    def __init__(self, store: Store, webhook: tuple[str, str] | None = None) -> None:
        """Bind the API to a store; ``webhook`` is the (url, secret) every account gets as an endpoint."""
        self._store = store
        self._kinds = all_kinds()
        self._router = build_router()
        self._webhook = webhook
        self._accounts: dict[str, str] = {}
        self._in_flight: set[tuple[str, str, str]] = set()
        self._driver = Driver(store, self._kinds)
        self._deliverer = Deliverer(store, self._kinds)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            *(Route(f"{root}{{path:path}}", self._answer, methods=METHODS) for root in _API_PATHS),
            Route("/healthz", _healthz, methods=["GET"]),
            *Site(self._store, self._kinds, self._driver).routes(),
            Route("/{path:path}", self._answer, methods=METHODS),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        workers = [asyncio.create_task(worker.run()) for worker in (self._driver, self._deliverer)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            self._store.close()

    async def _answer(self, request: Request) -> Response:
        request_id = "req_" + random_text(14)
        rule = idempotency.rule_of(request.scope["path"])
        key = (request.headers.get("idempotency-key") or None) if request.method in rule.methods else None
        try:
            _check_version(request)
            account = self._account(request)
            answer = await self._reserved(request, account, request_id, key)
        except ConnectionCut:
            return await _cut_off(request)
        except StripeError as error:
            answer = _refusal(error, request_id, request.scope["path"])
        except Exception:
            LOG.exception("request %s failed", request_id)
            answer = _broken(request_id, request.scope["path"])
        return _respond(answer, key)

    def _account(self, request: Request) -> str:
        authorization = request.headers.get("authorization")
        if request.scope["path"] == meter_event_v2.STREAM:
            return meter_event_v2.account_of(self._store, (authorization or "").partition(" ")[2])
        secret_key = read_key(authorization)
        known = self._accounts.get(secret_key)
        if known is None:
            with self._store.transaction():
                known = accounts.find_account(self._store, secret_key) or accounts.open_account(self._store, secret_key)
                if self._webhook:
                    accounts.ensure_endpoint(self._store, self._kinds, known, self._webhook)
            self._accounts[secret_key] = known
        return known

    def _draw_faults(self, request: Request, account: str, cause: Cause) -> list[Doc]:
        """Return the faults that strike this request; only the API proper has faults."""
        path = request.scope["path"]
        if not path.startswith(_API_PATHS) or not faults.has_any(self._store, account):
            return []
        ctx = Context(self._store, self._kinds, account, cause)
        with self._store.transaction():
            return faults.for_request(ctx, request.method, path)

    async def _reserved(self, request: Request, account: str, request_id: str, key: str | None) -> Answer:
        """Hold the idempotency key from the first header to the answer."""
        if key is None:
            return await self._struck(request, account, request_id, None)
        idempotency.check_length(key)
        held = (idempotency.rule_of(request.scope["path"]).table, account, key)
        if held in self._in_flight:
            raise idempotency.in_flight(key)
        self._in_flight.add(held)
        try:
            return await self._struck(request, account, request_id, key)
        finally:
            self._in_flight.discard(held)

    async def _struck(self, request: Request, account: str, request_id: str, key: str | None) -> Answer:
        """Handle the request under the faults that strike it; its idempotency key is already held."""
        struck = self._draw_faults(request, account, Cause(request_id=request_id, idempotency_key=key))
        told = partial(_refusal, request_id=request_id, path=request.scope["path"])
        return await around(struck, told, lambda: self._handle(request, account, request_id, key))

    async def _handle(self, request: Request, account: str, request_id: str, key: str | None) -> Answer:
        raw = await _read_params(request)
        path = request.scope["path"]
        arrival = _Arrival(method=request.method, path=path, account=account, request_id=request_id, key=key, raw=raw)
        if path == _ADVANCE_PATH and request.method == "POST":
            return await self._advance(arrival)
        found = self._router.match(request.method, path)
        if found is None:
            raise _unrecognized(request.method, path)
        digest = idempotency.fingerprint(arrival.method, path, raw)
        if key and (kept := idempotency.recall(self._store, idempotency.rule_of(path), (account, key), digest)):
            return kept
        endpoint, ids = found
        params = endpoint.params.parse(raw, "") or {}
        answer = self._execute(arrival, endpoint, (ids, params), digest)
        self._afterwards(arrival)
        return answer

    def _afterwards(self, arrival: _Arrival) -> None:
        if arrival.path.endswith("/advance"):
            self._driver.wake()
        if arrival.method == "DELETE" and arrival.path == "/_sandbox/account":
            self._accounts = {key: name for key, name in self._accounts.items() if name != arrival.account}

    def _execute(self, arrival: _Arrival, endpoint: Endpoint, what: tuple[tuple[str, ...], Doc], digest: str) -> Answer:
        """Run the handler in one transaction; the answer of an idempotent request is kept with it."""
        try:
            with self._store.transaction():
                answer = self._run(arrival, endpoint, what)
                self._keep(arrival, digest, answer)
        except StripeError as error:
            answer = _refusal(error, arrival.request_id, arrival.path)
        except Exception:
            LOG.exception("request %s failed and was rolled back", arrival.request_id)
            answer = _broken(arrival.request_id, arrival.path)
        else:
            return answer
        with self._store.transaction():
            self._keep(arrival, digest, answer)
        return answer

    def _run(self, arrival: _Arrival, endpoint: Endpoint, what: tuple[tuple[str, ...], Doc]) -> Answer:
        ids, params = what
        cause = Cause(request_id=arrival.request_id, idempotency_key=arrival.key)
        ctx = Context(self._store, self._kinds, arrival.account, cause)
        try:
            shown = endpoint.handler(Call(ctx=ctx, ids=ids, params=params))
            body = expand(ctx, shown, params.get("expand") or ())
        except StripeError as error:
            if not error.keeps_changes:
                raise
            return _refusal(error, arrival.request_id, arrival.path)
        return Answer(status=200, body=_dump(body), request_id=arrival.request_id)

    def _keep(self, arrival: _Arrival, digest: str, answer: Answer) -> None:
        if arrival.key:
            rule = idempotency.rule_of(arrival.path)
            idempotency.keep(self._store, rule, (arrival.account, arrival.key), digest, answer)

    async def _advance(self, arrival: _Arrival) -> Answer:
        params: Doc = _ADVANCE.parse(arrival.raw, "") or {}
        if ("seconds" in params) == ("to" in params):
            raise BadRequest("Give either seconds or to.", param="seconds")
        now_s = accounts.clock_answer(self._store, arrival.account)["now"]
        target_s = params["to"] if "to" in params else now_s + params["seconds"]
        if target_s < now_s:
            raise BadRequest("The clock cannot go back.", param="to")
        if target_s > now_s + _FURTHEST_S:
            raise BadRequest("The clock cannot go further than twenty years at once.", param="to")
        await self._driver.advance(arrival.account, target_s)
        body = _dump(accounts.clock_answer(self._store, arrival.account))
        return Answer(status=200, body=body, request_id=arrival.request_id)


def _check_version(request: Request) -> None:
    sent = request.headers.get("stripe-version", API_VERSION)
    if sent != API_VERSION:
        raise BadRequest(f"Invalid Stripe API version: {sent}. This sandbox speaks {API_VERSION} only.")


async def _read_params(request: Request) -> dict[str, Raw]:
    query = decode_form(request.url.query)
    if request.method != "POST":
        return query
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise BadRequest("The request body is too large.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("The request body is not valid UTF-8.") from error
    if request.scope["path"].startswith(_V2_PATHS):
        return query | decode_json(text)
    own = request.scope["path"].startswith(_OWN_PATHS)
    if own and request.headers.get("content-type", "").startswith("application/json"):
        return query | _flat_json(text)
    return query | decode_form(text)


def _flat_json(text: str) -> dict[str, Raw]:
    """The sandbox's own controls take JSON as well; its values are read as if they had come by form."""
    try:
        sent = json.loads(text or "{}")
    except ValueError as error:
        raise BadRequest("The request body is not valid JSON.") from error
    if not isinstance(sent, dict):
        raise BadRequest("The request body must be a JSON object.")
    return {name: _as_sent(value) for name, value in sent.items() if value is not None}


def _as_sent(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unrecognized(method: str, path: str) -> StripeError:
    return NotFound(f"Unrecognized request URL ({method}: {path}).")


def _refusal(error: StripeError, request_id: str, path: str) -> Answer:
    body = error.envelope_v2() if path.startswith(_V2_PATHS) else error.envelope(request_id)
    return Answer(status=error.status, body=_dump(body), request_id=request_id)


def _broken(request_id: str, path: str) -> Answer:
    fault = ServerFault("An unexpected error occurred inside the sandbox; nothing was changed.")
    return _refusal(fault, request_id, path)


def _dump(body: Doc) -> str:
    return json.dumps(body, separators=(",", ":"))


def _respond(answer: Answer, key: str | None) -> Response:
    headers = {"Request-Id": answer.request_id, "Stripe-Version": API_VERSION, **answer.headers}
    if key:
        headers["Idempotency-Key"] = key
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    if answer.status == 401:  # noqa: PLR2004 - HTTP
        headers["WWW-Authenticate"] = 'Bearer realm="Stripe"'
    return Response(answer.body, answer.status, headers, media_type="application/json")


async def _cut_off(request: Request) -> Response:
    """Reset the connection; whoever calls without one (a test of the application) sees an empty answer."""
    await cut(request)
    return Response(status_code=500)


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
