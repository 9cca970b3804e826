"""The mission's four states of a subscription; Stripe's statuses map onto them in subscriptions/lifecycle.py."""

from enum import StrEnum


class SubscriptionStatus(StrEnum):
    ACTIVE = "ACTIVE"
    PAST_DUE = "PAST_DUE"
    CANCELED = "CANCELED"
    UNPAID = "UNPAID"
