"""Expected conditions: one small class each; the docstring is the message, the class carries code and status.

HelvetiaError
├── Invalid            400/422  the request itself is wrong
├── NotSignedIn        401
├── PaymentRequired    402
├── Forbidden          403      role or limit
├── NotFound           404      also another tenant's object
├── Conflict           409
└── Unavailable        503      a part we depend on does not answer; nothing was changed
"""

import inspect
from collections.abc import Mapping


class HelvetiaError(Exception):
    """Something expected went wrong."""

    code: str = "error"
    status: int = 400

    def __init__(self, detail: str | None = None, **figures: object) -> None:
        self.detail = detail or inspect.cleandoc(type(self).__doc__ or "")
        self.figures: Mapping[str, object] = figures
        super().__init__(self.detail)


class Invalid(HelvetiaError):
    """The request is not valid."""

    code = "invalid"
    status = 422


class NotSignedIn(HelvetiaError):
    """Sign in, or send a valid API token."""

    code = "not_signed_in"
    status = 401


class PaymentRequired(HelvetiaError):
    """The subscription's payment state does not allow this."""

    code = "payment_required"
    status = 402


class Forbidden(HelvetiaError):
    """Your role does not allow this."""

    code = "forbidden"
    status = 403


class LimitReached(Forbidden):
    """The plan's limit is reached."""

    code = "limit_reached"


class NotFound(HelvetiaError):
    """There is no such thing here."""

    code = "not_found"
    status = 404


class Conflict(HelvetiaError):
    """The request conflicts with the present state."""

    code = "conflict"
    status = 409


class Unavailable(HelvetiaError):
    """A part that this needs does not answer; nothing was changed."""

    code = "unavailable"
    status = 503
