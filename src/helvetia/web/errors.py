"""What can go wrong at the border itself, before any service is asked."""

from helvetia.kernel.errors import Conflict, Forbidden, HelvetiaError, Invalid


class CrossSiteRequest(Forbidden):
    """This request did not come from our own pages, so it was refused. Nothing was changed."""

    code = "cross_site_request"


class FormExpired(Forbidden):
    """This form has expired, so nothing was changed. Load the page again and send it once more."""

    code = "form_expired"


class BodyTooLarge(HelvetiaError):
    """The request body is too large."""

    code = "body_too_large"
    status = 413


class BodyTooSlow(HelvetiaError):
    """The request body did not arrive in time."""

    code = "body_too_slow"
    status = 408


class TwoOrganizations(Invalid):
    """The query and the header name different organizations."""

    code = "two_organizations"


class InvalidIdempotencyKey(Invalid):
    """An Idempotency-Key is 1 to 255 printable ASCII characters."""

    code = "invalid_idempotency_key"


class KeyUsedForAnother(Invalid):
    """This Idempotency-Key was used for another request of this route. Nothing was done; use a new key."""

    code = "idempotency_key_reused"


class KeyInFlight(Conflict):
    """The first request with this Idempotency-Key is still being worked on. Ask again in a moment."""

    code = "idempotency_key_in_flight"

    def __init__(self) -> None:
        super().__init__(retry_after_s=2)


class AnswerNotKept(Conflict):
    """This was done before under the same Idempotency-Key; its answer held a secret, which is not kept."""

    code = "answer_not_kept"
