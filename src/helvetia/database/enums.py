"""The enum types of the schema and the classes that their words become."""

from enum import Enum

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.quantity import UsageMetric
from helvetia.kernel.status import SubscriptionStatus

DATABASE_ENUMS: tuple[tuple[str, type[Enum]], ...] = (
    ("subscription_plan", SubscriptionPlan),
    ("subscription_status", SubscriptionStatus),
    ("usage_metric", UsageMetric),
)
