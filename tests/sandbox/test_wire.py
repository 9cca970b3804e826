"""Transport: keys, headers, refusals, lists, expansion, metadata, deletion."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import requests
import stripe

from sandbox.harness import Http, Sandbox, World

VERSION = "2026-10-28.endive"


def error(response: requests.Response) -> dict[str, Any]:
    return response.json()["error"]


def test_missing_key_is_refused(sandbox: Sandbox) -> None:
    answer = sandbox.session.get(f"{sandbox.base}/v1/customers", timeout=30)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Stripe"'
    assert answer.headers["Request-Id"].startswith("req_")


@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc", "nonsense", "pk_test_abc"])
def test_key_that_is_no_test_key_is_refused(sandbox: Sandbox, key: str) -> None:
    with pytest.raises(stripe.AuthenticationError):
        sandbox.client(key).v1.customers.list()


def test_restricted_and_basic_keys_are_taken(sandbox: Sandbox, key: str) -> None:
    token = base64.b64encode(f"rk_test_{key[8:]}:".encode()).decode()
    answer = sandbox.session.get(f"{sandbox.base}/v1/account", headers={"Authorization": f"Basic {token}"}, timeout=30)
    assert answer.json()["id"].startswith("acct_")


def test_each_key_is_its_own_account(sandbox: Sandbox, client: stripe.StripeClient, key: str) -> None:
    customer = client.v1.customers.create({"name": "A"})
    other = sandbox.client(key + "x")
    with pytest.raises(stripe.InvalidRequestError):
        other.v1.customers.retrieve(customer.id)
    assert other.v1.accounts.retrieve_current().id != client.v1.accounts.retrieve_current().id


def test_every_answer_echoes_version_and_request_id(http: Http) -> None:
    answer = http.get("/v1/customers", Stripe_Version=VERSION)
    assert answer.headers["Stripe-Version"] == VERSION
    assert answer.headers["Request-Id"].startswith("req_")


def test_other_version_is_refused(http: Http) -> None:
    answer = http.get("/v1/customers", Stripe_Version="2024-06-20")
    assert (answer.status_code, error(answer)["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1/customers/cus_x/nothing", "/v1/subscription_items/si_x/usage_records", "/nothing"]
)
def test_unknown_address_is_not_found(http: Http, path: str) -> None:
    answer = http.post(path, {"a": "b"})
    assert answer.status_code == 404
    assert "Unrecognized request URL (POST: " in error(answer)["message"]


def test_upcoming_is_read_as_an_id(http: Http) -> None:
    answer = http.get("/v1/invoices/upcoming")
    assert (answer.status_code, error(answer)["code"]) == (404, "resource_missing")


@pytest.mark.parametrize(
    ("path", "data", "code", "param"),
    [
        ("/v1/customers", {"foo": "1"}, "parameter_unknown", "foo"),
        ("/v1/customers", {"address[planet]": "1"}, "parameter_unknown", "address[planet]"),
        ("/v1/products", {}, "parameter_missing", "name"),
        ("/v1/products", {"name": ""}, "parameter_invalid_empty", "name"),
        ("/v1/prices", {"currency": "usd", "unit_amount": "abc"}, "parameter_invalid_integer", "unit_amount"),
        ("/v1/prices", {"currency": "usd", "recurring[x]": "1"}, "parameter_unknown", "recurring[x]"),
        (
            "/v1/prices",
            {"currency": "usd", "recurring[usage_type]": "metered"},
            "parameter_missing",
            "recurring[interval]",
        ),
        ("/v1/customers", {"tax_exempt": "maybe"}, None, "tax_exempt"),
        ("/v1/customers", {"invoice_settings": "x"}, None, "invoice_settings"),
        ("/v1/customers", {"email": "nonsense"}, "email_invalid", "email"),
        ("/v1/customers", {"test_clock": "clock_x"}, "resource_missing", "test_clock"),
        ("/v1/webhook_endpoints", {"url": "ftp://x", "enabled_events[0]": "*"}, "url_invalid", "url"),
        ("/v1/subscriptions", {"items[0][price]": "price_x"}, "parameter_missing", "customer"),
        ("/v1/subscriptions", {"billing_cycle_anchor": "now"}, "sandbox_not_simulated", "billing_cycle_anchor"),
        ("/v1/customers", {"metadata": "x"}, None, "metadata"),
        ("/v1/customers", {f"metadata[{'k' * 41}]": "x"}, None, "metadata"),
        ("/v1/customers", {"metadata[k]": "x" * 501}, None, "metadata[k]"),
    ],
)
def test_bad_parameter_is_refused_by_name(
    http: Http, path: str, data: dict[str, str], code: str | None, param: str
) -> None:
    answer = http.post(path, data)
    assert answer.status_code == 400
    assert (error(answer).get("code"), error(answer).get("param")) == (code, param)
    assert error(answer)["type"] == "invalid_request_error"


def test_unknown_path_id_is_404_and_unknown_body_id_400(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_x'") as path:
        client.v1.customers.retrieve("cus_x")
    assert (path.value.http_status, path.value.code, path.value.param) == (404, "resource_missing", "id")
    with pytest.raises(stripe.InvalidRequestError, match="No such product: 'prod_x'") as body:
        client.v1.prices.create({"currency": "usd", "product": "prod_x", "unit_amount": 1})
    assert (body.value.http_status, body.value.param) == (400, "product")


def test_unknown_customer_of_a_subscription_is_404(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.subscriptions.create({"customer": "cus_x", "items": [{"price": "price_x"}]})
    assert (refused.value.http_status, refused.value.param) == (404, "customer")


def test_unknown_price_of_a_subscription_names_its_place(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    with pytest.raises(stripe.InvalidRequestError, match="No such price: 'price_x'") as refused:
        client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_x"}]})
    assert refused.value.param == "items[0][price]"


def test_lists_page_newest_first_in_both_directions(client: stripe.StripeClient) -> None:
    ids = [client.v1.customers.create({"name": str(index)}).id for index in range(5)][::-1]
    customers = client.v1.customers
    first = customers.list({"limit": 2})
    assert ([one.id for one in first.data], first.has_more) == (ids[:2], True)
    second = customers.list({"limit": 2, "starting_after": ids[1]})
    assert [one.id for one in second.data] == ids[2:4]
    last = customers.list({"limit": 2, "starting_after": ids[3]})
    assert ([one.id for one in last.data], last.has_more) == (ids[4:], False)
    back = customers.list({"limit": 2, "ending_before": ids[4]})
    assert ([one.id for one in back.data], back.has_more) == (ids[2:4], True)
    assert [one.id for one in customers.list({"limit": 2}).auto_paging_iter()] == ids
    assert len(customers.list({"limit": 0}).data) == 1
    assert len(customers.list({"limit": 101}).data) == 5


def test_bad_cursors_are_refused(client: stripe.StripeClient) -> None:
    customers = client.v1.customers
    one = customers.create({}).id
    with pytest.raises(stripe.InvalidRequestError) as both:
        customers.list({"starting_after": one, "ending_before": one})
    assert both.value.code == "parameters_exclusive"
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        customers.list({"starting_after": "cus_x"})
    assert unknown.value.param == "starting_after"


def test_created_and_email_filters_choose(client: stripe.StripeClient) -> None:
    customers = client.v1.customers
    one = customers.create({"email": "one@example.com"})
    customers.create({"email": "two@example.com"})
    assert [found.id for found in customers.list({"email": "one@example.com"}).data] == [one.id]
    assert len(customers.list({"created": {"gte": one.created}}).data) == 2
    assert customers.list({"created": {"lt": one.created}}).data == []


def test_metadata_merges_removes_and_clears(client: stripe.StripeClient) -> None:
    customers = client.v1.customers
    one = customers.create({"metadata": {"a": "1", "b": "2", "0": "zero"}})
    assert customers.update(one.id, {"metadata": {"b": "", "c": "3"}}).metadata.to_dict() == {
        "a": "1",
        "c": "3",
        "0": "zero",
    }
    assert customers.update(one.id, {"metadata": ""}).metadata.to_dict() == {}


def test_deleted_customer_leaves_a_stub(client: stripe.StripeClient) -> None:
    customers = client.v1.customers
    one = customers.create({}).id
    assert customers.delete(one).to_dict() == {"id": one, "object": "customer", "deleted": True}
    assert customers.retrieve(one).deleted is True
    assert customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        customers.update(one, {"name": "x"})


def test_expansion_reaches_ids_lists_and_includable_fields(world: World) -> None:
    world.catalogue()
    customer = world.customer()
    expand = ["customer", "latest_invoice.payments.data", "default_payment_method", "items.data.price.product"]
    subscription = world.subscribe(customer, expand=expand[:1] + expand[2:])
    assert subscription.customer.id == customer
    assert subscription.items.data[0].price.product.name == "PRO"
    listed = world.client.v1.invoices.list({"expand": ["data.customer", "data.payments", "data.confirmation_secret"]})
    assert listed.data[0].customer.id == customer
    assert listed.data[0].payments.data[0].object == "invoice_payment"
    shown = world.client.v1.invoices.retrieve(
        listed.data[0].id,
        {"expand": ["parent.subscription_details.subscription", "payments.data.payment.payment_intent"]},
    )
    assert shown.parent.subscription_details.subscription.object == "subscription"
    assert shown.payments.data[0].payment.payment_intent.status == "succeeded"
    whole = world.client.v1.customers.retrieve(customer, {"expand": ["subscriptions"]})
    assert whole.subscriptions.data[0].id == subscription.id
    assert "payments" not in world.client.v1.invoices.retrieve(listed.data[0].id)


@pytest.mark.parametrize("path", ["name", "nothing", "invoice_settings", "address.city", "invoice_settings.footer"])
def test_field_that_cannot_be_expanded_is_refused(client: stripe.StripeClient, path: str) -> None:
    one = client.v1.customers.create({"address": {"city": "Bern"}}).id
    with pytest.raises(stripe.InvalidRequestError, match=r"cannot be expanded") as refused:
        client.v1.customers.retrieve(one, {"expand": [path]})
    assert refused.value.http_status == 400


def test_five_levels_of_expansion_are_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        client.v1.invoices.list({"expand": ["data.customer.a.b.c"]})


def test_empty_brackets_and_indexes_mean_the_same(http: Http) -> None:
    product = http.post("/v1/products", {"name": "P"}).json()["id"]
    prices = [
        http.post("/v1/prices", {"currency": "usd", "product": product, "unit_amount": "5", "lookup_key": key}).json()
        for key in ("a", "b", "c")
    ]
    one = http.get("/v1/prices", [("lookup_keys[]", "a"), ("lookup_keys[]", "b")]).json()
    two = http.get("/v1/prices", [("lookup_keys[0]", "a"), ("lookup_keys[1]", "b")]).json()
    assert one == two
    assert {found["id"] for found in one["data"]} == {prices[0]["id"], prices[1]["id"]}


def test_too_large_or_broken_body_is_refused(http: Http) -> None:
    assert http.post("/v1/customers", "name=" + "x" * 1_000_001).status_code == 400
    assert http.post("/v1/customers", b"name=\xff").status_code == 400
    assert http.post("/v1/customers", "a=1&a[b]=2").status_code == 400


def test_forgotten_account_starts_empty(http: Http, client: stripe.StripeClient) -> None:
    client.v1.customers.create({})
    before = client.v1.accounts.retrieve_current().id
    assert http.call("DELETE", "/_sandbox/account").json()["deleted"] is True
    assert client.v1.customers.list().data == []
    assert client.v1.accounts.retrieve_current().id != before
