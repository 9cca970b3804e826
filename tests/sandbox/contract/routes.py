"""The table of contracts, and the sandbox's own controls, which no Stripe has."""

from __future__ import annotations

from sandbox.contract import (
    cases_credit_notes,
    cases_customers,
    cases_discounts,
    cases_invoices,
    cases_payments,
    cases_search,
    cases_subscriptions,
    cases_usage,
    cases_v2,
)

CASES = (
    *cases_credit_notes.CASES,
    *cases_customers.CASES,
    *cases_discounts.CASES,
    *cases_subscriptions.CASES,
    *cases_invoices.CASES,
    *cases_payments.CASES,
    *cases_search.CASES,
    *cases_usage.CASES,
    *cases_v2.CASES,
)
# Routes that refuse whatever they are asked; their refusals are told in the tests named.
REFUSING = {
    "DELETE /v1/customers/*/discount": "a customer as a whole cannot be given a discount (test_discounts.py)",
    "POST /v1/subscriptions/*/migrate": "flexible is the only billing mode here (test_pausing.py)",
}
# Only the sandbox has these; what they do is told in their own tests.
OWN = {
    "DELETE /_sandbox/account": "forgets an account",
    "GET /_sandbox/clock": "reads the account's clock",
    "GET /_sandbox/meter_faults": "lists rejected usage",
    "GET /_sandbox/dunning": "Stripe keeps this in its dashboard",
    "POST /_sandbox/dunning": "Stripe keeps this in its dashboard",
    "GET /_sandbox/notices": "Stripe keeps this in its dashboard",
    "POST /_sandbox/notices": "Stripe keeps this in its dashboard",
    "POST /_sandbox/faults": "injects faults",
    "GET /_sandbox/faults": "injects faults",
    "DELETE /_sandbox/faults": "injects faults",
    "GET /_sandbox/faults/log": "injects faults",
    "GET /_sandbox/faults/*": "injects faults",
    "DELETE /_sandbox/faults/*": "injects faults",
}
