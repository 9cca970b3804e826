"""Checkout sessions over the API, and the hosted page as plain forms."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
import stripe

from sandbox.harness import Http, Sandbox, World

GOOD = "4242 4242 4242 4242"
DETAILS = {"cardExpiry": "12 / 34", "cardCvc": "123", "billingName": "Ada"}


class Browser:
    """Fetches and posts pages without scripts, and does not follow the redirect out."""

    def __init__(self, session: requests.Session, url: str) -> None:
        self.session, self.url = session, url
        self.base = "/".join(url.split("/")[:3])

    def get(self, url: str | None = None) -> requests.Response:
        return self.session.get(url or self.url, allow_redirects=False, timeout=20)

    def post(self, fields: dict[str, str], path: str = "", **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.post(self.url + path, data=fields, headers=named, allow_redirects=False, timeout=20)

    def pay(self, number: str = GOOD, **fields: str) -> requests.Response:
        return self.post({"email": "ada@example.com", "cardNumber": number, **DETAILS, **fields})


def open_session(world: World, **extra: Any) -> stripe.checkout.Session:
    if not world.prices:
        world.catalogue()
    lines: list[dict[str, Any]] = [{"price": world.prices["fixed"], "quantity": 1}]
    lines += [{"price": price} for name, price in world.prices.items() if name != "fixed"]
    params = {
        "mode": "subscription",
        "line_items": lines,
        "success_url": "http://127.0.0.1:9/done?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:9/back",
        "metadata": {"plan": "PRO"},
        "subscription_data": {"metadata": {"tenant": "t1"}, "billing_mode": {"type": "flexible"}},
        **extra,
    }
    return world.client.v1.checkout.sessions.create(params)


def browser(sandbox: Sandbox, session: stripe.checkout.Session) -> Browser:
    assert session.url
    return Browser(sandbox.session, session.url)


def test_new_session_has_every_required_field(world: World, sandbox: Sandbox) -> None:
    customer = world.customer(card=None)
    session = open_session(world, customer=customer, client_reference_id="t1")
    required = (
        "automatic_tax created custom_fields custom_text expires_at id livemode mode object payment_method_types"
        " payment_status shipping_options"
    )
    assert set(required.split()) <= session.to_dict().keys()
    assert re.fullmatch(r"cs_test_[A-Za-z0-9]{58}", session.id)
    assert (session.status, session.payment_status, session.mode) == ("open", "unpaid", "subscription")
    assert (session.amount_total, session.amount_subtotal, session.currency) == (2900, 2900, "usd")
    assert session.expires_at - session.created == 86_400
    assert session.url == f"{sandbox.base}/c/pay/{session.url.split('/')[-2]}/{session.id}"
    assert (session.client_reference_id, session.customer, session.subscription) == ("t1", customer, None)


def test_line_items_are_listed_and_included(world: World) -> None:
    session = open_session(world)
    listed = world.client.v1.checkout.sessions.line_items.list(session.id)
    assert len(listed.data) == 5
    fixed, metered = listed.data[0], listed.data[1]
    assert (fixed.object, fixed.quantity, fixed.amount_total) == ("item", 1, 2900)
    assert (metered.to_dict().get("quantity"), metered.amount_total) == (None, 0)
    expanded = world.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items.data.price.product"]})
    assert expanded.line_items is not None
    assert expanded.line_items.data[0].price.product.name == "PRO"
    assert "line_items" not in session.to_dict()


def test_good_card_completes_the_session_with_a_paid_subscription(world: World, sandbox: Sandbox) -> None:
    customer = world.customer(card=None)
    session = open_session(world, customer=customer)
    answer = browser(sandbox, session).pay()
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"http://127.0.0.1:9/done?session_id={session.id}"
    done = world.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]})
    assert (done.status, done.payment_status, done.url, done.customer) == ("complete", "paid", None, customer)
    subscription = done.subscription
    assert (subscription.status, subscription.metadata["tenant"]) == ("active", "t1")
    assert "plan" not in subscription.metadata.to_dict()
    quantities = [item.to_dict().get("quantity") for item in subscription["items"].data]
    assert quantities == [1, None, None, None, None]
    assert (done.invoice.status, done.invoice.amount_paid) == ("paid", 2900)
    method = world.client.v1.payment_methods.retrieve(subscription.default_payment_method)
    assert (method.customer, method.card.exp_month, method.card.exp_year) == (customer, 12, 2034)
    assert method.billing_details.name == "Ada"
    kept = world.client.v1.customers.retrieve(customer)
    assert kept.invoice_settings.default_payment_method is None
    types = set(world.event_types())
    assert {"checkout.session.completed", "customer.subscription.created", "invoice.paid"} <= types


def test_customer_is_made_when_there_is_none(world: World, sandbox: Sandbox) -> None:
    session = open_session(world, customer_email="ada@example.com")
    browser(sandbox, session).pay()
    done = world.client.v1.checkout.sessions.retrieve(session.id)
    customer = world.client.v1.customers.retrieve(done.customer)
    assert (customer.email, customer.name) == ("ada@example.com", "Ada")
    assert (done.customer_details.email, done.customer_details.name) == ("ada@example.com", "Ada")


@pytest.mark.parametrize(
    ("number", "message", "field"),
    [
        ("4000 0000 0000 0002", "Your card was declined.", "cardNumber"),
        ("4000000000009995", "insufficient funds", "cardNumber"),
        ("4000 0000 0000 0341", "Your card was declined.", "cardNumber"),
        ("4000000000000069", "expired", "cardExpiry"),
        ("4000000000000127", "security code", "cardCvc"),
        ("4111111111111111", "none of the test cards", "cardNumber"),
        ("4242424242424241", "not valid", "cardNumber"),
        ("", "Enter a card number", "cardNumber"),
    ],
)
def test_refused_card_is_told_in_place_and_leaves_nothing(
    world: World, sandbox: Sandbox, number: str, message: str, field: str
) -> None:
    session = open_session(world)
    answer = browser(sandbox, session).pay(number)
    assert answer.status_code in {402, 422}
    assert re.search(rf'id="{field}-error">[^<]*{re.escape(message)}', answer.text)
    v1 = world.client.v1
    assert v1.checkout.sessions.retrieve(session.id).status == "open"
    assert (v1.subscriptions.list().data, v1.customers.list().data, v1.invoices.list().data) == ([], [], [])
    assert browser(sandbox, session).pay().status_code == 303


def test_double_submit_gives_one_subscription(world: World, sandbox: Sandbox) -> None:
    session = open_session(world)
    page = browser(sandbox, session)
    answers = [page.pay(), page.pay(), page.get()]
    assert {answer.headers["Location"] for answer in answers} == {f"http://127.0.0.1:9/done?session_id={session.id}"}
    assert len(world.client.v1.subscriptions.list().data) == 1


def test_bank_step_authorises_or_fails(world: World, sandbox: Sandbox) -> None:
    session = open_session(world)
    page = browser(sandbox, session)
    asked = page.pay("4000 0000 0000 3220")
    assert asked.headers["Location"].endswith("/authenticate")
    assert "3-D Secure" in page.get(page.base + asked.headers["Location"]).text
    failed = page.post({"answer": "fail"}, "/authenticate")
    assert (failed.status_code, "could not confirm" in failed.text) == (402, True)
    assert world.client.v1.subscriptions.list().data == []
    page.pay("4000 0000 0000 3220")
    assert page.post({"answer": "authorise"}, "/authenticate").status_code == 303
    assert world.client.v1.subscriptions.list().data[0].status == "active"


def test_bank_step_with_a_card_that_is_declined_afterwards(world: World, sandbox: Sandbox) -> None:
    page = browser(sandbox, open_session(world))
    page.pay("4000 0084 0000 1629")
    answer = page.post({"answer": "authorise"}, "/authenticate")
    assert (answer.status_code, "Your card was declined." in answer.text) == (402, True)


def test_bank_step_cannot_be_reached_without_a_card(world: World, sandbox: Sandbox) -> None:
    page = browser(sandbox, open_session(world))
    assert page.post({"answer": "authorise"}, "/authenticate").status_code == 303
    assert world.client.v1.subscriptions.list().data == []


def test_card_confirmed_once_renews_by_itself(world: World, sandbox: Sandbox) -> None:
    clock = world.clock()
    session = open_session(world, customer=world.customer(clock, card=None))
    page = browser(sandbox, session)
    page.pay("4000 0025 0000 3155")
    page.post({"answer": "authorise"}, "/authenticate")
    subscription = world.client.v1.subscriptions.list().data[0]
    world.advance(clock, subscription["items"].data[0].current_period_end + 2 * 3600)
    assert {invoice.status for invoice in world.invoices(subscription.id)} == {"paid"}


def test_expired_session_shows_so_and_takes_nothing(world: World, sandbox: Sandbox) -> None:
    session = open_session(world)
    expired = world.client.v1.checkout.sessions.expire(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    page = browser(sandbox, session)
    assert (page.get().status_code, "has expired" in page.get().text) == (410, True)
    assert page.pay().status_code == 410
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        world.client.v1.checkout.sessions.expire(session.id)
    assert "checkout.session.expired" in world.event_types()


def test_session_expires_by_the_clock(world: World, http: Http) -> None:
    session = open_session(world)
    http.post("/_sandbox/clock/advance", {"seconds": 86_401})
    assert world.client.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert world.event_types().count("checkout.session.expired") == 1


def test_sessions_are_listed_by_filter(world: World, sandbox: Sandbox) -> None:
    one, two = open_session(world), open_session(world, customer_email="ada@example.com")
    browser(sandbox, one).pay()
    sessions = world.client.v1.checkout.sessions
    assert [found.id for found in sessions.list().data] == [two.id, one.id]
    assert [found.id for found in sessions.list({"status": "complete"}).data] == [one.id]
    by_email = sessions.list({"customer_details": {"email": "ada@example.com"}})
    assert {found.id for found in by_email.data} == {one.id, two.id}


def test_metadata_is_merged(world: World) -> None:
    session = open_session(world)
    changed = world.client.v1.checkout.sessions.update(session.id, {"metadata": {"a": "b"}})
    assert changed.metadata.to_dict() == {"plan": "PRO", "a": "b"}


def test_only_metered_session_needs_no_card_when_told_so(world: World, sandbox: Sandbox) -> None:
    world.catalogue()
    lines = [{"price": world.prices["compute"]}]
    session = open_session(world, line_items=lines, payment_method_collection="if_required")
    assert (session.amount_total, session.payment_status) == (0, "no_payment_required")
    page = browser(sandbox, session)
    assert "cardNumber" not in page.get().text
    assert page.post({"email": "ada@example.com"}).status_code == 303
    assert world.client.v1.subscriptions.list().data[0].status == "active"


def one_time(world: World) -> list[dict[str, Any]]:
    product = world.client.v1.products.create({"name": "Setup fee"}).id
    price = world.client.v1.prices.create({"currency": "usd", "product": product, "unit_amount": 1500}).id
    return [{"price": price, "quantity": 2}]


def test_payment_mode_pays_by_an_intent(world: World, sandbox: Sandbox) -> None:
    lines = one_time(world)
    data = {"metadata": {"order": "7"}}
    session = open_session(world, mode="payment", line_items=lines, subscription_data=None, payment_intent_data=data)
    assert (session.amount_total, session.customer_creation) == (3000, "if_required")
    page = browser(sandbox, session)
    assert page.pay("4000 0000 0000 0341").status_code == 402
    assert page.pay("4000 0000 0000 3220").headers["Location"].endswith("/authenticate")
    assert page.post({"answer": "authorise"}, "/authenticate").status_code == 303
    done = world.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    intent = done.payment_intent
    assert (done.status, done.payment_status, done.customer) == ("complete", "paid", None)
    assert (intent.status, intent.amount_received, intent.metadata["order"]) == ("succeeded", 3000, "7")
    assert len(world.client.v1.payment_intents.list().data) == 1


def test_setup_mode_keeps_the_card_for_later(world: World, sandbox: Sandbox) -> None:
    customer = world.customer(card=None)
    session = open_session(world, mode="setup", line_items=None, subscription_data=None, customer=customer)
    assert (session.amount_total, session.payment_status) == (None, "no_payment_required")
    page = browser(sandbox, session)
    assert "Save the card" in page.get().text
    assert page.pay("4000 0000 0000 0002").status_code == 402
    assert page.pay().status_code == 303
    done = world.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent"]})
    assert (done.status, done.setup_intent.status) == ("complete", "succeeded")
    (card,) = world.client.v1.customers.payment_methods.list(customer).data
    assert (card.id, card.billing_details.name) == (done.setup_intent.payment_method, "Ada")


def test_recurring_price_in_payment_mode_is_refused(world: World) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="recurring price"):
        open_session(world, mode="payment", subscription_data=None)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"line_items[1][quantity]": "1"}, "line_items[1][quantity]"),
        ({"line_items[0][quantity]": None}, "line_items[0][quantity]"),
        ({"payment_method_types[0]": "card"}, "payment_method_types"),
        ({"success_url": None}, "success_url"),
        ({"success_url": "nonsense"}, "success_url"),
        ({"success_url": "java\nscript://x"}, "success_url"),
        ({"expires_at": "5"}, "expires_at"),
        ({"customer": "cus_x"}, "customer"),
        ({"ui_mode": "embedded_page"}, "ui_mode"),
        ({"foo": "bar"}, "foo"),
        ({"mode": "loan"}, "mode"),
        ({"line_items[1][price]": "price_x"}, "line_items[1][price]"),
    ],
)
def test_bad_session_is_refused_by_name(world: World, http: Http, change: dict[str, Any], param: str) -> None:
    world.catalogue()
    good = {
        "mode": "subscription",
        "success_url": "http://127.0.0.1:9/done",
        "line_items[0][price]": world.prices["fixed"],
        "line_items[0][quantity]": "1",
        "line_items[1][price]": world.prices["compute"],
    }
    sent = {name: value for name, value in {**good, **change}.items() if value is not None}
    answer = http.post("/v1/checkout/sessions", sent)
    assert (answer.status_code, answer.json()["error"].get("param")) == (400, param)


def test_page_escapes_what_others_wrote(world: World, sandbox: Sandbox) -> None:
    world.catalogue()
    world.client.v1.products.update(world.product, {"name": "<script>alert(1)</script>"})
    answer = browser(sandbox, open_session(world)).pay(number='"><img src=x>')
    assert "<script" not in answer.text
    assert "<img" not in answer.text


def test_page_keeps_strangers_out(world: World, sandbox: Sandbox) -> None:
    page = browser(sandbox, open_session(world))
    foreign = page.session.get(page.url, headers={"Host": "evil.example"}, timeout=30)
    assert foreign.status_code == 403
    assert page.post({}, Origin="http://evil.example").status_code == 403
    assert page.post({}, Sec_Fetch_Site="cross-site").status_code == 403
    assert page.get(page.url + "x").status_code == 404
    assert page.get(page.base + "/c/pay/acct_x/cs_test_x").status_code == 404
    policy = page.get().headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in policy
