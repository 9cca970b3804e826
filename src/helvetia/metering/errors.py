"""What can go wrong with usage and its boundaries."""

from helvetia.kernel.errors import Conflict, Invalid, NotFound, NotSignedIn


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


class InvalidBatch(Invalid):
    """This is not a batch of readings."""

    code = "invalid_batch"


class InvalidNodeName(Invalid):
    """A node's name has 1 to 63 small letters, digits, dots and dashes."""

    code = "invalid_node_name"


class NodeNotFound(NotFound):
    """There is no such node, or it has no token in force."""

    code = "node_not_found"


class NodeRefused(NotSignedIn):
    """This node's token is not valid."""

    code = "node_refused"


class ClockSkewed(Conflict):
    """The node's clock differs too much from the server's; set it by NTP. Its readings wait until then."""

    code = "clock_skewed"
