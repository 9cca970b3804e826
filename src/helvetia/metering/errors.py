"""What can go wrong with usage and its boundaries."""

from helvetia.kernel.errors import Conflict, Invalid, NotFound


class MeteredServiceNotFound(NotFound):
    """There is no such service in this account."""

    code = "service_not_found"


class InvalidUsage(Invalid):
    """This usage record is not valid."""

    code = "invalid_usage"


class InvalidPeriod(Invalid):
    """The period must end after it starts, and both must carry a time zone."""

    code = "invalid_period"


class UsageKeyTaken(Conflict):
    """This idempotency key already names a usage record with other content."""

    code = "usage_key_taken"


class BoundaryInFuture(Invalid):
    """Usage can be closed only through an instant that has passed."""

    code = "boundary_in_future"
