"""What can go wrong with reporting."""

from helvetia.kernel.errors import Invalid, Unavailable


class FlushInFuture(Invalid):
    """Usage can be flushed only through an instant that has passed."""

    code = "flush_in_future"


class StillRunning(Unavailable):
    """Containers of the account are still being stopped."""

    code = "still_running"


class ReportsStillDue(Unavailable):
    """Some usage could not be handed to Stripe yet; it is kept and sent again."""

    code = "reports_still_due"
