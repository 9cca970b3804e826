"""One call to Stripe: never inside a transaction, never without an end, and every failure in our own words.

What Stripe answered is read from the body itself, so that JSON numbers become exact decimals and never floats.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import aiohttp
import stripe

from helvetia.database.pool import assert_no_transaction
from helvetia.kernel.errors import HelvetiaError
from helvetia.stripe_gateway.errors import (
    AlreadyUsedIdentifier,
    CardDeclined,
    MeterEventAhead,
    MeterEventOutOfTime,
    StripeNotAuthorized,
    StripeObjectMissing,
    StripeRateLimited,
    StripeRefused,
    StripeUnavailable,
)
from helvetia.stripe_gateway.fields import Json, read_rows
from helvetia.stripe_gateway.time_limit import call_ends_s

PAGE_SIZE = 100
PAGES_MAX = 10
ATTEMPT_S = 10.0  # one HTTP exchange
CALL_S = 40.0  # all attempts of the SDK and its pauses together

# Not verified with a real key: how Stripe words that a meter event's identifier was used before.
IDENTIFIER_USED_WORDS = "already exists with identifier"
_TOO_OLD_CODE = "timestamp_too_far_in_past"
_AHEAD_CODE = "timestamp_in_future"
_STATUS_NOT_FOUND = 404
_STATUS_RATE_LIMITED = 429
_STATUS_BAD_REQUEST = 400
_STATUS_SERVER_ERROR = 500
_STATUS_CONFLICT = 409


class _Answered(Protocol):
    @property
    def last_response(self) -> Any: ...


async def call(request: Awaitable[_Answered]) -> Json:
    """Make the request and return Stripe's JSON.

    Raises:
        StripeUnavailable, StripeRateLimited, StripeNotAuthorized, StripeRefused, StripeObjectMissing, CardDeclined,
        AlreadyUsedIdentifier, MeterEventOutOfTime
    """
    try:
        async with asyncio.timeout_at(call_ends_s(CALL_S)):
            answer = await request
    except stripe.StripeError as error:
        raise to_our_error(error) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise StripeUnavailable from error
    body: Json = json.loads(answer.last_response.body, parse_float=Decimal)
    return body


@dataclass(frozen=True, slots=True)
class _Unread:
    """An answer that the SDK made no objects of."""

    last_response: stripe.StripeResponse


def plain_list(client: stripe.StripeClient, path: str) -> Callable[[dict[str, Any]], Awaitable[_Unread]]:
    """A list read from its body alone: the SDK's objects of a long page cost more than all else of reading it."""

    async def list_page(wanted: dict[str, Any]) -> _Unread:
        return _Unread(await client.raw_request_async("get", path, **wanted))

    return list_page


async def all_pages(list_page: Callable[..., Awaitable[Any]], wanted: dict[str, Any]) -> list[Json]:
    """Every object of a list, at most PAGES_MAX pages of PAGE_SIZE."""
    found: list[Json] = []
    after: dict[str, Any] = {}
    for _ in range(PAGES_MAX):
        answer = await call(list_page({**wanted, "limit": PAGE_SIZE, **after}))
        rows = read_rows(answer)
        found.extend(rows)
        if not answer["has_more"] or not rows:
            break
        after = {"starting_after": rows[-1]["id"]}
    return found


def refuse_transaction() -> None:
    """First in every method, before the coroutine of the call even exists."""
    assert_no_transaction()


def to_our_error(error: stripe.StripeError) -> HelvetiaError:
    """The SDK's exception in our words; one that is not known is treated as not answered, which is safe to repeat."""
    status = error.http_status or 0
    request_id = error.request_id
    detail = error.user_message
    if isinstance(error, stripe.CardError):
        return CardDeclined(detail, declineCode=_decline_code(error), requestId=request_id)
    if isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
        return StripeNotAuthorized(requestId=request_id)
    if isinstance(error, stripe.RateLimitError) or status == _STATUS_RATE_LIMITED:
        return StripeRateLimited(requestId=request_id)
    if (
        isinstance(error, stripe.APIConnectionError)
        or status < _STATUS_BAD_REQUEST  # done perhaps, but its answer was spoilt on the way
        or status == _STATUS_CONFLICT
        or status >= _STATUS_SERVER_ERROR
    ):
        return StripeUnavailable(requestId=request_id)
    return _refusal(error, status, detail, request_id)


def _refusal(error: stripe.StripeError, status: int, detail: str | None, request_id: str | None) -> HelvetiaError:
    if detail is not None and IDENTIFIER_USED_WORDS in detail:
        return AlreadyUsedIdentifier(requestId=request_id)
    if error.code == _AHEAD_CODE:
        return MeterEventAhead(requestId=request_id)
    if error.code == _TOO_OLD_CODE:
        return MeterEventOutOfTime(requestId=request_id)
    if status == _STATUS_NOT_FOUND or (status == _STATUS_BAD_REQUEST and error.code == "resource_missing"):
        return StripeObjectMissing(detail, requestId=request_id)
    return StripeRefused(detail, stripeCode=error.code, requestId=request_id)


def _decline_code(error: stripe.CardError) -> str | None:
    details = getattr(error, "error", None)
    return getattr(details, "decline_code", None) or error.code
