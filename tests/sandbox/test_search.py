"""The search language: what it finds, how it pages, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import World

PEOPLE = {
    "ada": {"email": "Ada@Example.com", "name": "Ada Lovelace", "metadata": {"tenant": "t1", "plan": "PRO"}},
    "bob": {"email": "bob@example.com", "name": "Bob", "metadata": {"tenant": "t2"}, "phone": "+41310000000"},
    "eve": {"email": "eve@other.org", "name": 'Eve "the" Ear', "metadata": {"tenant": "t1"}},
}


@pytest.fixture
def people(client: stripe.StripeClient) -> tuple[stripe.StripeClient, dict[str, str]]:
    return client, {client.v1.customers.create(person).id: name for name, person in PEOPLE.items()}


def found(people: Any, query: str) -> set[str]:
    client, names = people
    return {names[one.id] for one in client.v1.customers.search({"query": query}).data}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('email:"ada@example.com"', {"ada"}),
        ("email:'ADA@EXAMPLE.COM'", {"ada"}),
        ('email~"example"', {"ada", "bob"}),
        ('-email~"example"', {"eve"}),
        ('metadata["tenant"]:"t1"', {"ada", "eve"}),
        ('metadata["tenant"]:"t1" metadata["plan"]:"PRO"', {"ada"}),
        ('metadata["tenant"]:"t1" AND -metadata["plan"]:"PRO"', {"eve"}),
        ('metadata["tenant"]:"t2" or metadata["plan"]:"PRO"', {"ada", "bob"}),
        ('-metadata["plan"]:null', {"ada"}),
        ("phone:null", {"ada", "eve"}),
        (r'name:"Eve \"the\" Ear"', {"eve"}),
        ("created>0 created<=99999999999", {"ada", "bob", "eve"}),
        ("created<1", set()),
        ("email:\"x' OR '1'='1\"", set()),
    ],
)
def test_query_finds_what_it_says(people: Any, query: str, expected: set[str]) -> None:
    assert found(people, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "nonsense",
        'email:"a" AND',
        'email="a"',
        "email:ada",
        'email~"ab"',
        'nothing:"x"',
        'metadata:"x"',
        'email["x"]:"y"',
        "created~5",
        'created:"x"',
        'email:"a" OR name:"b" AND phone:"c"',
        'AND email:"a"',
        'email:"unfinished',
        " ".join(['email:"a"'] * 11),
        'metadata["a\\"b"]:"x"',
    ],
)
def test_bad_query_is_refused_under_its_name(client: stripe.StripeClient, query: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.search({"query": query})
    assert (refused.value.http_status, refused.value.param) == (400, "query")


def test_pages_follow_each_other_by_token(people: Any) -> None:
    client, names = people
    first = client.v1.customers.search({"query": "created>0", "limit": 2})
    assert (len(first.data), first.has_more) == (2, True)
    assert [names[one.id] for one in first.auto_paging_iter()] == ["eve", "bob", "ada"]
    with pytest.raises(stripe.InvalidRequestError, match="page token"):
        client.v1.customers.search({"query": "created>0", "page": "nonsense"})


def test_deleted_is_not_found_and_each_kind_has_its_fields(world: World) -> None:
    v1 = world.client.v1
    world.catalogue(amounts={"compute": "1"})
    customer = world.customer()
    subscription = world.subscribe(customer, metadata={"tenant": "t1"})
    by = {
        v1.subscriptions: 'status:"active" metadata["tenant"]:"t1"',
        v1.invoices: f'subscription:"{subscription.id}" total>=2900 status:"paid"',
        v1.charges: f'customer:"{customer}" payment_method_details.card.last4:"4242" refunded:"false"',
        v1.payment_intents: f'amount=2900 currency:"USD" customer:"{customer}"',
    }
    for service, query in by.items():
        assert len(service.search({"query": query}).data) == 1, query
    assert v1.prices.search({"query": f'product:"{world.product}" type:"recurring"'}).data[0].product == world.product
    assert v1.products.search({"query": 'name~"pro" active:"true"'}).data[0].id == world.product
    v1.customers.delete(customer)
    assert v1.customers.search({"query": "created>0"}).data == []
