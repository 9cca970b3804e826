"""Paying what is open, as a page: what is charged in which order, and one button that names the sum.

The form carries what was shown, so that a button pressed twice, or on an old page, charges nothing more than it said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.billing.payments.service import PaymentService
from helvetia.billing.settlement.model import Agreement, OpenInvoices, to_pay_minor
from helvetia.web.dashboard.frame import PageName, account_query
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.voice import Voice
from helvetia.web.middleware.authenticate import MoneyMover
from helvetia.web.middleware.csrf import read_form

_SEE_OTHER = 303
_DIGITS_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PayRow:
    issued: str
    number: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayView:
    """The page, ready for its template."""

    sentence: str
    note: str | None
    rows: Sequence[PayRow]
    invoice_ids: str
    amount_minor: int
    button: str


def to_pay_view(found: OpenInvoices, voice: Voice) -> PayView:
    """Everything that the page says."""
    amount = voice.money(found.amount_minor, found.currency)
    given_up = sum(to_pay_minor(invoice) for invoice in found.dropped)
    note = None
    if found.dropped:
        note = voice.say(
            "{amount} of the time while nothing was paid is cancelled, not charged.",
            amount=voice.money(given_up, found.currency),
        )
    return PayView(
        sentence=voice.say("{amount} is open.", amount=amount) if found.invoices else voice.say("Nothing is open."),
        note=note,
        rows=[
            PayRow(
                issued=voice.day(invoice.issued_at),
                number=invoice.number or voice.say("draft"),
                amount=voice.money(to_pay_minor(invoice), invoice.currency),
            )
            for invoice in found.invoices
        ],
        invoice_ids=" ".join(invoice.invoice_id for invoice in found.invoices),
        amount_minor=found.amount_minor,
        button=voice.say("Pay {amount} now", amount=amount),
    )


class PayPageController:
    def __init__(self, pages: Pages, payments: PaymentService) -> None:
        self._pages = pages
        self._payments = payments

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/billing/pay", self.show, methods=["GET"], include_in_schema=False)
        router.add_api_route("/billing/pay", self.pay, methods=["POST"], include_in_schema=False)

    async def show(self, request: Request, caller: MoneyMover) -> Response:
        """What is open, read from Stripe now."""
        view = to_pay_view(await self._payments.open_invoices(caller.account_id), self._pages.voice(request))
        return await self._pages.render(request, caller, "pay/pay.html", view, page=PageName.INVOICES)

    async def pay(self, request: Request, caller: MoneyMover) -> Response:
        """Pay what the page showed, then show how things stand; a decline is a page that says why."""
        form = await read_form(request)
        amount = form.get("amountMinor", "")
        is_number = amount.isascii() and amount.isdigit() and len(amount) <= _DIGITS_MAX
        agreed = Agreement(
            invoice_ids=frozenset(form.get("invoices", "").split()), amount_minor=int(amount) if is_number else 0
        )
        await self._payments.pay_open_invoices(caller.account_id, agreed, actor=caller.actor)
        return RedirectResponse(f"/billing{account_query(caller.membership)}", _SEE_OTHER)
