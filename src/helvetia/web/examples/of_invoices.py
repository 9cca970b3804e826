"""Usage so far, the next invoice, invoices, payments, and what a client must know of payments."""

from decimal import Decimal

from pydantic import JsonValue

from helvetia.billing.errors import (
    ConfirmationNeeded,
    InvalidCursor,
    InvoiceNotFinal,
    InvoiceNotFound,
    InvoiceNotPayable,
    NothingCharged,
    OpenInvoicesChanged,
    PaymentInDoubt,
)
from helvetia.billing.payments.model import given_back_words, in_plain_words
from helvetia.costs.estimate.model import TaxBasis
from helvetia.stripe_gateway.errors import CardDeclined
from helvetia.web.api.schemas.estimate import TAX_NOTES
from helvetia.web.examples.model import (
    INVOICE_ID,
    MOVING,
    NOT_FITTING_QUERY,
    NOW,
    PERIOD_END,
    PERIOD_START,
    READING,
    Example,
    Examples,
)
from helvetia.web.problems import ValidationFailed

_USAGE: JsonValue = {
    "usage": [
        {
            "metric": "BANDWIDTH_GB",
            "quantity": "12.500000",
            "unit": "GB",
            "unitPrice": "0.12",
            "cost": "1.50",
            "limit": "500",
            "limitUsed": "12.500000",
            "limitUnit": "GB",
            "limitPercent": "2.5000",
            "notAtStripe": "0.250000",
        }
    ],
    "periodStart": PERIOD_START,
    "periodEnd": PERIOD_END,
    "asOf": NOW,
    "complete": True,
    "closed": False,
    "gaps": [],
    "lateHosts": [],
    "currency": "usd",
    "total": "1.50",
    "isCharged": True,
}
_ESTIMATE: JsonValue = {
    "isCharged": True,
    "periodStart": PERIOD_START,
    "periodEnd": PERIOD_END,
    "issuedAt": PERIOD_END,
    "asOf": NOW,
    "stripeAsOf": "2026-03-15T10:17:00Z",
    "complete": True,
    "taxKnown": True,
    "taxBasis": TaxBasis.RATES.value,
    "taxNote": TAX_NOTES[TaxBasis.RATES],
    "currency": "usd",
    "lines": [
        {
            "kind": "fee",
            "metric": None,
            "description": "PRO",
            "quantity": "1",
            "unit": "month",
            "unitPrice": "29.00",
            "amount": "29.00",
            "discount": "0.00",
            "tax": "0.00",
            "start": PERIOD_END,
            "end": None,
            "notAtStripe": None,
        },
        {
            "kind": "usage",
            "metric": "BANDWIDTH_GB",
            "description": None,
            "quantity": "12.500000",
            "unit": "GB",
            "unitPrice": "0.12",
            "amount": "1.50",
            "discount": "0.00",
            "tax": "0.00",
            "start": PERIOD_START,
            "end": PERIOD_END,
            "notAtStripe": "0.250000",
        },
    ],
    "subtotal": "30.50",
    "discounts": [],
    "taxes": [],
    "total": "30.50",
    "balanceApplied": "-12.34",
    "amountDue": "18.16",
    "balanceAfter": "0.00",
    "gaps": [],
    "checkedAt": "2026-03-15T10:17:02Z",
    "differences": [],
}
_INVOICE: dict[str, JsonValue] = {
    "id": INVOICE_ID,
    "number": "0QKUWC2H-0002",
    "status": "paid",
    "currency": "usd",
    "total": "20.00",
    "amountDue": "20.00",
    "amountPaid": "20.00",
    "amountRemaining": "0.00",
    "amountCredited": "0.00",
    "amountGivenBack": "5.00",
    "attemptCount": 1,
    "nextPaymentAttempt": None,
    "periodStart": PERIOD_START,
    "periodEnd": PERIOD_START,
    "issuedAt": PERIOD_START,
    "paidAt": PERIOD_START,
}
_LINES: JsonValue = [
    {
        "description": "Unused time on Starter after 10 Mar 2026",
        "quantity": "1",
        "unitPrice": "-9",
        "amount": "-9.00",
        "isProration": True,
        "periodStart": PERIOD_START,
        "periodEnd": PERIOD_END,
    },
    {
        "description": "Remaining time on Pro after 10 Mar 2026",
        "quantity": "1",
        "unitPrice": "29",
        "amount": "29.00",
        "isProration": True,
        "periodStart": PERIOD_START,
        "periodEnd": PERIOD_END,
    },
]
_CHECK: JsonValue = {
    "equal": False,
    "difference": "0.12",
    "lines": [
        {
            "metric": "BANDWIDTH_GB",
            "periodStart": "2026-02-10T10:17:23Z",
            "periodEnd": PERIOD_START,
            "quantity": "12.500000",
            "amount": "1.50",
            "ownQuantity": "13.500000",
            "ownAmount": "1.62",
            "difference": "0.12",
            "verdict": "known_after_invoice",
        }
    ],
}
_NOTES: JsonValue = [
    {
        "id": "cn_1TgRd8Hv7cXr4KaZc0Qn5bYe",
        "number": "0QKUWC2H-0002-CN-01",
        "status": "issued",
        "total": "5.00",
        "takenOff": "0.00",
        "refunded": "5.00",
        "toBalance": "0.00",
        "outside": "0.00",
        "currency": "usd",
        "reasonCode": "product_unsatisfactory",
        "reason": given_back_words("product_unsatisfactory"),
        "memo": "For the outage on 12 March",
        "issuedAt": NOW,
        "voidedAt": None,
    }
]
_PAYMENTS: JsonValue = {
    "payments": [
        {
            "id": "ch_3TgQ2mHv7cXr4KaZ1NdE07PD",
            "kind": "failed_attempt",
            "status": "failed",
            "time": PERIOD_END,
            "amount": "29.00",
            "currency": "usd",
            "method": "Visa •••• 0341",
            "invoiceId": INVOICE_ID,
            "invoiceNumber": "0QKUWC2H-0003",
            "reasonCode": "insufficient_funds",
            "reason": in_plain_words("insufficient_funds"),
        }
    ],
    "nextCursor": None,
    "asOf": PERIOD_END,
}
_METHODS: JsonValue = {
    "paymentMethods": [
        {
            "id": "pm_1TgPzAHv7cXr4KaZx6HWpQI3",
            "kind": "card",
            "label": "Visa •••• 4242",
            "expiresMonth": 12,
            "expiresYear": 2030,
            "isDefault": True,
        }
    ],
    "asOf": NOW,
}
_OPEN: JsonValue = {
    "invoices": [
        {"id": INVOICE_ID, "number": "0QKUWC2H-0003", "status": "open", "amount": "29.00", "issuedAt": PERIOD_END}
    ],
    "amountDue": "29.00",
    "currency": "usd",
    "dropped": [],
    "newCardAt": None,
}
_PAID: JsonValue = {
    "id": INVOICE_ID,
    "number": "0QKUWC2H-0003",
    "status": "paid",
    "amountPaid": "29.00",
    "currency": "usd",
    "paidAt": "2026-04-10T13:00:00Z",
}
_DECLINED = CardDeclined(in_plain_words("insufficient_funds"), decline_code="insufficient_funds", charged="no")
_CONFIRM = ConfirmationNeeded(confirm_url="https://invoice.stripe.com/i/acct_1/test_YWNjdF8x", charged="no")
_BAD_SUM = ValidationFailed(
    errors=[{"field": "body.amountDue", "message": "String should match pattern '^\\d{1,9}(\\.\\d{1,2})?$'"}]
)
_STOPPED = CardDeclined(
    in_plain_words("insufficient_funds"),
    decline_code="insufficient_funds",
    charged="no",
    paid_invoices=[],
    amount_paid=Decimal("0.00"),
    failed_invoice=INVOICE_ID,
    currency="usd",
)

