"""Why a report is not taken back from the customer it went to."""

from helvetia.kernel.errors import Conflict, NotFound, Unavailable


class ReportNotFound(NotFound):
    """There is no report of this identifier."""

    code = "report_not_found"


class ReportNotMisdirected(Conflict):
    """The report went to the customer whose usage it is; what is wrong with its amount, the next difference mends."""

    code = "report_not_misdirected"


class ReportNotAtStripe(Conflict):
    """Stripe does not hold this report: it is rejected, or dead and the operator's by its task."""

    code = "report_not_at_stripe"


class ReportBusy(Conflict):
    """Whether the last attempt to send it arrived is not known yet; ask again in a quarter of an hour."""

    code = "report_busy"


class RedirectionTooLate(Conflict):
    """Stripe takes an event back within 24 hours of receiving it only; credit the other customer by hand."""

    code = "redirection_too_late"


class WrongInvoiceFinal(Conflict):
    """The other customer's invoice for it is final, and taking it back would not change it; credit that invoice."""

    code = "wrong_invoice_final"


class RedirectionInDoubt(Unavailable):
    """Stripe's answer was lost, its key is over, and its summary does not tell whether the event was taken back."""

    code = "redirection_in_doubt"
