"""Rules of the plans' limits, pure."""

from helvetia.catalogue.plans import PLANS, UNLIMITED, SubscriptionPlan


def smallest_plan_for_services(count: int) -> SubscriptionPlan:
    """The first plan, in the order they are sold, that has room for this many services."""
    for plan in PLANS.values():
        if plan.limits.services_max == UNLIMITED or plan.limits.services_max >= count:
            return plan.code
    return SubscriptionPlan.ENTERPRISE
