"""Headers, problems and bounds: what every answer carries, whatever went wrong."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from helvetia.accounts.model import Role
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.web.config import WebConfig
from support.web_world import PASSWORD, SERVICE, WebWorld, web_world

HTML = {"Accept": "text/html,application/xhtml+xml"}
PROBLEM = {"type", "title", "status", "detail", "code", "requestId"}
LOOPBACK = WebConfig(public_base_url="http://127.0.0.1:8000", redirect_origins=("http://127.0.0.1:12111",))


@pytest.fixture
async def loopback(database: Database, clock: ManualClock) -> AsyncIterator[WebWorld]:
    async with web_world(database, clock, LOOPBACK) as world:
        yield world


@pytest.fixture
async def without_database(clock: ManualClock) -> AsyncIterator[WebWorld]:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none", wait_s=0.2)
    await nowhere.open()
    async with web_world(nowhere, clock, WebConfig(public_base_url="https://cloud.example")) as world:
        yield world
    await nowhere.close()


MALFORMED = (
    (b"{", "application/json", {400, 422}),
    (b"", "application/json", {422}),
    (b"[]", "application/json", {422}),
    (b"null", "application/json", {422}),
    (b'"text"', "application/json", {422}),
    (b"[" * 100_000, "application/json", {400, 422}),
    (b"\xff\xfe", "application/json", {400, 422}),
    (b'{"name": "\\ud800"}', "application/json", {422}),
    (b"1" * 100_000, "application/json", {400, 422}),
    (b"name=web", "application/x-www-form-urlencoded", {422}),
    (b'{"name": "web"}', "text/plain", {422}),
)
ADDRESSES = (
    ("GET", "/"),
    ("GET", "/sign-in"),
    ("GET", "/billing"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/billing/usage"),
    ("GET", "/nowhere"),
    ("GET", "/api/v1/nowhere"),
    ("PUT", "/api/v1/services"),
    ("POST", "/sign-in"),
    ("GET", "/static/helvetia.css"),
    ("GET", "/static/nothing.css"),
    ("GET", "/static/../app.py"),
)


@pytest.mark.parametrize("accept", [{}, HTML], ids=["json", "page"])
async def test_every_answer_carries_the_security_headers(world: WebWorld, accept: dict[str, str]) -> None:
    async with world.client(**accept) as client:
        for method, path in ADDRESSES:
            answer = await client.request(method, path)
            headers = answer.headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'"), path
            assert "'unsafe-inline'" not in headers["content-security-policy"]
            for directive in ("base-uri 'none'", "object-src 'none'", "frame-ancestors 'none'"):
                assert directive in headers["content-security-policy"]
            assert headers["referrer-policy"] == "same-origin"
            assert "camera=()" in headers["permissions-policy"]
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["strict-transport-security"].startswith("max-age=31536000")
            assert headers["cache-control"] == "no-store", path
            assert len(headers["x-request-id"]) == 32


async def test_forms_may_lead_to_stripe_and_nowhere_else(world: WebWorld, loopback: WebWorld) -> None:
    async with world.client() as client:
        policy = (await client.get("/sign-in")).headers["content-security-policy"]
    assert policy.endswith("form-action 'self' https://checkout.stripe.com https://billing.stripe.com")
    async with loopback.client() as client:
        headers = (await client.get("/sign-in")).headers
    assert headers["content-security-policy"].endswith("form-action 'self' http://127.0.0.1:12111")
    assert "strict-transport-security" not in headers


async def test_static_files_are_kept_only_under_their_version(world: WebWorld) -> None:
    async with world.client() as client:
        page = (await client.get("/sign-in")).text
        address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        assert "immutable" in (await client.get(address)).headers["cache-control"]
        font = page.partition('rel="preload" href="')[2].partition('"')[0]
        assert "immutable" in (await client.get(font)).headers["cache-control"]
        assert (await client.get("/static/none.css?v=1")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nowhere", 404, "page_not_found"),
        ("GET", "/nowhere", 404, "page_not_found"),
        ("PUT", "/api/v1/services", 405, "method_not_allowed"),
        ("GET", "/api/v1/billing/usage", 401, "not_signed_in"),
        ("GET", "/static/nothing.css", 404, "page_not_found"),
    ],
)
async def test_router_errors_are_problems(world: WebWorld, method: str, path: str, status: int, code: str) -> None:
    async with world.client() as client:
        answer = await client.request(method, path)
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(body) >= PROBLEM
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["requestId"] == answer.headers["x-request-id"]
    if status == 405:
        assert "POST" in answer.headers["allow"] or "GET" in answer.headers["allow"]


async def test_browser_gets_pages_of_the_same_look(world: WebWorld) -> None:
    async with world.client(**HTML) as client:
        missing = await client.get("/nowhere")
        unknown = await client.get("/billing")
    assert missing.status_code == 404
    assert missing.headers["content-type"].startswith("text/html")
    assert missing.headers["x-request-id"] in missing.text
    assert (unknown.status_code, unknown.headers["location"]) == (303, "/sign-in")


async def test_role_without_billing_gets_a_page_that_says_whom_to_ask(world: WebWorld) -> None:
    owner = await world.user("owner")
    organization = await world.accounts.create_organization("Alpine", owner.account_id)
    member = await world.member(organization, Role.DEVELOPER)
    async with world.as_user(member, organization) as client:
        page = await client.get("/billing", headers=HTML)
    assert page.status_code == 403
    assert "Your role in this account is Developer; an owner of it can change that." in page.text


async def test_unexpected_exception_is_a_plain_500_with_the_logged_id(
    world: WebWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    async def explode() -> None:
        raise ZeroDivisionError("secret detail")

    world.app.add_api_route("/api/v1/explode", explode)
    world.app.add_api_route("/explode", explode)
    async with world.client() as client:
        answer = await client.get("/api/v1/explode")
        page = await client.get("/explode", headers=HTML)
    assert (answer.status_code, answer.json()["code"]) == (500, "unexpected")
    assert "secret detail" not in answer.text + page.text
    assert page.headers["content-type"].startswith("text/html")
    logged = capsys.readouterr()
    assert "secret detail" in logged.out + logged.err
    assert answer.json()["requestId"] in logged.out + logged.err


async def test_database_away_is_a_503_that_says_when_to_try_again(without_database: WebWorld) -> None:
    async with without_database.client("hv_some") as client:
        answer = await client.get("/api/v1/billing/usage")
        page = await client.get("/billing", headers=HTML)
        ready = await client.get("/readyz")
        alive = await client.get("/healthz")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert (ready.status_code, list(ready.json()["reasons"])) == (503, ["database"])
    assert alive.status_code == 200


async def test_malformed_body_is_a_problem(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        for body, content_type, statuses in MALFORMED:
            answer = await client.post("/api/v1/services", content=body, headers={"Content-Type": content_type})
            assert answer.status_code in statuses, (body[:20], answer.text)
            assert set(answer.json()) >= PROBLEM


async def test_body_beyond_the_bound_is_refused_stated_or_not(world: WebWorld) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 8_192

    async with world.as_user(await world.user("ada")) as client:
        stated = await client.post("/api/v1/services", content=b" " * 300_000)
        streamed = await client.post("/api/v1/services", content=pieces())
    for answer in (stated, streamed):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert answer.json()["maximumBytes"] == 262_144


async def test_bad_page_is_a_problem(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        for path in ("/api/v1/services", "/api/v1/billing/invoices"):
            for query in ("limit=0", "limit=101", "limit=x", "limit=1e9", "cursor=x", "cursor=%00"):
                answer = await client.get(f"{path}?{query}")
                assert answer.status_code in {400, 422}, (path, query, answer.text)
                assert set(answer.json()) >= PROBLEM


async def test_services_come_in_pages_until_the_last(world: WebWorld) -> None:
    user = await world.user("ada")
    async with world.database.transaction() as tx:
        await tx.execute("UPDATE subscriptions SET plan = 'PRO' WHERE account_id = %s", (user.account_id,))
    async with world.as_user(user) as client:
        names = [f"web-{number}" for number in range(5)]
        for name in names:
            await client.post("/api/v1/services", json={**SERVICE, "name": name})
        found: list[str] = []
        cursor: dict[str, Any] = {}
        for _ in range(4):
            page = (await client.get("/api/v1/services", params={"limit": 2, **cursor})).json()
            found += [service["name"] for service in page["services"]]
            if page["nextCursor"] is None:
                break
            cursor = {"cursor": page["nextCursor"]}
    assert sorted(found) == names


async def test_hostile_names_are_text_on_the_page(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    hostile = '"><script>alert(1)</script>{{ 7*7 }}'
    organization = await world.accounts.create_organization(hostile, user.account_id)
    async with world.as_user(user, organization) as client:
        page = (await client.get("/billing")).text
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}" in page
