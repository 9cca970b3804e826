"""What can go wrong with subscribing, invoices and single reports."""

from helvetia.kernel.errors import Conflict, Invalid, NotFound


class PlanNotSold(Invalid):
    """FREE is not bought: every account begins with it. Choose STARTER, PRO or ENTERPRISE."""

    code = "plan_not_sold"


class AlreadySubscribed(Conflict):
    """The account has a live subscription; change its plan instead."""

    code = "already_subscribed"


class SubscribingInProgress(Conflict):
    """The account is being subscribed at this moment. Look again in a minute."""

    code = "subscribing_in_progress"


class InvoiceNotFound(NotFound):
    """There is no such invoice in this account."""

    code = "invoice_not_found"


class InvalidCursor(Invalid):
    """This cursor is not one that a page of ours ended with."""

    code = "invalid_cursor"


class InvalidReport(Invalid):
    """This value cannot be reported."""

    code = "invalid_report"
