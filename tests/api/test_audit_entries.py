"""Every change by the API leaves its entry in the audit record (who, what, for which account), or does not happen."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi.routing import APIRoute

from helvetia.accounts.model import User
from helvetia.kernel.clock import ManualClock
from helvetia.web.middleware.csrf import SAFE_METHODS
from support.web_world import PASSWORD, SERVICE, WebWorld

Change = tuple[str, str]
_SERVICE = "/api/v1/services/{service_id}"
_ENFORCEMENT = "/api/v1/billing/enforcement"

# Told why; everything else must be driven by CHANGES.
EXCEPTIONS: dict[Change, str] = {
    ("POST", "/api/v1/webhooks/stripe"): "the event itself is kept, with what was made of it",
    ("POST", "/internal/v1/readings"): "readings are the record",
    ("POST", "/api/v1/operator/usage-tasks/{task_id}"): "a task keeps who decided what and why: test_usage_tasks",
    ("POST", "/api/v1/operator/cancellations/{account_id}/end-anyway"): "needs Stripe: tests/gateway",
    ("POST", "/api/v1/operator/meter-reports/{identifier}/redirect"): "needs Stripe: tests/gateway/test_redirection.py",
    ("POST", "/api/v1/billing/subscription/preview"): "changes nothing but the preview it keeps",
    **dict.fromkeys(
        (
            ("POST", "/api/v1/billing/checkout"),
            ("POST", "/api/v1/billing/portal"),
            ("POST", "/api/v1/billing/subscription/change"),
            ("POST", "/api/v1/billing/subscription/cancel"),
            ("POST", "/api/v1/billing/subscription/resume"),
            ("POST", "/api/v1/billing/invoices/{invoice_id}/pay"),
            ("POST", "/api/v1/billing/open-invoices/pay"),
            ("POST", "/billing/pay"),
        ),
        "needs Stripe: test_billing_actions and tests/gateway look at its entries",
    ),
    **dict.fromkeys(
        (
            ("POST", "/billing/plans/choose"),
            ("POST", "/billing/plans/keep"),
            ("POST", "/billing/plans/change/{change_id}"),
            ("POST", "/billing/plans/end"),
            ("POST", "/billing/portal"),
            ("POST", "/billing/settings/notices"),
            ("POST", "/billing/settings/organizations"),
            ("POST", "/billing/suspension/order"),
            ("POST", "/billing/suspension/free"),
        ),
        "a form over the very service that the API's route calls, and that writes the entry",
    ),
    ("POST", "/billing/settings/reader"): "test_settings_pages looks at its entry",
    ("POST", "/billing/settings/theme"): "a cookie of the reader's browser; nothing is stored",
    ("POST", "/admin/sign-in"): "the operator's session is a signed cookie; nothing is stored",
    ("POST", "/admin/sign-out"): "the operator's session is a signed cookie; nothing is stored",
}


async def create_service(client: httpx2.AsyncClient, name: str = "web") -> str:
    made = await client.post("/api/v1/services", json={**SERVICE, "name": name, "env": {"PASSWORD": "hush"}})
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


class Scene:
    """A signed-in user, seen through a token and through a browser."""

    def __init__(self, world: WebWorld, user: User, clock: ManualClock) -> None:
        self.world, self.user, self.clock = world, user, clock
        self.service_id = self.organization_id = ""

    async def api(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        async with self.world.as_user(self.user) as client:
            return await client.request(method, path.replace("{service_id}", self.service_id), json=body)

    async def transfer(self) -> httpx2.Response:
        return await self.api("POST", f"{_SERVICE}/transfer", {"organizationId": self.organization_id})

    async def sign_in(self) -> httpx2.Response:
        async with self.world.client(Origin=self.world.config.public_base_url) as client:
            fields = {"csrfToken": form_token((await client.get("/sign-in")).text), "password": PASSWORD}
            return await client.post("/sign-in", data={**fields, "email": self.user.email})

    async def sign_out(self) -> httpx2.Response:
        async with await self.world.browser(self.user) as client:
            token = form_token((await client.get("/billing")).text)
            return await client.post("/sign-out", data={"csrfToken": token})

    async def revoke_token(self) -> httpx2.Response:
        token = await self.world.accounts.issue_token(self.user.account_id, "to be revoked")
        return await self.api("DELETE", f"/api/v1/tokens/{token.token.token_id}")

    async def choose_free(self) -> httpx2.Response:
        ended_at = self.clock.now() - timedelta(hours=1)
        async with self.world.database.transaction() as tx:
            await tx.execute(
                "UPDATE subscriptions SET plan = 'PRO', status = 'CANCELED', ended_at = %s,"
                " stripe_customer_id = 'cus_1', stripe_subscription_id = 'sub_1', stripe_status = 'canceled'"
                " WHERE account_id = %s",
                (ended_at, self.user.account_id),
            )
            await tx.execute(
                "INSERT INTO payment_facts (account_id, stripe_subscription_id, stripe_status, ended_by_failure,"
                " read_at, fetch_seq)"
                " VALUES (%s, 'sub_1', 'canceled', false, %s, 1)",
                (self.user.account_id, ended_at),
            )
        return await self.api("POST", f"{_ENFORCEMENT}/free")

    async def delete_account(self) -> httpx2.Response:
        return await self.api("DELETE", f"/api/v1/account?confirm={self.user.account_id}")


def form_token(page: str) -> str:
    found = re.search(r'name="csrfToken" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]


def by_api(method: str, path: str, body: Any = None) -> Callable[[Scene], Awaitable[httpx2.Response]]:
    return lambda scene: scene.api(method, path, body)


# The change, how it is made, and the action in the record.
CHANGES: dict[Change, tuple[Callable[[Scene], Awaitable[httpx2.Response]], str]] = {
    ("POST", "/api/v1/services"): (by_api("POST", "/api/v1/services", {**SERVICE, "name": "two"}), "service_created"),
    ("PATCH", _SERVICE): (by_api("PATCH", _SERVICE, {"memoryMb": 64, "env": {"KEY": "hush"}}), "service_changed"),
    ("POST", f"{_SERVICE}/start"): (by_api("POST", f"{_SERVICE}/start"), "service_started"),
    ("POST", f"{_SERVICE}/stop"): (by_api("POST", f"{_SERVICE}/stop"), "service_stopped"),
    ("POST", f"{_SERVICE}/restart"): (by_api("POST", f"{_SERVICE}/restart"), "service_restarted"),
    ("POST", f"{_SERVICE}/scale"): (by_api("POST", f"{_SERVICE}/scale", {"replicas": 2}), "service_changed"),
    ("POST", f"{_SERVICE}/transfer"): (Scene.transfer, "service_transferred"),
    ("DELETE", _SERVICE): (by_api("DELETE", _SERVICE), "service_deleted"),
    ("POST", "/api/v1/organizations"): (by_api("POST", "/api/v1/organizations", {"name": "Labs"}), "account_created"),
    ("POST", "/api/v1/tokens"): (by_api("POST", "/api/v1/tokens", {"name": "another"}), "token_created"),
    ("DELETE", "/api/v1/tokens/{token_id}"): (Scene.revoke_token, "token_revoked"),
    ("DELETE", "/api/v1/account"): (Scene.delete_account, "account_deleted"),
    ("PUT", "/api/v1/notifications/language"): (
        by_api("PUT", "/api/v1/notifications/language", {"language": "de"}),
        "language_set",
    ),
    ("PUT", f"{_ENFORCEMENT}/stop-order"): (
        by_api("PUT", f"{_ENFORCEMENT}/stop-order", {"services": []}),
        "stop_order_set",
    ),
    ("POST", f"{_ENFORCEMENT}/free"): (Scene.choose_free, "free_chosen"),
    ("POST", "/sign-in"): (Scene.sign_in, "signed_in"),
    ("POST", "/sign-out"): (Scene.sign_out, "signed_out"),
}


@pytest.fixture
async def scene(world: WebWorld, clock: ManualClock) -> Scene:
    return Scene(world, await world.user("ada", PASSWORD), clock)


async def entries(world: WebWorld) -> list[Any]:
    async with world.database.transaction() as tx:
        cursor = await tx.execute("SELECT account_id, actor, action, detail::text, audit_id FROM audit_entries")
        return await cursor.fetchall()


async def state(world: WebWorld) -> list[Any]:
    """What the changes are about."""
    rows: list[Any] = []
    async with world.database.transaction() as tx:
        for query in (
            "SELECT services::text FROM services ORDER BY service_id",
            "SELECT accounts::text FROM accounts ORDER BY account_id",
            "SELECT memberships::text FROM memberships ORDER BY account_id, user_id",
            "SELECT token_hash::text, revoked_at FROM api_tokens WHERE name <> 'to be revoked' ORDER BY token_hash",
            "SELECT count(*) FROM api_tokens WHERE revoked_at IS NOT NULL",
            "SELECT count(*) FROM sessions WHERE revoked_at IS NULL",
            "SELECT count(*) FROM enforcement_accounts WHERE free_chosen_at IS NOT NULL",
        ):
            rows += await (await tx.execute(query)).fetchall()
    return rows


async def test_every_route_that_changes_something_is_driven_or_excused(world: WebWorld) -> None:
    unsafe = {
        (method, route.path)
        for route in world.app.routes
        if isinstance(route, APIRoute)
        for method in route.methods - SAFE_METHODS
    }
    assert unsafe == {*CHANGES, *EXCEPTIONS}
    assert not {*CHANGES} & {*EXCEPTIONS}


async def prepare(scene: Scene, change: Change) -> None:
    if "{service_id}" in change[1] or change[1] == f"{_ENFORCEMENT}/free":
        async with scene.world.as_user(scene.user) as client:
            scene.service_id = await create_service(client)
    if change[1].endswith("/transfer"):
        labs = await scene.world.accounts.create_organization("Labs", scene.user.account_id)
        scene.organization_id = str(labs.account_id)


@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
async def test_success_leaves_an_entry_with_its_actor(scene: Scene, change: Change) -> None:
    await prepare(scene, change)
    make, action = CHANGES[change]
    before = await entries(scene.world)
    answer = await make(scene)
    assert answer.status_code < 400, answer.text
    added = [entry for entry in await entries(scene.world) if entry not in before]
    made = [one for one in added if one[2] == action]
    accounts = 2 if action == "service_transferred" else 1
    assert [one[1] for one in made] == [f"user:{scene.user.account_id}"] * accounts, added
    assert len({one[0] for one in made}) == accounts
    assert isinstance(made[0][0], UUID)
    assert "hush" not in str(added)


@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
async def test_change_without_its_entry_does_not_happen(scene: Scene, change: Change) -> None:
    """They stand or fall in one transaction: where the entry cannot be written, nothing is changed."""
    await prepare(scene, change)
    make, action = CHANGES[change]
    async with scene.world.database.transaction() as tx:
        await tx.execute(
            "CREATE FUNCTION refuse_entry() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no entry'; END $$"
        )
        await tx.execute(
            "CREATE TRIGGER refuse_entry BEFORE INSERT ON audit_entries"
            f" FOR EACH ROW WHEN (NEW.action = '{action}') EXECUTE FUNCTION refuse_entry()"
        )
    before = await state(scene.world)
    answer = await make(scene)
    assert answer.status_code >= 500, answer.text
    after = await state(scene.world)
    if action == "signed_out":
        after, before = after[:-2], before[:-2]  # the session that was to end is new, and goes on
    assert after == before
