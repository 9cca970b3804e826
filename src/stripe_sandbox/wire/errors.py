"""The refusals of the API, one small class or function per condition, in Stripe's envelope.

Stripe: ``{"error": {"type", "message"[, "code", "param", …]}}`` with absent keys left out; version 2 of the API has
``{"error": {"code", "message"[, …]}}``, its ``type`` only where a class of the SDK answers to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stripe_sandbox.documents import Doc

_DOCS = "https://stripe.com/docs/error-codes/"
_LOGS = "https://dashboard.stripe.com/test/logs/"
# What version 2 calls a refusal that has no code in version 1: an assumption, as Stripe documents no full list.
_V2_CODES = {400: "invalid_fields", 401: "unauthorized", 404: "not_found", 409: "conflict", 429: "rate_limit"}
_V2_TYPES = frozenset({"idempotency_error", "rate_limit", "temporary_session_expired"})


class StripeError(Exception):
    """A refusal with the HTTP status and the envelope it is answered with.

    ``keeps_changes`` is true for the few refusals that leave a trace, such as a declined payment of an invoice.
    """

    status = 400
    type = "invalid_request_error"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.extra = extra
        self.keeps_changes = False

    def told(self) -> Doc:
        """Return the refusal as an object that remembers it tells it."""
        error: Doc = {"type": self.type, "message": self.message}
        if self.code:
            error |= {"code": self.code, "doc_url": _DOCS + self.code.replace("_", "-")}
        if self.param:
            error["param"] = self.param
        return error | {key: value for key, value in self.extra.items() if value is not None}

    def envelope(self, request_id: str) -> Doc:
        """Return the JSON body of the answer."""
        return {"error": self.told() | {"request_log_url": _LOGS + request_id}}

    def envelope_v2(self) -> Doc:
        """Return the JSON body of the answer under version 2 of the API."""
        code = self.code or _V2_CODES.get(self.status, "internal_error")
        error: Doc = {"code": code, "message": self.message}
        for kind in _V2_TYPES & {self.type, code}:
            error["type"] = kind
        return {"error": error}


class BadRequest(StripeError):
    """The request cannot be carried out as it is."""


class NotFound(StripeError):
    """The path names nothing that exists."""

    status = 404


class Unauthorized(StripeError):
    """The secret key is missing or not one this sandbox takes."""

    status = 401


class SessionExpired(StripeError):
    """The token of a stream is older than its session lives."""

    status = 401
    type = "temporary_session_expired"


class CardDeclined(StripeError):
    """The card was refused by its (simulated) bank."""

    status = 402
    type = "card_error"


class InFlight(StripeError):
    """Another request with the same idempotency key has not been answered yet."""

    status = 409


class TooManyRequests(StripeError):
    """The object is busy; try again."""

    status = 429


class IdempotencyMismatch(StripeError):
    """The idempotency key was first used with other parameters."""

    type = "idempotency_error"


class ServerFault(StripeError):
    """Something unexpected broke inside the sandbox; nothing was changed."""

    status = 500
    type = "api_error"


def missing_object(label: str, object_id: str, param: str = "id") -> StripeError:
    """No object has this id. Stripe: 404 with param ``id`` for a path id, 400 with the field's name for a body id."""
    kind = NotFound if param == "id" else BadRequest
    return kind(f"No such {label}: '{object_id}'", code="resource_missing", param=param)


def missing_param(param: str) -> StripeError:
    """A required parameter is absent."""
    return BadRequest(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown_params(params: list[str]) -> StripeError:
    """Parameters were sent that the endpoint does not know."""
    plural = "s" if len(params) > 1 else ""
    return BadRequest(
        f"Received unknown parameter{plural}: {', '.join(params)}", code="parameter_unknown", param=params[0]
    )


def not_simulated(what: str, param: str | None = None) -> StripeError:
    """Stripe can do this, the sandbox cannot (yet); it says so rather than pretend."""
    return BadRequest(f"This sandbox does not simulate {what}.", code="sandbox_not_simulated", param=param)
