"""Why something may not run, or an operator's wish may not be carried out."""

from helvetia.kernel.errors import Conflict, Invalid, LimitReached, NotFound, PaymentRequired


class ServiceLimitReached(LimitReached):
    """The plan has no room for one more service. Delete one, or change to the plan named here."""

    code = "service_limit_reached"


class MemoryLimitReached(LimitReached):
    """The plan has no room for this much memory. Reserve less, stop something, or change to the plan named here."""

    code = "memory_limit_reached"


class CpuLimitReached(LimitReached):
    """The plan has no room for this many CPU cores. Reserve less, stop something, or change to the plan named here."""

    code = "cpu_limit_reached"


class BandwidthLimitReached(LimitReached):
    """This period's bandwidth is used up. Wait for the next period, or change to the plan named here."""

    code = "bandwidth_limit_reached"


class StorageLimitReached(LimitReached):
    """The plan's storage is used up. Delete data, or change to the plan named here."""

    code = "storage_limit_reached"


class NewWorkRefused(PaymentRequired):
    """Nothing new is started until the open invoice is paid."""

    code = "payment_past_due"


class SubscriptionUnpaid(NewWorkRefused):
    """The last payments failed: what runs goes on for now, and nothing new is started until the invoice is paid."""

    code = "subscription_unpaid"


class PaymentOverdue(NewWorkRefused):
    """The grace period after a failed payment is over. Pay the open invoice; services then come back by themselves."""

    code = "payment_overdue"


class SubscriptionEnded(NewWorkRefused):
    """The subscription has ended. Choose FREE or a plan; services then come back as far as it allows."""

    code = "subscription_ended"


class NothingToChoose(Conflict):
    """FREE can be chosen once a subscription has ended."""

    code = "subscription_not_ended"


class InvalidOverride(Invalid):
    """An override needs a reason, and an end in the future."""

    code = "invalid_override"


class PassNotFound(NotFound):
    """There is no such pass."""

    code = "pass_not_found"


class InvalidStopOrder(Invalid):
    """The order names each service of the account at most once, and no others."""

    code = "invalid_stop_order"
