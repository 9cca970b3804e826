"""The plans and their limits (the mission's table) and default monthly fees."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

UNLIMITED = -1


class SubscriptionPlan(StrEnum):
    FREE = "FREE"
    STARTER = "STARTER"
    PRO = "PRO"
    ENTERPRISE = "ENTERPRISE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What a plan allows; -1 (UNLIMITED) is never shown as a number. 1 GB = 2^30 and 1 MB = 2^20 bytes."""

    services_max: int
    memory_mb_max: int
    cpu_cores_max: Decimal
    bandwidth_gb_max: int
    storage_gb_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan: its name, its fee a month in cents of USD unless Stripe's price says otherwise, and its limits."""

    code: SubscriptionPlan
    title: str
    fee_minor: int
    limits: ResourceLimits


def _limits(services: int, memory_mb: int, cpu_cores: str, bandwidth_gb: int, storage_gb: int) -> ResourceLimits:
    return ResourceLimits(
        services_max=services,
        memory_mb_max=memory_mb,
        cpu_cores_max=Decimal(cpu_cores),
        bandwidth_gb_max=bandwidth_gb,
        storage_gb_max=storage_gb,
    )


PLANS: dict[SubscriptionPlan, Plan] = {
    plan.code: plan
    for plan in (
        Plan(code=SubscriptionPlan.FREE, title="Free", fee_minor=0, limits=_limits(1, 512, "0.5", 10, 5)),
        Plan(code=SubscriptionPlan.STARTER, title="Starter", fee_minor=900, limits=_limits(5, 2048, "2", 100, 50)),
        Plan(code=SubscriptionPlan.PRO, title="Pro", fee_minor=2900, limits=_limits(20, 8192, "8", 500, 200)),
        Plan(
            code=SubscriptionPlan.ENTERPRISE, title="Enterprise", fee_minor=19900, limits=_limits(-1, -1, "-1", -1, -1)
        ),
    )
}
PAID_PLANS = tuple(plan for plan in SubscriptionPlan if plan is not SubscriptionPlan.FREE)