_OTHER_SUM = OpenInvoicesChanged(amount_due="58.00", currency="usd", invoices=[INVOICE_ID], charged="no")

EXAMPLES: Examples = {
    ("GET", "/api/v1/billing/usage"): Example(answer=_USAGE, problems=READING),
    ("GET", "/api/v1/billing/estimate"): Example(answer=_ESTIMATE, problems=READING),
    ("GET", "/api/v1/billing/invoices"): Example(
        answer={"invoices": [_INVOICE], "nextCursor": "MjAyNi0wMy0xMFQxMDoxNzoyM1o", "asOf": NOW},
        problems=(*READING, NOT_FITTING_QUERY, InvalidCursor()),
    ),
    ("GET", "/api/v1/billing/invoices/{invoice_id}"): Example(
        answer={**_INVOICE, "subtotal": "20.00", "lines": _LINES, "check": _CHECK, "creditNotes": _NOTES},
        problems=(*READING, InvoiceNotFound()),
    ),
    ("GET", "/api/v1/billing/invoices/{invoice_id}/pdf"): Example(
        problems=(*READING, InvoiceNotFound(), InvoiceNotFinal(), NothingCharged())
    ),
    ("GET", "/api/v1/billing/invoices/{invoice_id}/credit-notes/{note_id}/pdf"): Example(
        problems=(*READING, InvoiceNotFound(), InvoiceNotFinal(), NothingCharged())
    ),
    ("POST", "/api/v1/billing/invoices/{invoice_id}/pay"): Example(
        answer=_PAID,
        problems=(
            *MOVING,
            *(_DECLINED, _CONFIRM, InvoiceNotFound(), InvoiceNotPayable(invoice_status="void")),
            *(NothingCharged(), PaymentInDoubt()),
        ),
    ),
    ("GET", "/api/v1/billing/payments"): Example(
        answer=_PAYMENTS, problems=(*READING, NOT_FITTING_QUERY, InvalidCursor())
    ),
    ("GET", "/api/v1/billing/payment-methods"): Example(answer=_METHODS, problems=READING),
    ("GET", "/api/v1/billing/open-invoices"): Example(answer=_OPEN, problems=(*READING, NothingCharged())),
    ("POST", "/api/v1/billing/open-invoices/pay"): Example(
        request={"invoices": [INVOICE_ID], "amountDue": "29.00"},
        answer={
            "invoices": [{"id": INVOICE_ID, "number": "0QKUWC2H-0003", "amountPaid": "29.00"}],
            "amountPaid": "29.00",
            "currency": "usd",
        },
        problems=(*MOVING, _BAD_SUM, _STOPPED, _OTHER_SUM, NothingCharged(), PaymentInDoubt()),
    ),
    ("GET", "/api/v1/billing/config"): Example(
        answer={"publishableKey": "pk_test_a1b2", "currency": "usd", "isSandbox": False}, problems=READING
    ),
}
