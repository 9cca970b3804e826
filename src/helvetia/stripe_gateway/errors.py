"""What can go wrong at Stripe, as the rest of the product sees it."""

from collections.abc import Sequence

from helvetia.kernel.errors import Conflict, HelvetiaError, NotFound, PaymentRequired, Unavailable


class StripeUnavailable(Unavailable):
    """Stripe does not answer. Whether it did what was asked is not known; asking again is safe."""

    code = "stripe_unavailable"


class StripeRateLimited(Unavailable):
    """Stripe asks to slow down; nothing was done. Try again in a moment."""

    code = "stripe_rate_limited"


class StripeNotAuthorized(Unavailable):
    """Stripe does not accept the secret key, or the key may not do this. Check STRIPE_SECRET_KEY."""

    code = "stripe_not_authorized"


class StripeRefused(HelvetiaError):
    """Stripe refused the request as it stands; repeating it would not help."""

    code = "stripe_refused"
    status = 422


class MeterEventOutOfTime(StripeRefused):
    """Stripe takes usage of the last 35 days only, and at most 5 minutes ahead."""

    code = "meter_event_out_of_time"


class MeterEventAhead(MeterEventOutOfTime):
    """Stripe's time has not come to the event's yet; it takes it later."""

    code = "meter_event_ahead"


class StripeObjectMissing(NotFound):
    """Stripe knows no such object."""

    code = "stripe_object_missing"


class CardDeclined(PaymentRequired):
    """The card was declined. Try another one."""

    code = "card_declined"


class AlreadyUsedIdentifier(Conflict):
    """Stripe has taken an event of this identifier before."""

    code = "already_used_identifier"


class PriceMismatch(Unavailable):
    """The prices at Stripe are not the ones that this product sells."""

    code = "price_mismatch"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("The prices at Stripe do not fit: " + "; ".join(problems), problems=self.problems)


class PricesNotVerified(Unavailable):
    """The prices at Stripe are not verified; nothing is reported or sold until they are."""

    code = "prices_not_verified"
