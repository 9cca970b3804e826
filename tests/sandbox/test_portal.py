"""The customer portal: configurations, sessions, and its pages as plain forms."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from sandbox.harness import DAY, Http, Sandbox, World

RETURN = "http://127.0.0.1:9/billing"
CARD = {"cardExpiry": "12/34", "cardCvc": "123", "billingName": "Ada"}
MASTERCARD = {"cardNumber": "5555 5555 5555 4444", **CARD}


class Portal:
    """A logged-in browser without scripts."""

    def __init__(self, session: requests.Session, link: str) -> None:
        self.session = session
        self.origin = "/".join(link.split("/")[:3])
        entered = session.get(link, allow_redirects=False, timeout=20)
        assert entered.status_code == 303
        self.home = self.origin + entered.headers["Location"]

    def get(self, path: str = "") -> requests.Response:
        return self.session.get(self.home + path, timeout=20, allow_redirects=False)

    def post(self, path: str, fields: dict[str, str] | None = None) -> requests.Response:
        return self.session.post(self.home + path, data=fields or {}, timeout=20, allow_redirects=False)


def open_portal(world: World, sandbox: Sandbox, customer: str, **extra: Any) -> Portal:
    session = world.client.v1.billing_portal.sessions.create({"customer": customer, "return_url": RETURN, **extra})
    return Portal(sandbox.session, session.url)


@pytest.fixture
def customer(world: World) -> str:
    world.catalogue()
    customer = world.customer()
    world.subscribe(customer)
    return customer


def live(world: World, customer: str) -> stripe.Subscription:
    return world.client.v1.subscriptions.list({"customer": customer}).data[0]


def test_default_configuration_is_there_and_complete(world: World) -> None:
    (configuration,) = world.client.v1.billing_portal.configurations.list().data
    required = "active business_profile created features id is_default livemode login_page object updated"
    assert set(required.split()) <= configuration.to_dict().keys()
    assert configuration.is_default
    assert set(configuration.features.to_dict()) == {
        "customer_update",
        "invoice_history",
        "payment_method_update",
        "subscription_cancel",
        "subscription_pause",
        "subscription_update",
    }


def test_configuration_is_created_and_changed(world: World) -> None:
    configurations = world.client.v1.billing_portal.configurations
    made = configurations.create({"features": {"invoice_history": {"enabled": True}}, "name": "Small"})
    assert (made.is_default, made.features.invoice_history.enabled) == (False, True)
    assert made.features.subscription_cancel.enabled is False
    features = {"subscription_cancel": {"enabled": True, "mode": "immediately"}}
    changed = configurations.update(made.id, {"features": features, "active": False})
    assert (changed.active, changed.features.subscription_cancel.mode) == (False, "immediately")
    assert changed.features.subscription_cancel.cancellation_reason.enabled is False
    assert [found.id for found in configurations.list({"active": False}).data] == [made.id]
    assert world.event_types()[-2:] == ["billing_portal.configuration.created", "billing_portal.configuration.updated"]


def test_session_has_its_fields_and_logs_in_once(world: World, sandbox: Sandbox, customer: str) -> None:
    session = world.client.v1.billing_portal.sessions.create({"customer": customer, "return_url": RETURN})
    assert {
        "configuration",
        "created",
        "customer",
        "id",
        "livemode",
        "object",
        "url",
        "flow",
    } <= session.to_dict().keys()
    assert (session.object, session.flow, session.return_url) == ("billing_portal.session", None, RETURN)
    assert world.event_types()[-1] == "billing_portal.session.created"
    portal = Portal(sandbox.session, session.url)
    again = sandbox.session.get(session.url, timeout=30)
    assert (again.status_code, "cannot be used again" in again.text) == (410, True)
    overview = portal.get()
    assert overview.status_code == 200
    for words in ("PRO", "Visa •••• 4242", "$29.00", "Renews on", "Sandbox", RETURN):
        assert words in overview.text
    assert portal.session.get(portal.home[:-1] + "x", timeout=30).status_code == 404


def test_foreign_customer_and_unknown_configuration_are_refused(http: Http) -> None:
    for data, param in (({}, "customer"), ({"customer": "cus_x"}, "customer")):
        answer = http.post("/v1/billing_portal/sessions", data)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_new_card_pays_from_now_on(world: World, sandbox: Sandbox, customer: str) -> None:
    portal = open_portal(world, sandbox, customer)
    answer = portal.post("/cards/new", {**MASTERCARD, "default": "yes"})
    assert answer.headers["Location"].endswith("?told=default")
    kept = world.client.v1.customers.retrieve(customer, {"expand": ["invoice_settings.default_payment_method"]})
    assert kept.invoice_settings.default_payment_method.card.brand == "mastercard"
    assert "This card pays from now on." in portal.get("?told=default").text
    assert {"payment_method.attached", "customer.updated"} <= set(world.event_types())


def test_declined_card_is_told_in_place(world: World, sandbox: Sandbox, customer: str) -> None:
    portal = open_portal(world, sandbox, customer)
    answer = portal.post("/cards/new", {**MASTERCARD, "cardNumber": "4000000000000002"})
    assert (answer.status_code, "Your card was declined." in answer.text) == (402, True)
    assert len(world.client.v1.customers.payment_methods.list(customer).data) == 1


def test_card_is_made_default_and_the_old_one_removed(world: World, sandbox: Sandbox, customer: str) -> None:
    portal = open_portal(world, sandbox, customer)
    portal.post("/cards/new", MASTERCARD)
    new, old = world.client.v1.customers.payment_methods.list(customer).data
    assert portal.post(f"/cards/{old.id}/remove").status_code == 400
    assert portal.post(f"/cards/{new.id}/default").status_code == 303
    assert portal.post(f"/cards/{old.id}/remove").status_code == 303
    assert [card.id for card in world.client.v1.customers.payment_methods.list(customer).data] == [new.id]
    assert world.event_types()[-1] == "payment_method.detached"


def test_foreign_card_and_subscription_are_not_found(world: World, sandbox: Sandbox, customer: str) -> None:
    other = world.customer()
    card = world.client.v1.customers.payment_methods.list(other).data[0].id
    subscription = world.subscribe(other).id
    portal = open_portal(world, sandbox, customer)
    assert portal.post(f"/cards/{card}/remove").status_code == 404
    assert portal.post(f"/cards/{card}/default").status_code == 404
    assert portal.post(f"/subscriptions/{subscription}/cancel").status_code == 404


def test_cancel_sets_cancel_at_and_keep_takes_it_back(world: World, sandbox: Sandbox, customer: str) -> None:
    portal = open_portal(world, sandbox, customer)
    before = live(world, customer)
    end = before["items"].data[0].current_period_end
    path = f"/subscriptions/{before.id}"
    assert "Cancel PRO?" in portal.get(f"{path}/cancel").text
    portal.post(f"{path}/cancel", {"reason": "too_expensive", "comment": "dear"})
    canceled = live(world, customer)
    assert (canceled.cancel_at, canceled.cancel_at_period_end, canceled.status) == (end, False, "active")
    details = canceled.cancellation_details
    assert (details.feedback, details.comment, details.reason) == ("too_expensive", "dear", "cancellation_requested")
    assert "Ends on" in portal.get().text
    portal.post(f"{path}/keep")
    kept = live(world, customer)
    assert (kept.cancel_at, kept.canceled_at, kept.cancel_at_period_end) == (None, None, False)
    assert world.event_types().count("customer.subscription.updated") >= 2


def test_cancel_at_once_when_configured_so(world: World, sandbox: Sandbox, customer: str) -> None:
    features = {"subscription_cancel": {"enabled": True, "mode": "immediately"}}
    made = world.client.v1.billing_portal.configurations.create({"features": features})
    portal = open_portal(world, sandbox, customer, configuration=made.id)
    subscription = live(world, customer).id
    portal.post(f"/subscriptions/{subscription}/cancel")
    assert world.client.v1.subscriptions.retrieve(subscription).status == "canceled"
    assert portal.get("/cards/new").status_code == 404


def test_details_are_saved(world: World, sandbox: Sandbox, customer: str) -> None:
    portal = open_portal(world, sandbox, customer)
    wrong = portal.post("/details", {"email": "nonsense", "name": "Ada"})
    assert (wrong.status_code, "Enter an e-mail address" in wrong.text) == (422, True)
    fields = {"email": "ada@example.com", "name": "Ada <b>", "city": "Bern", "country": "CH"}
    assert portal.post("/details", fields).status_code == 303
    saved = world.client.v1.customers.retrieve(customer)
    assert (saved.email, saved.name, saved.address.city, saved.address.line1) == (
        "ada@example.com",
        "Ada <b>",
        "Bern",
        None,
    )
    assert "Ada &lt;b&gt;" in portal.get().text


def test_tax_number_is_added_and_removed_where_the_configuration_lets_it(
    world: World, sandbox: Sandbox, customer: str
) -> None:
    portal = open_portal(world, sandbox, customer)
    wrong = portal.post("/tax-ids", {"kind": "ch_vat", "value": "12"})
    assert (wrong.status_code, "This cannot be such a number." in wrong.text, 'value="12"' in wrong.text) == (
        422,
        True,
        True,
    )
    assert portal.post("/tax-ids", {"kind": "nonsense", "value": "12"}).status_code == 422
    added = portal.post("/tax-ids", {"kind": "ch_vat", "value": " CHE-123.456.789 MWST "})
    assert added.headers["Location"].endswith("/details?told=tax_id")
    (kept,) = world.client.v1.customers.tax_ids.list(customer).data
    assert kept.value == "CHE-123.456.789 MWST"
    assert "CHE-123.456.789 MWST" in portal.get("/details").text
    assert portal.post(f"/tax-ids/{kept.id}/remove").status_code == 303
    assert world.client.v1.customers.tax_ids.list(customer).data == []
    update = {"enabled": True, "allowed_updates": ["email"]}
    made = world.client.v1.billing_portal.configurations.create({"features": {"customer_update": update}})
    narrow = open_portal(world, sandbox, customer, configuration=made.id)
    assert "Tax numbers" not in narrow.get("/details").text
    assert narrow.post("/tax-ids", {"kind": "ch_vat", "value": "CHE-123.456.789 MWST"}).status_code == 404


def test_card_flow_leads_to_the_card_and_back(world: World, sandbox: Sandbox, customer: str) -> None:
    after = {"type": "redirect", "redirect": {"return_url": RETURN + "?done=1"}}
    portal = open_portal(
        world, sandbox, customer, flow_data={"type": "payment_method_update", "after_completion": after}
    )
    assert portal.get().headers["Location"].endswith("/cards/new")
    answer = portal.post("/cards/new", MASTERCARD)
    assert answer.headers["Location"] == RETURN + "?done=1"
    assert world.client.v1.customers.retrieve(customer).invoice_settings.default_payment_method
    assert portal.get().status_code == 200


def test_cancel_flow_ends_with_the_integrations_words(world: World, sandbox: Sandbox, customer: str) -> None:
    subscription = live(world, customer).id
    after = {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": "Come back soon."}}
    flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription}}
    portal = open_portal(world, sandbox, customer, flow_data={**flow, "after_completion": after})
    assert portal.get().headers["Location"].endswith(f"/subscriptions/{subscription}/cancel")
    answer = portal.post(f"/subscriptions/{subscription}/cancel")
    done = portal.session.get(portal.origin + answer.headers["Location"], timeout=30)
    assert "Come back soon." in done.text
    with pytest.raises(stripe.InvalidRequestError, match="already set to be canceled"):
        open_portal(world, sandbox, customer, flow_data=flow)


def test_confirm_flow_changes_the_price(world: World, sandbox: Sandbox) -> None:
    v1 = world.client.v1
    product = v1.products.create({"name": "Plan"}).id
    shape = {"currency": "usd", "product": product, "recurring": {"interval": "month"}}
    small, large = (v1.prices.create({**shape, "unit_amount": amount}).id for amount in (1000, 3000))
    customer = world.customer()
    subscription = v1.subscriptions.create({"customer": customer, "items": [{"price": small}]})
    update = {"enabled": True, "default_allowed_updates": ["price"], "proration_behavior": "none"}
    offer = {"products": [{"product": product, "prices": [small, large]}]}
    made = v1.billing_portal.configurations.create({"features": {"subscription_update": {**update, **offer}}})
    item = subscription["items"].data[0].id
    confirm = {"subscription": subscription.id, "items": [{"id": item, "price": large}]}
    flow = {"type": "subscription_update_confirm", "subscription_update_confirm": confirm}
    with pytest.raises(stripe.InvalidRequestError, match="switched off"):
        open_portal(world, sandbox, customer, flow_data=flow)
    portal = open_portal(world, sandbox, customer, flow_data=flow, configuration=made.id)
    page = portal.session.get(portal.origin + portal.get().headers["Location"], timeout=30)
    assert "$30.00 every month" in page.text
    assert portal.post(f"/subscriptions/{subscription.id}/confirm").status_code == 303
    assert live(world, customer)["items"].data[0].price.id == large


def test_subscription_of_a_checkout_card_can_be_paid_with_the_default(
    world: World, sandbox: Sandbox, customer: str
) -> None:
    own = world.client.v1.payment_methods.attach("pm_card_amex", {"customer": customer}).id
    subscription = live(world, customer).id
    world.client.v1.subscriptions.update(subscription, {"default_payment_method": own})
    portal = open_portal(world, sandbox, customer)
    assert "Paid with American Express" in portal.get().text
    portal.post(f"/subscriptions/{subscription}/card")
    assert live(world, customer).default_payment_method is None


def test_overdue_subscription_offers_to_pay(world: World, sandbox: Sandbox) -> None:
    world.catalogue()
    clock = world.clock()
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    world.card(customer, "pm_card_chargeCustomerFail")
    world.advance(clock, subscription["items"].data[0].current_period_end + DAY // 2)
    text = open_portal(world, sandbox, customer).get().text
    assert "The last payment failed." in text
    assert "Pay $29.00" in text
