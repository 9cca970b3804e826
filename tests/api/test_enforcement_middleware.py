"""The policy table × every route that reads, stops, deletes or starts something; and the dependencies elsewhere."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request

import helvetia
from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig, EnforcementMode
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from helvetia.web.config import WebConfig
from helvetia.web.middleware.enforcement import WARNING_HEADER, EnforcementGate, install_enforcement
from helvetia.web.problems import add_problem_handlers
from support.web_world import SERVICE, WebWorld, web_world

DAY = timedelta(days=1)
# Stripe's word, ours, days since the failure, ended by failure → status and code of new work, whether it warns
STATES = {
    "current": ("active", "ACTIVE", None, False, 202, None, False),
    "grace": ("past_due", "PAST_DUE", 6, False, 202, None, True),
    "past due over": ("past_due", "PAST_DUE", 7, False, 402, "payment_overdue", False),
    "unpaid earlier": ("unpaid", "UNPAID", 3, False, 402, "subscription_unpaid", False),
    "unpaid over": ("unpaid", "UNPAID", 8, False, 402, "payment_overdue", False),
    "ended by failure earlier": ("canceled", "CANCELED", 3, True, 402, "subscription_unpaid", False),
    "ended by failure over": ("canceled", "CANCELED", 7, True, 402, "payment_overdue", False),
    "ended by wish": ("canceled", "CANCELED", None, False, 402, "subscription_ended", False),
}
STARTING = (
    ("POST", "/api/v1/services", {**SERVICE, "name": "more"}),
    ("PATCH", "/api/v1/services/{one}", {"image": "nginx:1.30"}),
    ("POST", "/api/v1/services/{stopped}/start", None),
    ("POST", "/api/v1/services/{one}/scale", {"replicas": 2}),
)
ALWAYS = (
    ("GET", "/api/v1/services", None, 200),
    ("GET", "/api/v1/services/{one}", None, 200),
    ("GET", "/api/v1/billing/subscription", None, 200),
    ("GET", "/api/v1/billing/usage", None, 200),
    ("GET", "/api/v1/billing/invoices", None, 200),
    ("GET", "/api/v1/billing/enforcement", None, 200),
    ("GET", "/api/v1/notifications", None, 200),
    ("POST", "/api/v1/services/{one}/restart", None, 202),
    ("POST", "/api/v1/services/{one}/stop", None, 202),
    ("DELETE", "/api/v1/services/{one}", None, 204),
)


async def put_into(database: Database, account_id: AccountId, now: datetime, name: str) -> None:
    stripe_status, status, days, by_failure, *_ = STATES[name]
    failed_at = None if days is None else now - days * DAY
    ended_at = now - DAY if status == "CANCELED" else None
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE subscriptions SET plan = 'PRO', status = %s, stripe_status = %s, stripe_subscription_id = %s,"
            " ended_at = %s WHERE account_id = %s",
            (status, stripe_status, f"sub_{account_id}", ended_at, account_id),
        )
        await tx.execute(
            "INSERT INTO payment_facts VALUES (%s, %s, %s, 'in_1', %s, %s, %s, 1)",
            (account_id, f"sub_{account_id}", stripe_status, failed_at, by_failure, now),
        )


async def two_services(world: WebWorld, client: httpx2.AsyncClient, account_id: AccountId) -> dict[str, str]:
    async with world.database.transaction() as tx:
        await tx.execute("UPDATE subscriptions SET plan = 'PRO' WHERE account_id = %s", (account_id,))
    one = await client.post("/api/v1/services", json=SERVICE)
    stopped = await client.post("/api/v1/services", json={**SERVICE, "name": "stopped"})
    await client.post(f"/api/v1/services/{stopped.json()['id']}/stop")
    return {"one": one.json()["id"], "stopped": stopped.json()["id"]}


@pytest.mark.parametrize("name", STATES)
async def test_table_holds_on_every_route(world: WebWorld, clock: ManualClock, name: str) -> None:
    *_, expected, code, warns = STATES[name]
    user = await world.user("ada")
    async with world.as_user(user) as client:
        ids = await two_services(world, client, user.account_id)
        await put_into(world.database, user.account_id, clock.now(), name)
        for method, path, body in STARTING:
            answer = await client.request(method, path.format(**ids), json=body)
            assert answer.status_code == expected, (method, path, answer.text)
            assert (WARNING_HEADER in answer.headers) is warns
            if code is not None:
                assert answer.json()["code"] == code
        explained = (await client.get("/api/v1/billing/enforcement")).json()
        assert explained["code"] == (code or ("payment_past_due" if warns else None))
        for method, path, body, status in ALWAYS:
            answer = await client.request(method, path.format(**ids), json=body)
            assert answer.status_code == status, (method, path, answer.text)


async def test_e08_resources_are_refused_by_patch_scale_and_start_too(world: WebWorld) -> None:
    user = await world.user("ada")
    async with world.as_user(user) as client:
        service = {**SERVICE, "memoryMb": 400, "cpuCores": "0.4"}
        made = (await client.post("/api/v1/services", json=service)).json()["id"]
        answers = [
            await client.patch(f"/api/v1/services/{made}", json={"memoryMb": 600}),
            await client.patch(f"/api/v1/services/{made}", json={"cpuCores": "0.6"}),
            await client.post(f"/api/v1/services/{made}/scale", json={"replicas": 2}),
        ]
        assert [answer.status_code for answer in answers] == [403, 403, 403]
        problem = answers[0].json()
        assert problem["code"] == "memory_limit_reached"
        figures = {key: problem[key] for key in ("limit", "allowed", "used", "requested", "plan")}
        assert figures == {"limit": "memory", "allowed": 512, "used": 400, "requested": 200, "plan": "STARTER"}
        assert answers[1].json()["code"] == "cpu_limit_reached"
        await client.post(f"/api/v1/services/{made}/stop")
        assert (await client.patch(f"/api/v1/services/{made}", json={"memoryMb": 600})).status_code == 202
        started = await client.post(f"/api/v1/services/{made}/start")
        assert (started.status_code, started.json()["code"]) == (403, "memory_limit_reached")


@pytest.mark.parametrize("mode", [EnforcementMode.OBSERVE, EnforcementMode.WARN])
async def test_other_modes_refuse_nobody_for_payment(
    database: Database, clock: ManualClock, mode: EnforcementMode
) -> None:
    config = WebConfig(public_base_url="https://cloud.example")
    async with web_world(database, clock, config, enforcement_config=EnforcementConfig(mode=mode)) as world:
        user = await world.user("ada")
        async with world.as_user(user) as client:
            await put_into(database, user.account_id, clock.now(), "past due over")
            assert (await client.post("/api/v1/services", json=SERVICE)).status_code == 202


async def test_rehearsal_tells_what_will_be(world: WebWorld, clock: ManualClock) -> None:
    user = await world.user("ada")
    await put_into(world.database, user.account_id, clock.now(), "grace")
    async with world.as_user(user) as client:
        later = (clock.now() + DAY).isoformat().replace("+00:00", "Z")
        answer = (await client.get("/api/v1/billing/enforcement", params={"at": later})).json()
        assert (answer["state"], answer["servicesRun"], answer["holdAt"]) == ("overdue", False, later)
        bad = await client.get("/api/v1/billing/enforcement", params={"at": "2026-03-10T00:00:00"})
        assert (bad.status_code, bad.json()["code"]) == (422, "invalid_instant")


async def test_mailbox_is_closed_to_other_machines(world: WebWorld) -> None:
    async with world.client() as client:
        answer = await client.get("/mailbox", headers={"Accept": "application/json"})
    assert answer.status_code == 403
    transport = httpx2.ASGITransport(world.app, client=("127.0.0.1", 5000))
    async with httpx2.AsyncClient(transport=transport, base_url=world.config.public_base_url) as client:
        assert "Local mailbox" in (await client.get("/mailbox")).text


@pytest.fixture
async def elsewhere(world: WebWorld) -> AsyncIterator[Any]:
    """Another FastAPI application that knows its accounts by a header."""
    app = FastAPI()
    add_problem_handlers(app)

    async def find_account(request: Request) -> AccountId:
        return AccountId((await world.accounts.find_user_by_email(request.headers["X-User"])).account_id)  # type: ignore[union-attr]

    enforcement = world.app.state.helvetia_enforcement.enforcement
    install_enforcement(app, EnforcementGate(enforcement=enforcement, find_account=find_account))

    @app.post("/run", dependencies=[Depends(helvetia.require_active_subscription)])
    async def run() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/big", dependencies=[Depends(helvetia.enforce_resource_limits(services=1, memory_mb=1024))])
    async def big() -> dict[str, bool]:
        return {"ok": True}

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://elsewhere") as client:
        yield client


async def test_dependencies_work_in_another_application(
    world: WebWorld, clock: ManualClock, elsewhere: httpx2.AsyncClient
) -> None:
    user = await world.user("ada")
    headers = {"X-User": user.email}
    assert (await elsewhere.post("/run", headers=headers)).status_code == 200
    refused = await elsewhere.post("/big", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "memory_limit_reached")
    await put_into(world.database, user.account_id, clock.now(), "unpaid over")
    refused = await elsewhere.post("/run", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (402, "payment_overdue")


@pytest.mark.parametrize("amount", [{"services": -1}, {"memory_mb": -5}, {"cpu_cores": "NaN"}, {"cpu_cores": "-1"}])
def test_e09_amounts_that_are_no_amounts_are_refused(amount: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="amounts"):
        helvetia.enforce_resource_limits(**amount)
