"""What can be wrong with a webhook request."""

from helvetia.kernel.errors import HelvetiaError


class SignatureRefused(HelvetiaError):
    """The request is not signed by Stripe with a secret of this endpoint."""

    code = "webhook_signature_refused"
    status = 400


class SignatureMalformed(SignatureRefused):
    """The request has no readable Stripe-Signature header."""

    code = "webhook_signature_malformed"


class SignatureOutOfTime(SignatureRefused):
    """The signature was made too long ago, or by a clock that is ahead of ours."""

    code = "webhook_signature_out_of_time"


class TooManyBadSignatures(HelvetiaError):
    """Too many requests from this address were not signed by Stripe; what is signed is always taken."""

    code = "too_many_bad_signatures"
    status = 429


class EventMalformed(HelvetiaError):
    """The body is signed, but it is not an event of Stripe's."""

    code = "webhook_event_malformed"
    status = 400


class WrongMode(HelvetiaError):
    """The event is of the other mode: test events are not taken with a live key, nor live ones with a test key."""

    code = "webhook_wrong_mode"
    status = 400
