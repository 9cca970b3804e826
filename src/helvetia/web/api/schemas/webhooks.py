"""What the webhook endpoint answers; what it takes is Stripe's own, and is read from the raw body."""

from helvetia.web.api.schemas.wire import WireAnswer


class WebhookAnswer(WireAnswer):
    """The event is kept; `duplicate` when it was already."""

    received: bool
    outcome: str
