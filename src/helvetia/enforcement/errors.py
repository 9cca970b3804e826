"""Why something may not run."""

from helvetia.kernel.errors import LimitReached


class ServiceLimitReached(LimitReached):
    """The plan has no room for one more service. Delete one, or change to the plan named here."""

    code = "service_limit_reached"
