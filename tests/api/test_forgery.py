"""Sessions by cookie: what a browser may do, and what no other site can make it do."""

import re

import httpx2

from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.web.config import WebConfig
from support.web_world import PASSWORD, SERVICE, WebWorld, web_world

ORIGIN = "https://cloud.example"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://cloud.example.evil.example"},
    {"Origin": "http://cloud.example"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {},
)


def token_in(page: str) -> str:
    found = re.search(r'name="csrfToken" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]


async def sign_in(client: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    form = await client.get("/sign-in")
    values = {"csrfToken": token_in(form.text), "email": "ada@example.ch", "password": PASSWORD, **fields}
    return await client.post("/sign-in", data=values)


async def test_sign_in_leads_to_the_overview_and_out_again(world: WebWorld) -> None:
    await world.user("ada", PASSWORD)
    async with world.client(Origin=ORIGIN) as client:
        answer = await sign_in(client)
        assert (answer.status_code, answer.headers["location"]) == (303, "/billing")
        page = await client.get("/billing")
        assert "Free plan. Nothing is charged; usage counts anew on 1 April." in page.text
        secret = client.cookies["__Host-helvetia_session"]
        out = await client.post("/sign-out", data={"csrfToken": token_in(page.text)})
        assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
        client.cookies.set("__Host-helvetia_session", secret)
        after = await client.get("/api/v1/account")
    assert (after.status_code, after.json()["code"]) == (401, "session_ended")


async def test_cookies_are_bound_to_https_and_out_of_reach_of_scripts(world: WebWorld) -> None:
    await world.user("ada", PASSWORD)
    async with world.client(Origin=ORIGIN) as client:
        form = await client.get("/sign-in")
        answer = await sign_in(client)
    for cookie in (*form.headers.get_list("set-cookie"), *answer.headers.get_list("set-cookie")):
        assert cookie.startswith("__Host-helvetia_")
        for part in ("HttpOnly", "Path=/", "SameSite=lax", "Secure"):
            assert part in cookie
        assert "Domain" not in cookie


async def test_cookie_over_http_has_no_prefix_and_is_not_secure(database: Database, clock: ManualClock) -> None:
    async with web_world(database, clock, WebConfig(public_base_url="http://127.0.0.1:8000")) as world:
        await world.user("ada", PASSWORD)
        async with world.client(Origin="http://localhost:8000") as client:
            answer = await sign_in(client)
            assert answer.status_code == 303
            assert (await client.get("/billing")).status_code == 200
    cookie = answer.headers.get_list("set-cookie")[0]
    assert cookie.startswith("helvetia_session=")
    assert "Secure" not in cookie
    assert "HttpOnly" in cookie


async def test_wrong_password_shows_the_form_again_without_saying_which(world: WebWorld) -> None:
    await world.user("ada", PASSWORD)
    pages = []
    async with world.client(Origin=ORIGIN) as client:
        for email in ("ada@example.ch", "bob@example.ch"):
            answer = await sign_in(client, email=email, password="wrong")
            assert answer.status_code == 401
            pages.append(answer.text.replace(email, "…"))
    assert pages[0] == pages[1]
    assert "The e-mail address or the password is wrong." in pages[0]


async def test_guessing_gets_a_429_with_the_time_to_wait(world: WebWorld) -> None:
    await world.user("ada", PASSWORD)
    async with world.client(Origin=ORIGIN) as client:
        for _ in range(10):
            await sign_in(client, password="wrong", email="nobody@example.ch")
        answer = await sign_in(client, email="nobody@example.ch")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 300


async def test_signing_in_again_ends_the_earlier_session(world: WebWorld) -> None:
    await world.user("ada", PASSWORD)
    async with world.client(Origin=ORIGIN) as client:
        await sign_in(client)
        first = client.cookies["__Host-helvetia_session"]
        await sign_in(client)
        assert client.cookies["__Host-helvetia_session"] != first
    async with world.client() as other:
        other.cookies.set("__Host-helvetia_session", first)
        assert (await other.get("/api/v1/account")).status_code == 401


async def test_unsafe_request_with_a_cookie_from_elsewhere_is_refused(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    session = await world.accounts.sign_in(user.email, PASSWORD, address="test")
    for headers in FOREIGN:
        async with world.client(**headers) as client:
            client.cookies.set("__Host-helvetia_session", session.secret)
            for path, body in (("/api/v1/services", SERVICE), ("/api/v1/organizations", {"name": "x"})):
                answer = await client.post(path, json=body)
                assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request"), headers
            out = await client.post("/sign-out", data={"csrfToken": "x"})
            assert out.status_code == 403
            assert (await client.get("/api/v1/account")).status_code == 200


async def test_nobody_is_signed_in_by_another_site(world: WebWorld) -> None:
    await world.user("ada", PASSWORD)
    for headers in FOREIGN:
        async with world.client(**headers) as client:
            answer = await sign_in(client)
        assert answer.status_code == 403, headers
        assert "set-cookie" not in answer.headers


async def test_form_without_its_token_changes_nothing(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    async with await world.browser(user) as client:
        for content in ("", "csrfToken=", "csrfToken=" + "0" * 64, "csrfToken=%C3%A9"):
            answer = await client.post("/sign-out", content=content, headers=FORM)
            assert (answer.status_code, answer.json()["code"]) == (403, "form_expired")
        assert (await client.get("/api/v1/account")).status_code == 200
    async with world.client(Origin=ORIGIN) as client:
        answer = await client.post("/sign-in", data={"email": user.email, "password": PASSWORD})
    assert answer.json()["code"] == "form_expired"


async def test_api_by_cookie_takes_json_from_our_pages_but_no_form(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    async with await world.browser(user) as client:
        made = await client.post("/api/v1/services", json=SERVICE)
        assert made.status_code == 202
        assert (await client.post(f"/api/v1/services/{made.json()['id']}/stop")).status_code == 202
        form = await client.post("/api/v1/services", data={"name": "web"})
        assert form.json()["code"] == "form_expired"
        text = await client.post("/api/v1/services", content=b"{}", headers={"Content-Type": "text/plain"})
        assert text.json()["code"] == "form_expired"


async def test_get_and_head_change_nothing(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    tables = ("accounts", "users", "memberships", "api_tokens", "subscriptions", "services", "audit_entries")

    async def state() -> str:
        async with world.database.transaction() as tx:
            rows = [
                await (
                    await tx.execute(f"SELECT md5(string_agg({t}::text, '' ORDER BY {t}::text)) FROM {t}")
                ).fetchone()
                for t in tables
            ]
        return str(rows)

    async with await world.browser(user) as client:
        before = await state()
        for path in ("/", "/sign-in", "/billing", "/sign-out", "/api/v1/account", "/api/v1/tokens", "/api/v1/services"):
            await client.get(path)
            await client.head(path)
        assert await state() == before


async def test_no_valid_token_is_a_401_even_beside_a_good_cookie(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    async with await world.browser(user) as client:
        for sent in ("", "Basic YTpi", "Bearer", "Bearer ", "Bearer x", "Bearer hv_x", "bearer hv_\xe9"):
            answer = await client.get("/api/v1/account", headers={"Authorization": sent.encode("latin-1")})
            assert answer.status_code == 401, sent
            assert answer.headers["www-authenticate"] == "Bearer"
