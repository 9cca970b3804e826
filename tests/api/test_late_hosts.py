"""Hosts that tell nothing: a customer knows them by his own services, and the operator by name.

A host's name is the operator's. It may name another customer, and the same name in two accounts would tell who shares a
host with whom; what a customer needs is which of his services are told late.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from helvetia.accounts.model import User
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock, to_ns
from helvetia.web.config import WebConfig
from support import page_states
from support.web_world import WebWorld, web_world

TOKEN = "operator-token-of-this-test"
HOST, OTHER_HOST = "zrh-3-for-acme", "zrh-4"


@pytest.fixture
async def world(database: Database, clock: ManualClock) -> AsyncIterator[WebWorld]:
    config = WebConfig(public_base_url="https://cloud.example.com", operator_token=TOKEN)
    async with web_world(database, clock, config) as world:
        yield world


async def running_on(world: WebWorld, user: User, now: datetime, hosts: dict[str, tuple[str, timedelta]]) -> None:
    """Services by name, each on a host that told of it so long ago."""
    period = (now - timedelta(days=20), now + timedelta(days=10))
    await page_states.on_plan(world.database, user.account_id, SubscriptionPlan.PRO, *period)
    await page_states.with_services(world.database, user.account_id, list(hosts), now)
    async with world.database.transaction() as tx:
        for name, (host, ago) in hosts.items():
            await tx.execute(
                "INSERT INTO container_runs (account_id, service_id, incarnation, container_id, node, started_ns,"
                " seen_ns) SELECT account_id, service_id, %s, %s, %s, %s, %s FROM services"
                " WHERE account_id = %s AND name = %s",
                (
                    *(uuid4().hex, uuid4().hex, host, to_ns(now - timedelta(hours=3)), to_ns(now - ago)),
                    *(user.account_id, name),
                ),
            )


async def test_customer_knows_a_late_host_by_his_own_services(world: WebWorld, clock: ManualClock) -> None:
    now, late = clock.now(), timedelta(minutes=40)
    ada, bob = await world.user("ada"), await world.user("bob")
    await running_on(world, ada, now, {"web": (HOST, late), "api": (HOST, late), "job": (OTHER_HOST, timedelta(0))})
    await running_on(world, bob, now, {"shop": (HOST, late)})
    async with world.as_user(ada) as client:
        usage = (await client.get("/api/v1/billing/usage")).json()
        services = (await client.get("/api/v1/services")).json()["services"]
        ids = {one["name"]: one["id"] for one in services}
        span = f"from={(now - timedelta(days=1)).date()}T00:00:00Z&to={now:%Y-%m-%dT%H:%M:%SZ}"
        told = {name: (await client.get(f"/api/v1/billing/usage/services/{ids[name]}?{span}")).json() for name in ids}
        pages = [
            (await client.get(path, headers={"Accept": "text/html"})).text for path in ("/billing", "/billing/usage")
        ]
    seen_at = (now - late).isoformat().replace("+00:00", "Z")
    assert usage["lateHosts"] == [{"services": ["api", "web"], "seenAt": seen_at}]
    assert told["web"]["lateHosts"] == [{"services": ["web"], "seenAt": seen_at}]
    assert told["job"]["lateHosts"] == []
    for page in pages:
        assert "Nothing was heard of the host of api and web since" in page
        assert "acme" not in page
        assert "shop" not in page
    assert "acme" not in str(usage)


async def test_operator_sees_late_hosts_by_name_with_what_is_on_them(world: WebWorld, clock: ManualClock) -> None:
    now, late = clock.now(), timedelta(minutes=40)
    ada, bob = await world.user("ada"), await world.user("bob")
    await running_on(world, ada, now, {"web": (HOST, late), "job": (OTHER_HOST, timedelta(0))})
    await running_on(world, bob, now, {"shop": (HOST, late)})
    async with world.database.transaction() as tx:
        for node, seen_at in (("zrh-7", clock.wall() - timedelta(hours=1)), (OTHER_HOST, clock.wall())):
            await tx.execute(
                "INSERT INTO nodes (node, token_hash, created_at, seen_at) VALUES (%s, %s, %s, %s)",
                (node, node.encode(), seen_at, seen_at),
            )
    async with world.client(Origin=world.config.public_base_url, Accept="text/html") as client:
        await client.post("/admin/sign-in", data={"token": TOKEN})
        home, hosts = [(await client.get(f"/admin/billing{path}")).text for path in ("", "/hosts")]
    assert "Late hosts" in home
    assert all(name in hosts for name in (HOST, "zrh-7"))
    assert OTHER_HOST not in hosts
    assert hosts.index(HOST) < hosts.index("zrh-7")
