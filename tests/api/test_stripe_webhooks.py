"""Stripe's door over the real application and database: what is kept, what is refused, and how it is answered."""

import json
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from helvetia.kernel.clock import ManualClock
from helvetia.stripe_gateway.client_events import API_VERSION
from helvetia.web.config import BODY_BYTES_MAX
from helvetia.webhooks.verify_signature import sign
from support.web_world import WEBHOOK_SECRETS, WebWorld

PATH = "/api/v1/webhooks/stripe"
NEW, OLD = WEBHOOK_SECRETS


def event(event_id: str = "evt_1", event_type: str = "invoice.paid", **more: Any) -> dict[str, Any]:
    subject = {"id": "in_1", "object": "invoice", "customer": "cus_1"}
    return {
        "id": event_id,
        "object": "event",
        "type": event_type,
        "created": 1_773_137_843,
        "livemode": False,
        "api_version": API_VERSION,
        "data": {"object": subject},
        **more,
    }


async def post(
    world: WebWorld, clock: ManualClock, content: object, *, secret: str = NEW, **headers: str
) -> httpx2.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    signed = {"Stripe-Signature": sign(body, secret, clock.wall()), "Content-Type": "application/json", **headers}
    async with world.client(**signed) as client:
        return await client.post(PATH, content=body)


async def kept(world: WebWorld) -> list[Any]:
    async with world.database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT event_id, event_type, customer_id, handled_at, outcome, body FROM stripe_events ORDER BY event_id"
        )
        return await cursor.fetchall()


async def test_signed_event_is_kept_byte_for_byte(world: WebWorld, clock: ManualClock) -> None:
    body = json.dumps(event(), indent=3).encode() + b"\n"
    answer = await post(world, clock, body)
    assert (answer.status_code, answer.json()) == (200, {"received": True, "outcome": "stored"})
    [row] = await kept(world)
    assert row[:5] == ("evt_1", "invoice.paid", "cus_1", None, None)
    assert bytes(row[5]) == body


async def test_w04_the_same_event_again_is_answered_and_stored_once(world: WebWorld, clock: ManualClock) -> None:
    answers = [await post(world, clock, event()) for _ in range(3)]
    assert [one.json()["outcome"] for one in answers] == ["stored", "duplicate", "duplicate"]
    assert len(await kept(world)) == 1


async def test_w14_both_secrets_are_taken_while_one_is_rolled(world: WebWorld, clock: ManualClock) -> None:
    assert (await post(world, clock, event("evt_a"), secret=NEW)).status_code == 200
    assert (await post(world, clock, event("evt_b"), secret=OLD)).status_code == 200
    refused = await post(world, clock, event("evt_c"), secret="whsec_other")
    assert (refused.status_code, refused.json()["code"]) == (400, "webhook_signature_refused")
    assert refused.headers["content-type"] == "application/problem+json"
    assert [row[0] for row in await kept(world)] == ["evt_a", "evt_b"]


async def test_w14_event_of_the_other_mode_is_refused(world: WebWorld, clock: ManualClock) -> None:
    answer = await post(world, clock, event(livemode=True))
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_wrong_mode")
    assert await kept(world) == []


async def test_s32_secret_rolled_in_the_middle_of_many_events_loses_none(world: WebWorld, clock: ManualClock) -> None:
    """Stripe signs with the old secret, then with both, then with the new one."""
    for number in range(60):
        body = json.dumps(event(f"evt_{number}")).encode()
        signed = [sign(body, secret, clock.wall()) for secret in ((OLD,), (OLD, NEW), (NEW,))[number // 20]]
        header = ",".join([signed[0], *(one.partition(",")[2] for one in signed[1:])])
        async with world.client(**{"Stripe-Signature": header}) as client:
            assert (await client.post(PATH, content=body)).status_code == 200
    assert len(await kept(world)) == 60


async def test_other_api_version_is_used(world: WebWorld, clock: ManualClock) -> None:
    assert (await post(world, clock, event(api_version="2019-05-16"))).status_code == 200
    assert len(await kept(world)) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"id":"evt_1"}',
        json.dumps({**event(), "id": ""}).encode(),
        json.dumps({**event(), "id": "evt'; DROP TABLE stripe_events; --"}).encode(),
        json.dumps({**event(), "id": "evt_\x00"}).encode(),
        json.dumps({**event(), "type": 5}).encode(),
        json.dumps({**event(), "created": "yesterday"}).encode(),
        json.dumps({**event(), "created": 10**30}).encode(),
        json.dumps({**event(), "livemode": None}).encode(),
        json.dumps({**event(), "data": []}).encode(),
        b"[" * 100_000,
    ],
    ids=range(15),
)
async def test_signed_rubbish_is_refused_and_never_a_500(world: WebWorld, clock: ManualClock, content: bytes) -> None:
    answer = await post(world, clock, content)
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_event_malformed")
    assert await kept(world) == []


