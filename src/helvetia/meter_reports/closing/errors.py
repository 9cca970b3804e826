"""Why an account cannot be deleted yet."""

from helvetia.kernel.errors import Conflict


class ServicesRemain(Conflict):
    """The account has services, or containers that have not ended. Delete the services first."""

    code = "services_remain"


class CancellationUnfinished(Conflict):
    """The subscription is being ended: its last usage is billed first. Try again in some minutes."""

    code = "cancellation_unfinished"


class UsageNotBilled(Conflict):
    """Usage of the account is not billed yet. Try again in some minutes."""

    code = "usage_not_billed"


class InvoicesNotSettled(Conflict):
    """An invoice of the account is not final, or not paid. Pay what is open first."""

    code = "invoices_not_settled"
