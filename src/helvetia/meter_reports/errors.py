"""What can go wrong with reporting."""

from helvetia.kernel.errors import Conflict, Invalid, NotFound, Unavailable


class FlushInFuture(Invalid):
    """Usage can be flushed only through an instant that has passed."""

    code = "flush_in_future"


class StillRunning(Unavailable):
    """Containers of the account are still being stopped."""

    code = "still_running"


class ReportsStillDue(Unavailable):
    """Some usage could not be handed to Stripe yet; it is kept and sent again."""

    code = "reports_still_due"


class NotAllCounted(Unavailable):
    """Stripe's summaries do not hold everything that was sent yet."""

    code = "not_all_counted"


class NoCancellation(NotFound):
    """Nobody asked to end this account's subscription now, or it has ended."""

    code = "no_cancellation"


class UsageTaskNotFound(NotFound):
    """There is no such task."""

    code = "usage_task_not_found"


class UsageTaskChanged(Conflict):
    """The task is decided already, or its amount is another one now; look at it again."""

    code = "usage_task_changed"


class ReasonMissing(Invalid):
    """A decision about money needs a reason of 1 to 500 characters, which is kept."""

    code = "reason_missing"
