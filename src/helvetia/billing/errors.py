"""What can go wrong with subscribing, invoices and single reports."""

from helvetia.kernel.errors import Conflict, Invalid, NotFound, PaymentRequired, Unavailable


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


class CheckoutBusy(Conflict):
    """Another request of this account is at work with Stripe. Try again in a moment."""

    code = "billing_busy"


class UntrustedAddress(Unavailable):
    """Stripe's answer led to an address that is not Stripe's; it is not handed out. Nothing was charged."""

    code = "untrusted_address"


class NotSubscribed(Conflict):
    """The account has no live subscription. Subscribe by a checkout first."""

    code = "not_subscribed"


class PlanUnchanged(Conflict):
    """The account has this plan already."""

    code = "plan_unchanged"


class PlanUnclear(Conflict):
    """The subscription's present plan is not one of ours, so it cannot be changed here. We have been told."""

    code = "plan_unclear"


class UnpaidInvoices(PaymentRequired):
    """An invoice is unpaid. Pay it first, then change the plan."""

    code = "unpaid_invoices"


class CancellationScheduled(Conflict):
    """The subscription is about to end. Resume it first, then change the plan."""

    code = "cancellation_scheduled"


class DowngradeScheduled(Conflict):
    """A change to a smaller plan is scheduled. Cancel here (that drops it), or undo it first."""

    code = "downgrade_scheduled"


class CancellationUnderWay(Conflict):
    """The subscription is being ended now: its usage is billed, then it is over."""

    code = "cancellation_under_way"


class NothingToResume(Conflict):
    """Nothing is scheduled: the subscription goes on as it is."""

    code = "nothing_to_resume"


class PeriodTurning(Conflict):
    """A billing period ends at this very moment. Ask again in a minute; nothing was charged."""

    code = "period_turning"

    def __init__(self) -> None:
        super().__init__(retry_after_s=60)


class PreviewOutdated(Conflict):
    """This is no longer what the change would cost. Nothing was charged or changed; look at the new preview."""

    code = "preview_outdated"


class PreviewNotFound(NotFound):
    """There is no such preview in this account. Nothing was charged or changed."""

    code = "preview_not_found"


class CheckoutNotFound(NotFound):
    """There is no such checkout in this account."""

    code = "checkout_not_found"


class PaymentInDoubt(Unavailable):
    """Stripe did not answer in time, so it is not known yet whether the card was charged. Send the same request again:
    nothing is charged twice.
    """

    code = "payment_in_doubt"

    def __init__(self) -> None:
        super().__init__(charged="unknown", retry_after_s=15)


class NothingCharged(Unavailable):
    """Stripe does not answer. Nothing was charged and nothing was changed; try again in a moment."""

    code = "stripe_unavailable"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, charged="no", retry_after_s=10)


class InvoiceNotPayable(Conflict):
    """Only an open invoice can be paid."""

    code = "invoice_not_payable"


class InvoiceNotFinal(Conflict):
    """The invoice is still a draft; its PDF exists once it is final."""

    code = "invoice_not_final"


class ConfirmationNeeded(PaymentRequired):
    """Your bank wants you to confirm this payment. Open the address named here."""

    code = "payment_confirmation_needed"


class OpenInvoicesChanged(Conflict):
    """What is open is no longer what you agreed to pay. Nothing was charged; look at it again."""

    code = "open_invoices_changed"
