"""What somebody finds who calls for the first time, thinnest end to end."""

from helvetia.kernel.clock import ManualClock
from support.web_world import SERVICE, WebWorld


async def test_d02_new_user_finds_a_free_subscription_whose_missing_ids_are_null(world: WebWorld) -> None:
    user = await world.user("ada")
    async with world.as_user(user) as client:
        answer = await client.get("/api/v1/billing/subscription")
    body = answer.json()
    assert answer.status_code == 200
    assert (body["plan"], body["status"], body["userId"]) == ("FREE", "ACTIVE", str(user.account_id))
    assert (body["currentPeriodStart"], body["currentPeriodEnd"]) == ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
    assert (body["organizationId"], body["stripeCustomerId"], body["stripeSubscriptionId"]) == (None, None, None)
    assert body["limits"]["maxCpuCores"] == "0.5"


async def test_new_user_has_used_nothing(world: WebWorld, clock: ManualClock) -> None:
    async with world.as_user(await world.user("ada")) as client:
        body = (await client.get("/api/v1/billing/usage")).json()
    assert [line["metric"] for line in body["usage"]] == [
        "COMPUTE_HOURS",
        "MEMORY_GB_HOURS",
        "BANDWIDTH_GB",
        "STORAGE_GB",
    ]
    bandwidth = body["usage"][2]
    assert (bandwidth["quantity"], bandwidth["unit"], bandwidth["cost"]) == ("0.000000", "GB", "0.00")
    assert (bandwidth["limit"], bandwidth["limitUnit"], bandwidth["unitPrice"]) == ("10", "GB", "0.12")
    assert (bandwidth["limitPercent"], bandwidth["notAtStripe"]) == ("0.0000", None)
    assert (body["usage"][0]["limit"], body["usage"][0]["limitPercent"]) == (None, None)
    assert (body["closed"], body["gaps"]) == (True, [])
    assert (body["asOf"], body["complete"], body["currency"]) == ("2026-03-10T10:17:23Z", True, "usd")


async def test_new_user_has_no_invoices(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        assert (await client.get("/api/v1/billing/invoices")).json() == {
            "invoices": [],
            "nextCursor": None,
            "asOf": None,
        }


async def test_config_tells_the_publishable_key_and_the_currency(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        body = (await client.get("/api/v1/billing/config")).json()
    assert body == {"publishableKey": "pk_test_x", "currency": "usd", "isSandbox": False}


async def test_service_lives_from_create_to_delete(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        made = await client.post("/api/v1/services", json=SERVICE)
        assert made.status_code == 202
        service = made.json()
        assert (service["status"], service["wish"], service["cpuCores"]) == ("pending", "running", "0.25")
        address = f"/api/v1/services/{service['id']}"
        changed = await client.patch(address, json={"env": {"A": "1"}, "memoryMb": 128})
        assert (changed.status_code, changed.json()["revision"], changed.json()["env"]) == (202, 2, {"A": "1"})
        for action, wish in (("stop", "stopped"), ("start", "running"), ("restart", "running")):
            answer = await client.post(f"{address}/{action}")
            assert (answer.status_code, answer.json()["wish"]) == (202, wish)
        scaled = await client.post(f"{address}/scale", json={"replicas": 0})
        assert (scaled.status_code, scaled.json()["replicas"]) == (202, 0)
        assert [found["id"] for found in (await client.get("/api/v1/services")).json()["services"]] == [service["id"]]
        assert (await client.delete(address)).status_code == 204
        gone = await client.get(address)
        assert (gone.status_code, gone.json()["code"]) == (404, "service_not_found")


async def test_second_service_of_a_free_account_says_which_plan_fits(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        await client.post("/api/v1/services", json=SERVICE)
        answer = await client.post("/api/v1/services", json={**SERVICE, "name": "worker"})
    body = answer.json()
    assert (answer.status_code, body["code"]) == (403, "service_limit_reached")
    assert (body["allowed"], body["used"], body["plan"]) == (1, 1, "STARTER")


async def test_organization_is_founded_and_selected(world: WebWorld) -> None:
    user = await world.user("ada")
    async with world.as_user(user) as client:
        made = await client.post("/api/v1/organizations", json={"name": "Alpine Labs"})
        organization_id = made.json()["organizationId"]
        assert (made.status_code, made.json()["role"]) == (201, "OWNER")
        by_query = await client.get(f"/api/v1/billing/subscription?organizationId={organization_id}")
        by_header = await client.get("/api/v1/account", headers={"X-Organization-Id": organization_id})
    assert (by_query.json()["organizationId"], by_query.json()["userId"]) == (organization_id, None)
    assert by_header.json()["selected"]["name"] == "Alpine Labs"
    assert [account["kind"] for account in by_header.json()["accounts"]] == ["user", "organization"]


async def test_token_is_shown_once_and_works_until_revoked(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        made = await client.post("/api/v1/tokens", json={"name": "laptop"})
        secret, token_id = made.json()["secret"], made.json()["id"]
        listed = await client.get("/api/v1/tokens")
        assert made.status_code == 201
        assert secret not in listed.text
        async with world.client(secret) as other:
            assert (await other.get("/api/v1/account")).status_code == 200
            assert (await client.delete(f"/api/v1/tokens/{token_id}")).status_code == 204
            refused = await other.get("/api/v1/account")
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert refused.headers["www-authenticate"] == "Bearer"


async def test_house_answers_probes_and_guards_its_metrics(world: WebWorld) -> None:
    async with world.client() as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ready", "reasons": {}}
        assert (await client.get("/metrics")).json()["code"] == "metrics_forbidden"
        allowed = await client.get("/metrics", headers={"Authorization": "Bearer m-token"})
        assert (allowed.status_code, allowed.headers["content-type"][:10]) == (200, "text/plain")


async def test_description_names_the_routes_and_how_errors_look(world: WebWorld) -> None:
    async with world.client() as client:
        schema = (await client.get("/api/v1/openapi.json")).json()
        for page in ("/docs", "/redoc", "/openapi.json"):
            assert (await client.get(page)).status_code == 404
    assert "/api/v1/services/{service_id}/scale" in schema["paths"]
    assert "/sign-in" not in schema["paths"]
    create = schema["paths"]["/api/v1/services"]["post"]
    assert "application/problem+json" in create["responses"]["default"]["content"]
    assert schema["components"]["schemas"]["ServiceRequest"]["additionalProperties"] is False
