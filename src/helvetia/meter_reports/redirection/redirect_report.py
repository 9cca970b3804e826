"""The arrow report at another customer → wish to take it back, on record with its reason before Stripe is asked.

Refused unless the report's customer is another than the one Stripe bills its period of, within Stripe's 24 hours, and
while no invoice for it is final. Asked again, it goes on where it was, or says the same. `take_back` does the rest.
"""

from helvetia.audit import record
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import new_id
from helvetia.meter_reports import store as reports
from helvetia.meter_reports.errors import ReasonMissing
from helvetia.meter_reports.model import MeterReport, ReportState
from helvetia.meter_reports.redirection import store
from helvetia.meter_reports.redirection.errors import ReportNotFound, WrongInvoiceFinal
from helvetia.meter_reports.redirection.model import Redirection, RedirectionState, final_invoice, why_not
from helvetia.meter_reports.redirection.take_back import RedirectParts, take_back
from helvetia.stripe_gateway.errors import StripeObjectMissing
from helvetia.stripe_gateway.model import Invoice, PriceBook

REASON_LENGTH_MAX = 500
IN_DOUBT = "an attempt may be at another customer; it is being taken back"
NEVER_SENT = "queued for another customer, never sent there"


async def redirect_report(
    parts: RedirectParts, book: PriceBook, identifier: str, *, reason: str, actor: str
) -> Redirection:
    """Take one report back from the customer it went to.

    Raises:
        ReasonMissing, ReportNotFound, ReportNotMisdirected, ReportNotAtStripe, ReportBusy, RedirectionTooLate,
        WrongInvoiceFinal; as the gateway does: after Unavailable it goes on by itself, or when asked again.
    """
    if not 1 <= len(reason.strip()) <= REASON_LENGTH_MAX:
        raise ReasonMissing
    async with parts.database.transaction() as tx:
        known = await store.standing(tx, identifier)
        report = await _look(parts, tx, identifier) if known is None else None
    if report is not None:
        await _refuse_final(parts, book, report)
        known = await _write_down(parts, identifier, reason=reason, actor=actor)
    if known is None:
        raise ReportNotFound
    return await take_back(parts, book, known) if known.state is RedirectionState.OPEN else known


async def _look(parts: RedirectParts, tx: Transaction, identifier: str) -> MeterReport:
    """The report, locked, when our own facts let it be taken back."""
    report = next(iter(await reports.lock_identified(tx, [identifier])), None)
    if report is None:
        raise ReportNotFound
    error = why_not(report, await store.right_customer(tx, report), parts.clock.wall())
    if error is not None:
        raise error
    return report


async def _refuse_final(parts: RedirectParts, book: PriceBook, report: MeterReport) -> None:
    """Raises WrongInvoiceFinal when the other customer has been billed for it for good."""
    if report.first_sent_at is None:
        return
    try:
        listed = await parts.gateway.list_invoices(customer_id=report.stripe_customer_id)
    except StripeObjectMissing:
        return  # a customer that is gone is billed nothing
    whole = [await _with_lines(parts, one) for one in listed if one.ends_at > report.occurred_at]
    invoice_id = final_invoice(whole, book.meters[report.metric].price_id, report.occurred_at)
    if invoice_id is not None:
        raise WrongInvoiceFinal(customer=report.stripe_customer_id, invoice=invoice_id)


async def _with_lines(parts: RedirectParts, invoice: Invoice) -> Invoice:
    return await parts.gateway.retrieve_invoice(invoice.invoice_id) if invoice.has_more_lines else invoice


async def _write_down(parts: RedirectParts, identifier: str, *, reason: str, actor: str) -> Redirection:
    """The wish and its audit record in one transaction; nobody sends the row from here on."""
    wall = parts.clock.wall()
    async with parts.database.transaction() as tx:
        report = await _look(parts, tx, identifier)
        known = await store.standing(tx, identifier)
        if known is not None:
            return known
        was_sent = report.first_sent_at is not None
        one = Redirection(
            account_id=report.account_id,
            redirection_id=new_id(),
            identifier=identifier,
            metric=report.metric,
            value=report.value,
            wrong_customer_id=report.stripe_customer_id,
            right_customer_id=await store.right_customer(tx, report),
            state=RedirectionState.OPEN if was_sent else RedirectionState.DONE,
            requested_by=actor,
            reason=reason,
            requested_at=parts.clock.now(),
            key_at=wall,
            settled_at=None if was_sent else wall,
        )
        await store.insert(tx, one)
        if not was_sent:
            await reports.settle(tx, report, ReportState.REJECTED, wall=wall, error=NEVER_SENT)
        elif report.state is ReportState.DUE:
            await reports.settle(tx, report, ReportState.UNKNOWN, wall=wall, error=IN_DOUBT)
        await _audit(tx, one)
    return one


async def _audit(tx: Transaction, one: Redirection) -> None:
    detail = {
        "identifier": one.identifier,
        "value": str(one.value),
        "from": one.wrong_customer_id,
        "to": one.right_customer_id,
    }
    await record(
        tx,
        account_id=one.account_id,
        actor=one.requested_by,
        action="meter_report.redirect",
        reason=one.reason,
        detail=detail,
        at=one.requested_at,
    )
