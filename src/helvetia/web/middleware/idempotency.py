"""`Idempotency-Key` on every POST of the API: the same request under the same key is done once and answered alike.

A key belongs to an account and a route, and lives 24 h. What did something (or moved a card) is kept and replayed with
`Idempotent-Replayed: true`; a refusal that did nothing frees the key. Another request under the key is refused, one
that is still in flight too. A key whose attempt died without an answer may be taken over by the same request after two
minutes; what a route does is safe to repeat by itself.
"""

import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import new_id
from helvetia.web.errors import AnswerNotKept, InvalidIdempotencyKey, KeyInFlight, KeyUsedForAnother
from helvetia.web.middleware import idempotency_store as store
from helvetia.web.middleware.authenticate import Needs
from helvetia.web.problems import problem_response

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
API_PREFIX = "/api/v1/"
KEY_LENGTH_MAX = 255
# A new token's secret is told once and kept nowhere, not even here.
SECRET_ANSWERS = frozenset({"/api/v1/tokens"})
_STATUS_ERROR = 400
_STATUS_PAYMENT_REQUIRED = 402

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class IdempotentAnswers:
    """The stored answers; the application holds one."""

    def __init__(self, database: Database, clock: Clock, bounds: store.Bounds | None = None) -> None:
        self._database = database
        self._clock = clock
        self._bounds = bounds or store.Bounds()

    async def answer(self, keyed: store.KeyedRequest, do: Callable[[], Awaitable[Response]]) -> Response:
        """The stored answer, or that of doing it now.

        Raises:
            KeyUsedForAnother, KeyInFlight, AnswerNotKept, and what `do` raises
        """
        claim_id = new_id()
        stored = await self._claim(keyed, claim_id)
        if stored is not None:
            return _replay(keyed, stored)
        try:
            response = await do()
        except BaseException:
            await self._free(keyed, claim_id)
            raise
        if response.status_code >= _STATUS_ERROR and response.status_code != _STATUS_PAYMENT_REQUIRED:
            await self._free(keyed, claim_id)
            return response
        await self._keep(keyed, claim_id, response)
        return response

    async def _claim(self, keyed: store.KeyedRequest, claim_id: UUID) -> store.StoredAnswer | None:
        wall = self._clock.wall()
        async with self._database.transaction() as tx:
            await store.forget_expired(tx, wall)
            if await store.claim(tx, keyed, claim_id, wall=wall, bounds=self._bounds):
                return None
            found = await store.find(tx, keyed)
        if found is None:
            raise KeyInFlight
        return found

    async def _keep(self, keyed: store.KeyedRequest, claim_id: UUID, response: Response) -> None:
        is_secret = keyed.route.partition(" ")[2] in SECRET_ANSWERS
        answer = store.StoredAnswer(
            request_hash=keyed.request_hash,
            status=response.status_code,
            media_type=response.headers.get("content-type"),
            body=None if is_secret else bytes(response.body),
        )
        async with self._database.transaction() as tx:
            await store.keep(tx, keyed, claim_id, answer)

    async def _free(self, keyed: store.KeyedRequest, claim_id: UUID) -> None:
        async with self._database.transaction() as tx:
            await store.free(tx, keyed, claim_id)


def _replay(keyed: store.KeyedRequest, stored: store.StoredAnswer) -> Response:
    if stored.request_hash != keyed.request_hash:
        raise KeyUsedForAnother
    if stored.status is None:
        raise KeyInFlight
    if stored.body is None:
        raise AnswerNotKept
    headers = {REPLAYED_HEADER: "true"}
    if stored.media_type is not None:
        headers["Content-Type"] = stored.media_type
    return Response(stored.body, stored.status, headers)


class IdempotentRoute(APIRoute):
    """A route that, as a POST of the API with a key, is answered through the stored answers.

    The caller is found and allowed first, so that a replay tells nobody more than the request itself would.
    """

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()
        needs = next((one.call for one in self.dependant.dependencies if isinstance(one.call, Needs)), None)
        if needs is None or "POST" not in (self.methods or ()) or not self.path.startswith(API_PREFIX):
            return handle

        async def handle_once(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None:
                return await handle(request)
            keyed = await self._keyed(request, needs, key)
            answers: IdempotentAnswers = request.app.state.idempotent_answers
            return await answers.answer(keyed, lambda: _answer_problems(handle, request))

        return handle_once

    async def _keyed(self, request: Request, needs: Needs, key: str) -> store.KeyedRequest:
        if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
            raise InvalidIdempotencyKey
        caller = await needs(request)
        whole = hashlib.sha256(f"{request.url.path}?{request.url.query}\n".encode())
        whole.update(await request.body())
        return store.KeyedRequest(
            account_id=caller.account_id,
            route=f"POST {self.path}",
            key_hash=hashlib.sha256(key.encode()).hexdigest(),
            request_hash=whole.hexdigest(),
        )


async def _answer_problems(handle: _Handler, request: Request) -> Response:
    """A declined card is an answer to keep, like a success; every other refusal passes as it is."""
    try:
        return await handle(request)
    except HelvetiaError as error:
        if error.status != _STATUS_PAYMENT_REQUIRED:
            raise
        return problem_response(request, error)
