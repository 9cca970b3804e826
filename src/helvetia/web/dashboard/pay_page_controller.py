"""Paying what is open, as a page: what is charged in which order, and one button that names the sum.

The form carries what was shown, so that a button pressed twice, or on an old page, charges nothing more than it said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from helvetia.accounts.service import AccountService
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.settlement.model import Agreement, OpenInvoices, to_pay_minor
from helvetia.kernel.clock import Clock
from helvetia.web.dashboard import words
from helvetia.web.dashboard.frame import to_frame
from helvetia.web.dashboard.render import Renderer
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


def to_pay_view(found: OpenInvoices, now: datetime) -> PayView:
    """Everything that the page says."""
    amount = words.money(found.amount_minor, found.currency)
    given_up = sum(to_pay_minor(invoice) for invoice in found.dropped)
    note = None
    if found.dropped:
        note = f"{words.money(given_up, found.currency)} of the time while nothing was paid is cancelled, not charged."
    return PayView(
        sentence=f"{amount} is open." if found.invoices else "Nothing is open.",
        note=note,
        rows=[
            PayRow(
                issued=words.day(invoice.issued_at, now),
                number=invoice.number or "draft",
                amount=words.money(to_pay_minor(invoice), invoice.currency),
            )
            for invoice in found.invoices
        ],
        invoice_ids=" ".join(invoice.invoice_id for invoice in found.invoices),
        amount_minor=found.amount_minor,
        button=f"Pay {amount} now",
    )


class PayPageController:
    def __init__(self, clock: Clock, renderer: Renderer, accounts: AccountService, payments: PaymentService) -> None:
        self._clock = clock
        self._renderer = renderer
        self._accounts = accounts
        self._payments = payments

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/billing/pay", self.show, methods=["GET"], include_in_schema=False)
        router.add_api_route("/billing/pay", self.pay, methods=["POST"], include_in_schema=False)

    async def show(self, caller: MoneyMover) -> Response:
        """What is open, read from Stripe now."""
        memberships = await self._accounts.memberships(caller.user.account_id)
        view = to_pay_view(await self._payments.open_invoices(caller.account_id), self._clock.now())
        return self._renderer.render("pay.html", {"frame": to_frame(caller, memberships), "view": view})

    async def pay(self, request: Request, caller: MoneyMover) -> Response:
        """Pay what the page showed, then show how things stand; a decline is a page that says why."""
        form = await read_form(request)
        amount = form.get("amountMinor", "")
        is_number = amount.isascii() and amount.isdigit() and len(amount) <= _DIGITS_MAX
        agreed = Agreement(
            invoice_ids=frozenset(form.get("invoices", "").split()), amount_minor=int(amount) if is_number else 0
        )
        await self._payments.pay_open_invoices(caller.account_id, agreed, actor=caller.actor)
        memberships = await self._accounts.memberships(caller.user.account_id)
        return RedirectResponse(f"/billing{to_frame(caller, memberships).query}", _SEE_OTHER)
