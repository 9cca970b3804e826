"""What can be wrong with a question about usage."""

from helvetia.kernel.errors import Invalid, NotFound


class RangeReversed(Invalid):
    """The range must end after it starts."""

    code = "range_reversed"


class RangeInFuture(Invalid):
    """The range begins in the future; nothing was used there yet."""

    code = "range_in_future"


class RangeTooLong(Invalid):
    """The range is too long for this grain; ask for a coarser grain or a shorter range."""

    code = "range_too_long"


class TooManyRows(Invalid):
    """The answer would have too many rows; ask for a coarser grain, one service, or the export."""

    code = "too_many_rows"


class UnknownZone(Invalid):
    """There is no time zone of this name; use one of the IANA database, like Europe/Zurich."""

    code = "unknown_zone"


class InvalidUsageCursor(Invalid):
    """This cursor is not one that a page of ours ended with."""

    code = "invalid_cursor"


class UsageRecordNotFound(NotFound):
    """There is no such usage record in this account."""

    code = "usage_record_not_found"
