"""What can go wrong with a subscription."""

from helvetia.kernel.errors import Conflict, NotFound


class SubscriptionNotFound(NotFound):
    """There is no such account."""

    code = "subscription_not_found"


class SubscriptionStillLive(Conflict):
    """The account has a live subscription. Cancel it and wait for its end first."""

    code = "subscription_still_live"
