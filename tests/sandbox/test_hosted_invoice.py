"""The hosted invoice page and the invoice as a PDF file."""

from __future__ import annotations

import re
import zlib

import pytest
import requests
import stripe

from sandbox.harness import DAY, Sandbox, World
from stripe_sandbox.pages.invoice_pdf import plain

CARD = {"cardExpiry": "12/34", "cardCvc": "123", "billingName": "Ada"}


def pdf_text(data: bytes) -> str:
    """Every piece of text that a PDF file shows."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
    shown: list[str] = []
    for stream in streams:
        try:
            content = zlib.decompress(stream)
        except zlib.error:
            continue
        pieces = re.findall(rb"\(((?:[^()\\]|\\.)*)\) ?Tj", content, re.DOTALL)
        shown += [re.sub(rb"\\(.)", rb"\1", piece).decode("cp1252") for piece in pieces]
    return "\n".join(shown)


def owed(world: World, card: str = "pm_card_chargeCustomerFail") -> stripe.Invoice:
    """An invoice whose first payment failed."""
    world.catalogue()
    clock = world.clock()
    customer = world.customer(clock)
    world.client.v1.customers.update(customer, {"name": "Łukasz <b>Ü</b>", "email": "l@example.com"})
    subscription = world.subscribe(customer)
    world.card(customer, card)
    world.advance(clock, subscription["items"].data[0].current_period_end + DAY // 2)
    invoice = world.invoices(subscription.id)[0]
    assert invoice.status == "open"
    return invoice


def page_of(invoice: stripe.Invoice) -> str:
    assert invoice.hosted_invoice_url
    return invoice.hosted_invoice_url.partition("?")[0]


def post(sandbox: Sandbox, url: str, fields: dict[str, str]) -> requests.Response:
    return sandbox.session.post(url, data=fields, timeout=20, allow_redirects=False)


def test_links_exist_from_finalization_on_and_need_their_token(world: World, sandbox: Sandbox) -> None:
    invoice = owed(world)
    assert invoice.hosted_invoice_url.startswith(f"{sandbox.base}/i/acct_")
    assert sandbox.session.get(invoice.hosted_invoice_url, timeout=30).status_code == 200
    assert sandbox.session.get(page_of(invoice)[:-1] + "x", timeout=30).status_code == 404
    assert sandbox.session.get(page_of(invoice)[:-1] + "x/pdf", timeout=30).status_code == 404
    told = world.client.v1.events.list({"type": "invoice.finalized"}).data
    assert told[0].data.object["hosted_invoice_url"] == invoice.hosted_invoice_url


def test_page_shows_the_invoice_and_escapes_names(world: World, sandbox: Sandbox) -> None:
    text = sandbox.session.get(owed(world).hosted_invoice_url, timeout=30).text
    for words in ("$29.00 due", "Pay $29.00 with Visa •••• 0341", "Łukasz &lt;b&gt;", "Sandbox", "1 × PRO"):
        assert words in text


def test_typed_card_pays_the_invoice(world: World, sandbox: Sandbox) -> None:
    invoice = owed(world)
    answer = post(sandbox, page_of(invoice), {"cardNumber": "4242424242424242", **CARD})
    assert answer.status_code == 303
    paid = world.client.v1.invoices.retrieve(invoice.id)
    assert (paid.status, paid.amount_remaining) == ("paid", 0)
    subscription = world.client.v1.subscriptions.list().data[0]
    assert subscription.status == "active"
    shown = sandbox.session.get(page_of(invoice), timeout=30).text
    assert "$29.00 paid" in shown
    assert "Pay this invoice" not in shown
    again = post(sandbox, page_of(invoice), {"cardNumber": "4242424242424242", **CARD})
    assert again.status_code == 303
    assert len(world.client.v1.charges.list({"payment_intent": _intent(world, invoice)}).data) == 2


def _intent(world: World, invoice: stripe.Invoice) -> str:
    payment = world.client.v1.invoice_payments.list({"invoice": invoice.id}).data[0]
    return str(payment.payment.payment_intent)


def test_saved_card_that_fails_is_told_and_recorded(world: World, sandbox: Sandbox) -> None:
    invoice = owed(world)
    failures = world.event_types().count("invoice.payment_failed")
    answer = post(sandbox, page_of(invoice), {"with": "saved"})
    assert (answer.status_code, "Your card was declined." in answer.text) == (402, True)
    assert world.event_types().count("invoice.payment_failed") == failures + 1


def test_declined_typed_card_does_not_stay(world: World, sandbox: Sandbox) -> None:
    invoice = owed(world)
    before = len(world.client.v1.customers.payment_methods.list(invoice.customer).data)
    answer = post(sandbox, page_of(invoice), {"cardNumber": "4000000000000341", **CARD})
    assert answer.status_code == 402
    assert len(world.client.v1.customers.payment_methods.list(invoice.customer).data) == before


def test_bank_step_pays_the_invoice_or_leaves_it_open(world: World, sandbox: Sandbox) -> None:
    invoice = owed(world)
    answer = post(sandbox, page_of(invoice), {"cardNumber": "4000000000003220", **CARD})
    assert answer.headers["Location"].endswith("/authenticate")
    refused = post(sandbox, page_of(invoice) + "/authenticate", {"answer": "fail"})
    assert (refused.status_code, "Confirm with your bank" in refused.text) == (402, True)
    done = post(sandbox, page_of(invoice) + "/authenticate", {"answer": "authorise"})
    assert done.status_code == 303
    assert world.client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_renewal_that_waits_for_the_bank_can_be_confirmed(world: World, sandbox: Sandbox) -> None:
    invoice = owed(world, "pm_card_threeDSecure2Required")
    assert "The last payment waits for your bank." in sandbox.session.get(page_of(invoice), timeout=30).text
    post(sandbox, page_of(invoice) + "/authenticate", {"answer": "authorise"})
    assert world.client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_file_is_a_pdf_with_the_invoices_words_and_figures(world: World, sandbox: Sandbox) -> None:
    invoice = owed(world)
    answer = sandbox.session.get(invoice.invoice_pdf, timeout=30)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert answer.content.rstrip().endswith(b"%%EOF")
    text = pdf_text(answer.content)
    for words in (
        invoice.number,
        "Sandbox",
        "1 February 2026",
        "PRO (at $29.00",
        "$29.00",
        "Amount due",
        "Page 1 of",
    ):
        assert words in text
    assert len(re.findall(r"Lukasz|Ü", text)) == 2


def test_long_invoice_continues_on_further_pages(world: World, sandbox: Sandbox) -> None:
    v1 = world.client.v1
    product = v1.products.create({"name": "A service with a rather long name that needs more than one line"}).id
    shape = {"currency": "usd", "product": product, "recurring": {"interval": "month"}}
    prices = [v1.prices.create({**shape, "unit_amount": 1000 + index}).id for index in range(20)]
    customer = world.customer()
    v1.subscriptions.create({"customer": customer, "items": [{"price": price} for price in prices]})
    invoice = v1.invoices.list({"customer": customer}).data[0]
    text = pdf_text(sandbox.session.get(invoice.invoice_pdf, timeout=30).content)
    assert "Page 2 of" in text
    assert text.count("Description") >= 2
    assert text.count("$10.") >= 20


@pytest.mark.parametrize(("given", "drawn"), [("Zürich", "Zürich"), ("Łódź", "Lódz"), ("€ ×", "€ ×"), ("東", "?")])
def test_letters_the_fonts_lack_are_replaced(given: str, drawn: str) -> None:
    assert plain(given) == drawn
