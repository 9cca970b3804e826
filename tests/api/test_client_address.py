"""Whose address counts: a proxy is believed only where it is trusted, and a bad signature costs only who sent it."""

import json
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network

import httpx2
import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.settings import ConfigurationError, Settings
from helvetia.web.client_address import HOPS_MAX, find_client
from helvetia.web.config import WebConfig
from helvetia.webhooks.service import BAD_SIGNATURES_PER_ADDRESS, REFUSALS_WINDOW_S
from helvetia.webhooks.verify_signature import sign
from support.web_world import PASSWORD, WEBHOOK_SECRETS, WebWorld, web_world

PATH = "/api/v1/webhooks/stripe"
PROXY, CLIENT, OTHER = "10.0.0.5", "198.51.100.1", "198.51.100.2"
TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (CLIENT, "", CLIENT),
        (CLIENT, OTHER, CLIENT),
        (PROXY, "", PROXY),
        (PROXY, CLIENT, CLIENT),
        (PROXY, f"{OTHER}, {CLIENT}", CLIENT),
        (PROXY, f"{OTHER},{CLIENT}, 10.9.9.9", CLIENT),
        (PROXY, f"127.0.0.1, {CLIENT}", CLIENT),
        (PROXY, "10.1.1.1, 10.2.2.2", "10.1.1.1"),
        (PROXY, f"{CLIENT}, nonsense", PROXY),
        (PROXY, f"{CLIENT},,", PROXY),
        (PROXY, f"{CLIENT}, nonsense, 10.2.2.2", "10.2.2.2"),
        (PROXY, "::ffff:198.51.100.1", CLIENT),
        ("2001:db8::1", "2001:db9::7", "2001:db9::7"),
        (PROXY, ",".join([OTHER] + [PROXY] * HOPS_MAX), PROXY),
    ],
)
def test_client_is_the_first_from_the_right_that_is_no_trusted_proxy(peer: str, forwarded: str, client: str) -> None:
    assert str(find_client(ip_address(peer), forwarded, TRUSTED)) == client


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert str(find_client(ip_address(PROXY), CLIENT, ())) == PROXY


@pytest.mark.parametrize("value", ["10.0.0.0/8,", "10.0.0.1", " 10.0.0.0/8 , 2001:db8::/32"])
def test_trusted_proxies_are_networks(value: str) -> None:
    assert Settings(trusted_proxies=value, _env_file=None).proxy_networks  # type: ignore[call-arg] # of pydantic


@pytest.mark.parametrize("value", ["everybody", "10.0.0.1/8", "0.0.0.0/0", "10.0.0.0/8,::/0", "10.0.0.0/33"])
def test_wrong_trusted_proxies_stop_the_start(value: str) -> None:
    with pytest.raises(ConfigurationError, match="TRUSTED_PROXIES"):
        Settings.load(trusted_proxies=value, _env_file=None)


@pytest.fixture
async def proxied(database: Database, clock: ManualClock) -> AsyncIterator[WebWorld]:
    config = WebConfig(public_base_url="https://cloud.example", trusted_proxies=TRUSTED)
    async with web_world(database, clock, config) as world:
        yield world


async def send(world: WebWorld, signature: str, body: bytes = b"{}", *, peer: str, **headers: str) -> httpx2.Response:
    async with world.client(peer=peer, **{"Stripe-Signature": signature, **headers}) as client:
        return await client.post(PATH, content=body)


async def exhaust(world: WebWorld, clock: ManualClock, *, peer: str, **headers: str) -> None:
    bad = sign(b"{}", "whsec_other", clock.wall())
    for _ in range(BAD_SIGNATURES_PER_ADDRESS):
        assert (await send(world, bad, peer=peer, **headers)).status_code == 400


def good_event(event_id: str) -> bytes:
    subject = {"id": "in_1", "object": "invoice", "customer": "cus_1"}
    event = {"id": event_id, "object": "event", "type": "invoice.paid", "created": 1_773_137_843, "livemode": False}
    return json.dumps({**event, "api_version": None, "data": {"object": subject}}).encode()


async def test_bad_signatures_are_limited_by_address_and_good_ones_never(world: WebWorld, clock: ManualClock) -> None:
    await exhaust(world, clock, peer=CLIENT)
    bad = sign(b"{}", "whsec_other", clock.wall())
    limited = await send(world, bad, peer=CLIENT)
    assert (limited.status_code, limited.json()["code"]) == (429, "too_many_bad_signatures")
    assert 0 < int(limited.headers["Retry-After"]) <= REFUSALS_WINDOW_S
    assert (await send(world, "", peer=CLIENT)).status_code == 429
    assert (await send(world, bad, peer=OTHER)).status_code == 400
    for number in range(2 * BAD_SIGNATURES_PER_ADDRESS):
        body = good_event(f"evt_{number}")
        good = await send(world, sign(body, WEBHOOK_SECRETS[0], clock.wall()), body, peer=CLIENT)
        assert good.status_code == 200


async def test_forged_header_of_an_untrusted_peer_neither_evades_the_limit_nor_blames_another(
    world: WebWorld, proxied: WebWorld, clock: ManualClock
) -> None:
    bad = sign(b"{}", "whsec_other", clock.wall())
    for place in (world, proxied):
        for number in range(BAD_SIGNATURES_PER_ADDRESS):
            forged = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
            assert (await send(place, bad, peer=CLIENT, **forged)).status_code == 400
        assert (await send(place, bad, peer=CLIENT, **{"X-Forwarded-For": "192.0.2.200"})).status_code == 429
        assert (await send(place, bad, peer="192.0.2.1")).status_code == 400


async def test_clients_behind_a_trusted_proxy_are_counted_one_by_one(proxied: WebWorld, clock: ManualClock) -> None:
    await exhaust(proxied, clock, peer=PROXY, **{"X-Forwarded-For": f"{OTHER}, {CLIENT}"})
    bad = sign(b"{}", "whsec_other", clock.wall())
    assert (await send(proxied, bad, peer=PROXY, **{"X-Forwarded-For": CLIENT})).status_code == 429
    assert (await send(proxied, bad, peer=PROXY, **{"X-Forwarded-For": OTHER})).status_code == 400


async def test_sign_in_attempts_count_by_the_client_behind_the_proxy(proxied: WebWorld) -> None:
    user = await proxied.user("ada", PASSWORD)
    config = proxied.config

    async def attempt(**headers: str) -> int:
        async with proxied.client(peer=PROXY, Origin=config.public_base_url, **headers) as client:
            page = (await client.get("/sign-in")).text
            token = page.partition('name="csrfToken" value="')[2][:64]
            form = {"csrfToken": token, "email": user.email, "password": "wrong horse battery"}
            return (await client.post("/sign-in", data=form)).status_code

    answers = [await attempt(**{"X-Forwarded-For": f"192.0.2.{number}, {CLIENT}"}) for number in range(11)]
    assert answers == [401] * 10 + [429]
    assert await attempt(**{"X-Forwarded-For": OTHER}) == 401
