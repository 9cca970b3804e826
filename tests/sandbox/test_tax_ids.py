"""Tax ids: kept with the customer, checked by the authority, shown on invoices."""

from __future__ import annotations

import time

import pytest
import stripe

from sandbox.harness import World

BERLIN = {"type": "eu_vat", "value": "DE123456789"}
BERN = {"type": "ch_vat", "value": "CHE-123.456.789 MWST"}


def verdict(world: World, customer: str, tax_id: str) -> stripe.TaxId.Verification:
    """What the authority says in the end, which takes a moment."""
    for _ in range(300):
        found = world.client.v1.customers.tax_ids.retrieve(customer, tax_id).verification
        assert found is not None
        if found.status != "pending":
            return found
        time.sleep(0.02)
    pytest.fail("the authority did not answer")


def test_tax_ids_are_added_listed_and_taken_away(world: World) -> None:
    customer, tax_ids = world.customer(card=None), world.client.v1.customers.tax_ids
    first, second = tax_ids.create(customer, BERLIN), tax_ids.create(customer, BERN)
    assert (first.country, first.customer, first.type, first.value) == ("DE", customer, *BERLIN.values())
    assert (second.country, second.verification.status) == ("CH", "unavailable")
    assert [found.id for found in tax_ids.list(customer).data] == [second.id, first.id]
    with_both = world.client.v1.customers.retrieve(customer, {"expand": ["tax_ids"]})
    assert len(with_both.tax_ids.data) == 2
    assert tax_ids.delete(customer, first.id).deleted is True
    assert [found.id for found in tax_ids.list(customer).data] == [second.id]
    with pytest.raises(stripe.InvalidRequestError) as gone:
        tax_ids.retrieve(customer, first.id)
    assert gone.value.http_status == 404
    told = [kind for kind in world.event_types() if "tax_id" in kind]
    assert told == ["customer.tax_id.created", "customer.tax_id.created", "customer.tax_id.deleted"]


@pytest.mark.parametrize(("value", "status"), [("DE000000000", "verified"), ("DE111111111", "unverified")])
def test_european_number_is_checked_by_the_authority(world: World, value: str, status: str) -> None:
    customer = world.customer(card=None)
    made = world.client.v1.customers.tax_ids.create(customer, {"type": "eu_vat", "value": value})
    assert made.verification.status == "pending"
    found = verdict(world, customer, made.id)
    assert (found.status, found.verified_name is not None) == (status, status == "verified")
    assert world.event_types()[-1] == "customer.tax_id.updated"


@pytest.mark.parametrize(
    ("kind", "value"), [("eu_vat", "XX123456789"), ("ch_vat", "CHE-123"), ("gb_vat", "GB12"), ("us_ein", "1")]
)
def test_value_that_cannot_be_right_is_refused(world: World, kind: str, value: str) -> None:
    customer = world.customer(card=None)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.client.v1.customers.tax_ids.create(customer, {"type": kind, "value": value})
    assert (refused.value.code, refused.value.param) == ("tax_id_invalid", "value")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.client.v1.customers.create({"tax_id_data": [{"type": kind, "value": value}]})
    assert refused.value.param == "tax_id_data[0][value]"


def test_tax_id_of_another_customer_is_not_found(world: World) -> None:
    mine, other = (world.customer(card=None) for _ in range(2))
    made = world.client.v1.customers.tax_ids.create(other, BERLIN)
    for act in (world.client.v1.customers.tax_ids.retrieve, world.client.v1.customers.tax_ids.delete):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            act(mine, made.id)
        assert refused.value.http_status == 404


def test_invoice_carries_the_tax_ids_of_the_day_it_became_final(world: World) -> None:
    v1 = world.client.v1
    customer = v1.customers.create({"tax_id_data": [BERLIN]}).id
    draft = v1.invoices.create({"customer": customer})
    assert [found.to_dict() for found in draft.customer_tax_ids] == [BERLIN]
    v1.customers.tax_ids.create(customer, BERN)
    v1.invoices.finalize_invoice(draft.id)
    v1.customers.tax_ids.delete(customer, v1.customers.tax_ids.list(customer).data[0].id)
    final = v1.invoices.retrieve(draft.id)
    assert [found.to_dict() for found in final.customer_tax_ids] == [BERLIN, BERN]