async def test_unsigned_request_is_refused(world: WebWorld, clock: ManualClock) -> None:
    async with world.client() as client:
        answer = await client.post(PATH, json=event())
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_signature_malformed")
    body = json.dumps(event()).encode()
    late = {"Stripe-Signature": sign(body, NEW, clock.wall() - timedelta(seconds=302))}
    async with world.client(**late) as client:
        answer = await client.post(PATH, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_signature_out_of_time")


async def test_huge_body_is_refused_before_it_is_read(world: WebWorld, clock: ManualClock) -> None:
    answer = await post(world, clock, b"x" * (BODY_BYTES_MAX + 1))
    assert answer.status_code == 413


async def test_s08_route_needs_no_session_and_no_form_token(world: WebWorld, clock: ManualClock) -> None:
    user = await world.user("carla", "correct horse battery")
    async with await world.browser(user) as client:
        client.headers["Origin"] = "https://evil.example"
        body = json.dumps(event()).encode()
        answer = await client.post(PATH, content=body, headers={"Stripe-Signature": sign(body, OLD, clock.wall())})
    assert answer.status_code == 200


async def test_w13_type_without_effect_is_kept_with_the_reason(world: WebWorld, clock: ManualClock) -> None:
    answer = await post(world, clock, event("evt_i", "checkout.session.expired"))
    assert answer.json()["outcome"] == "ignored"
    assert (await post(world, clock, event("evt_n", "brand.new.type"))).json()["outcome"] == "ignored"
    assert (await post(world, clock, event("evt_c", account="acct_1"))).json()["outcome"] == "ignored"
    outcomes = {row[0]: row[4] for row in await kept(world)}
    assert outcomes == {
        "evt_c": "ignored: it is of a connected account; none is ours",
        "evt_i": "ignored: nothing was bought",
        "evt_n": "ignored: no rule of ours depends on this type",
    }


async def test_thin_event_is_kept(world: WebWorld, clock: ManualClock) -> None:
    thin = {
        "id": "evt_65abc",
        "object": "v2.core.event",
        "livemode": False,
        "context": None,
        "reason": None,
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-03-10T10:17:23.123Z",
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    }
    assert (await post(world, clock, thin)).json()["outcome"] == "stored"
    [row] = await kept(world)
    assert row[:3] == ("evt_65abc", "v1.billing.meter.error_report_triggered", "")


async def test_customer_is_found_in_every_shape(world: WebWorld, clock: ManualClock) -> None:
    shapes = {
        "evt_a": {"object": {"object": "customer", "id": "cus_a"}},
        "evt_b": {"object": {"object": "subscription", "customer": {"id": "cus_b", "object": "customer"}}},
        "evt_c": {
            "object": {"object": "payment_method", "customer": None},
            "previous_attributes": {"customer": "cus_c"},
        },
        "evt_d": {"object": {"object": "dispute", "charge": "ch_1"}},
        "evt_e": {"object": {"object": "invoice", "customer": "cus' OR 1=1"}},
    }
    for event_id, data in shapes.items():
        assert (await post(world, clock, event(event_id, data=data))).status_code == 200
    assert {row[0]: row[2] for row in await kept(world)} == {
        "evt_a": "cus_a",
        "evt_b": "cus_b",
        "evt_c": "cus_c",
        "evt_d": "",
        "evt_e": "",
    }


async def test_event_that_cannot_be_kept_is_not_answered_as_kept(world: WebWorld, clock: ManualClock) -> None:
    """Stripe repeats for days what is not answered with 2xx."""
    await world.database.close()
    answer = await post(world, clock, event())
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
