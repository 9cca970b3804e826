"""What only the operator may see and decide."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest
from prometheus_client import REGISTRY, generate_latest

from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import new_id
from helvetia.web.config import WebConfig
from support.web_world import WebWorld, web_world

TOKEN = "operator-token-of-this-test"
BASE = "/api/v1/operator"


@pytest.fixture
async def world(database: Database, clock: ManualClock) -> AsyncIterator[WebWorld]:
    config = WebConfig(public_base_url="https://cloud.example.com", operator_token=TOKEN)
    async with web_world(database, clock, config) as world:
        yield world


def client(world: WebWorld, token: str) -> httpx2.AsyncClient:
    return world.client(token)


async def insert_task(world: WebWorld, clock: ManualClock) -> str:
    user = await world.user("ada")
    task_id = new_id()
    async with world.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO usage_tasks (account_id, task_id, cause, metric, starts_at, ends_at, stripe_subscription_id,"
            " stripe_customer_id, quantity, unit_price_minor, amount_minor, currency, detail, state, opened_at)"
            " VALUES (%s, %s, 'late', 'COMPUTE_HOURS', %s, %s, 'sub_1', 'cus_1', 200, 1, 200, 'usd', '', 'open', %s)",
            (user.account_id, task_id, clock.now() - timedelta(days=31), clock.now(), clock.now()),
        )
    return str(task_id)


async def test_without_the_operators_token_nothing_is_told_or_done(world: WebWorld, clock: ManualClock) -> None:
    task_id = await insert_task(world, clock)
    user = await world.user("bob")
    body = {"decision": "waive", "amount": "2.00", "reason": "x"}
    for token in (world.tokens[user.account_id], "wrong", ""):
        async with client(world, token) as caller:
            answers = [
                await caller.get(f"{BASE}/usage-tasks"),
                await caller.get(f"{BASE}/usage-comparison"),
                await caller.get(f"{BASE}/enforcement"),
                await caller.post(f"{BASE}/usage-tasks/{task_id}", json=body),
                await caller.post(f"{BASE}/cancellations/{user.account_id}/end-anyway", json={"reason": "x"}),
                await caller.post(f"{BASE}/meter-reports/hv_1/redirect", json={"reason": "x"}),
            ]
        assert {(one.status_code, one.json()["code"]) for one in answers} == {(403, "operator_only")}


async def test_task_is_waived_once_with_the_amount_that_was_seen(world: WebWorld, clock: ManualClock) -> None:
    task_id = await insert_task(world, clock)
    async with client(world, TOKEN) as operator:
        [task] = (await operator.get(f"{BASE}/usage-tasks")).json()["usageTasks"]
        assert (task["id"], task["amount"], task["quantity"]) == (task_id, "2.00", "200.000000")
        body = {"decision": "waive", "amount": "1.00", "reason": "goodwill"}
        stale = await operator.post(f"{BASE}/usage-tasks/{task_id}", json=body)
        assert (stale.status_code, stale.json()["code"]) == (409, "usage_task_changed")
        done = await operator.post(f"{BASE}/usage-tasks/{task_id}", json={**body, "amount": "2.00"})
        assert (done.status_code, done.json()["state"], done.json()["decidedBy"]) == (200, "waived", "operator:api")
        again = await operator.post(f"{BASE}/usage-tasks/{task_id}", json={**body, "amount": "2.00"})
        assert again.status_code == 409
        assert (await operator.get(f"{BASE}/usage-tasks")).json()["usageTasks"] == []
        missing = await operator.post(f"{BASE}/usage-tasks/{uuid4()}", json={**body, "amount": "2.00"})
        assert (missing.status_code, missing.json()["code"]) == (404, "usage_task_not_found")


async def test_end_is_forced_only_where_one_was_asked_for(world: WebWorld) -> None:
    user = await world.user("ada")
    async with client(world, TOKEN) as operator:
        answer = await operator.post(f"{BASE}/cancellations/{user.account_id}/end-anyway", json={"reason": "scrap"})
        assert (answer.status_code, answer.json()["code"]) == (404, "no_cancellation")
        comparison = (await operator.get(f"{BASE}/usage-comparison")).json()
        assert comparison == {"comparedFrom": None, "differences": []}


async def test_d12_what_runs_the_house_can_be_seen_compared_and_taken_away(world: WebWorld, clock: ManualClock) -> None:
    """Audit record, metrics of lag and of failed webhooks, comparison of usage, and the export: each answers."""
    task_id = await insert_task(world, clock)
    (user_token,) = world.tokens.values()
    async with client(world, "") as stranger:
        forged = await stranger.post("/api/v1/webhooks/stripe", content=b"{}", headers={"Stripe-Signature": "t=1,v1=0"})
    told = generate_latest(REGISTRY).decode()  # what /metrics serves of the whole product
    async with client(world, TOKEN) as operator:
        decision = {"decision": "waive", "amount": "2.00", "reason": "goodwill"}
        assert (await operator.post(f"{BASE}/usage-tasks/{task_id}", json=decision)).status_code == 200
        assert (await operator.get(f"{BASE}/usage-comparison")).status_code == 200
    async with client(world, user_token) as owner:
        exported = await owner.get("/api/v1/billing/usage/export")
    assert (exported.status_code, exported.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    for lag in (
        "helvetia_meter_reports_oldest_due_seconds",
        "helvetia_webhooks_oldest_waiting_seconds",
        "helvetia_worker_tick_late_seconds",
        "helvetia_usage_differences",
    ):
        assert f"# TYPE {lag} gauge" in told
    assert f'helvetia_webhooks_events_total{{outcome="{forged.json()["code"]}"}}' in told
    async with world.database.transaction() as tx:
        cursor = await tx.execute("SELECT reason FROM audit_entries WHERE action = 'usage_task.waived'")
        assert await cursor.fetchall() == [("goodwill",)]
