"""Every route against every role: own tenant, another's, and none."""

from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount

from helvetia.accounts.model import ROLE_PERMISSIONS, Permission, Role
from helvetia.web.middleware.authenticate import Needs, Open
from support.web_world import SERVICE, WebWorld

MISSING = "01a204c7-0000-7000-8000-00000000abcd"
ONE = f"/api/v1/services/{MISSING}"
READ_SERVICES, RUN_SERVICES = Permission.READ_SERVICES, Permission.RUN_SERVICES
READ_BILLING, MOVE_MONEY = Permission.READ_BILLING, Permission.MOVE_MONEY
INVOICE = f"/api/v1/billing/invoices/in_{MISSING.replace('-', '')}"
INVOICE_PAGE = INVOICE.removeprefix("/api/v1")

# method, path, what it needs (None: any signed-in user), body, status for who may
GUARDED: tuple[tuple[str, str, Permission | None, Any, int], ...] = (
    ("GET", "/api/v1/account", None, None, 200),
    ("DELETE", f"/api/v1/account?confirm={MISSING}", Permission.MANAGE_ACCOUNT, None, 422),
    ("POST", "/api/v1/organizations", None, {"name": "Another"}, 201),
    ("GET", "/api/v1/tokens", None, None, 200),
    ("POST", "/api/v1/tokens", None, {"name": "another"}, 201),
    ("DELETE", f"/api/v1/tokens/{MISSING}", None, None, 404),
    ("GET", "/api/v1/billing/subscription", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/usage", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/estimate", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/usage/history", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/usage/comparison", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/usage/changes", READ_BILLING, None, 200),
    ("GET", f"/api/v1/billing/usage/services/{MISSING}", READ_BILLING, None, 404),
    ("GET", "/api/v1/billing/usage/forecast", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/usage/export", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/usage/explain", READ_BILLING, None, 422),
    ("GET", f"/api/v1/billing/usage/explain/{MISSING}", READ_BILLING, None, 404),
    ("GET", "/api/v1/billing/invoices", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/config", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/plans", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/payments", READ_BILLING, None, 200),
    ("GET", "/api/v1/billing/payment-methods", READ_BILLING, None, 200),
    ("GET", INVOICE, READ_BILLING, None, 404),
    ("GET", f"{INVOICE}/pdf", READ_BILLING, None, 404),
    ("GET", f"{INVOICE}/credit-notes/cn_missing/pdf", READ_BILLING, None, 404),
    ("POST", f"{INVOICE}/pay", MOVE_MONEY, None, 404),
    ("GET", "/api/v1/billing/open-invoices", READ_BILLING, None, 200),
    ("POST", "/api/v1/billing/open-invoices/pay", MOVE_MONEY, {"invoices": [], "amountDue": "0.00"}, 200),
    ("GET", "/billing/pay", MOVE_MONEY, None, 200),
    ("POST", "/billing/pay", MOVE_MONEY, None, 303),
    ("GET", "/billing/plans", READ_BILLING, None, 200),
    ("POST", "/billing/plans/choose", MOVE_MONEY, None, 422),
    ("POST", "/billing/plans/keep", MOVE_MONEY, None, 303),
    ("GET", f"/billing/plans/change/{MISSING}", MOVE_MONEY, None, 404),
    ("POST", f"/billing/plans/change/{MISSING}", MOVE_MONEY, None, 404),
    ("GET", "/billing/plans/end", MOVE_MONEY, None, 303),
    ("POST", "/billing/plans/end", MOVE_MONEY, None, 303),
    ("GET", "/billing/success", READ_BILLING, None, 303),
    ("GET", "/billing/cancel", READ_BILLING, None, 200),
    ("GET", "/billing/payment-methods", READ_BILLING, None, 200),
    ("POST", "/billing/portal", MOVE_MONEY, None, 503),
    ("GET", "/billing/settings", None, None, 200),
    ("POST", "/billing/settings/reader", None, None, 303),
    ("POST", "/billing/settings/theme", None, None, 422),
    ("POST", "/billing/settings/notices", MOVE_MONEY, None, 422),
    ("POST", "/billing/settings/organizations", None, None, 422),
    ("POST", "/api/v1/billing/checkout", MOVE_MONEY, {"plan": "PRO"}, 503),
    ("POST", "/api/v1/billing/portal", MOVE_MONEY, {"flow": "cancel"}, 409),
    ("POST", "/api/v1/billing/subscription/preview", MOVE_MONEY, {"plan": "PRO"}, 503),
    ("POST", "/api/v1/billing/subscription/change", MOVE_MONEY, {"plan": "PRO", "previewToken": MISSING}, 503),
    ("POST", "/api/v1/billing/subscription/cancel", MOVE_MONEY, None, 409),
    ("POST", "/api/v1/billing/subscription/resume", MOVE_MONEY, None, 409),
    ("GET", "/api/v1/billing/enforcement", READ_BILLING, None, 200),
    ("PUT", "/api/v1/billing/enforcement/stop-order", RUN_SERVICES, {"services": []}, 200),
    ("POST", "/api/v1/billing/enforcement/free", MOVE_MONEY, None, 409),
    ("GET", "/api/v1/notifications", READ_BILLING, None, 200),
    ("PUT", "/api/v1/notifications/language", MOVE_MONEY, {"language": "de"}, 200),
    ("GET", "/billing", READ_BILLING, None, 200),
    ("GET", "/billing/usage", READ_BILLING, None, 200),
    ("GET", "/billing/invoices", READ_BILLING, None, 200),
    ("GET", "/billing/invoices/export", READ_BILLING, None, 200),
    ("GET", f"{INVOICE_PAGE}", READ_BILLING, None, 404),
    ("GET", f"{INVOICE_PAGE}/pdf", READ_BILLING, None, 404),
    ("GET", f"{INVOICE_PAGE}/credit-notes/cn_missing/pdf", READ_BILLING, None, 404),
    ("GET", "/billing/invoices/next", READ_BILLING, None, 200),
    ("GET", "/billing/payments", READ_BILLING, None, 200),
    ("GET", "/billing/notifications", READ_BILLING, None, 200),
    ("GET", "/billing/suspension", READ_BILLING, None, 200),
    ("POST", "/billing/suspension/order", RUN_SERVICES, None, 303),
    ("POST", "/billing/suspension/free", MOVE_MONEY, None, 303),
    ("GET", f"/billing/usage/services/{MISSING}", READ_BILLING, None, 404),
    ("GET", "/billing/usage/why", READ_BILLING, None, 200),
    ("GET", f"/billing/usage/pieces/{MISSING}", READ_BILLING, None, 404),
    ("GET", "/billing/history", READ_BILLING, None, 200),
    ("GET", f"/billing/usage/live?service={MISSING}", READ_BILLING, None, 200),
    ("GET", "/api/v1/services", READ_SERVICES, None, 200),
    ("GET", ONE, READ_SERVICES, None, 404),
    ("POST", "/api/v1/services", RUN_SERVICES, SERVICE, 202),
    ("PATCH", ONE, RUN_SERVICES, {"memoryMb": 64}, 404),
    ("DELETE", ONE, RUN_SERVICES, None, 404),
    ("POST", f"{ONE}/start", RUN_SERVICES, None, 404),
    ("POST", f"{ONE}/stop", RUN_SERVICES, None, 404),
    ("POST", f"{ONE}/restart", RUN_SERVICES, None, 404),
    ("POST", f"{ONE}/scale", RUN_SERVICES, {"replicas": 1}, 404),
    ("POST", f"{ONE}/transfer", RUN_SERVICES, {"organizationId": MISSING}, 404),
    ("POST", "/sign-out", None, None, 303),
)
OPEN = {
    ("GET", "/"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/admin/sign-in"),
    ("POST", "/admin/sign-in"),
    ("POST", "/admin/sign-out"),
    ("GET", "/admin/billing"),
    ("GET", "/admin/billing/{name}"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/mailbox"),
    ("GET", "/pricing"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/internal/v1/node"),
    ("POST", "/internal/v1/readings"),
    ("POST", "/api/v1/webhooks/stripe"),
    ("GET", "/api/v1/operator/usage-tasks"),
    ("POST", "/api/v1/operator/usage-tasks/{task_id}"),
    ("GET", "/api/v1/operator/usage-comparison"),
    ("GET", "/api/v1/operator/enforcement"),
    ("POST", "/api/v1/operator/cancellations/{account_id}/end-anyway"),
    ("POST", "/api/v1/operator/meter-reports/{identifier}/redirect"),
}
ACCESS = [pytest.param(row, id=f"{row[0]} {row[1].replace(MISSING, '…')}") for row in GUARDED]


def declared(route: APIRoute) -> list[Needs | Open]:
    return [call for dependant in route.dependant.dependencies if isinstance(call := dependant.call, Needs | Open)]


async def test_every_route_declares_once_who_may_call_it(world: WebWorld) -> None:
    needs, opens = {}, set()
    for route in world.app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        assert isinstance(route, APIRoute), f"{route} has no declaration"
        declaration = declared(route)
        assert len(declaration) == 1, f"{route.path} declares {declaration}"
        for method in route.methods:
            if isinstance(declaration[0], Open):
                assert declaration[0].reason
                opens.add((method, route.path))
            else:
                needs[method, route.path] = declaration[0].permission
    generic = {(method, _generic(path)): permission for method, path, permission, _, _ in GUARDED}
    assert opens == OPEN
    assert needs == generic


def _generic(path: str) -> str:
    path = path.partition("?")[0].replace(INVOICE, "/api/v1/billing/invoices/{invoice_id}")
    path = path.replace(f"plans/change/{MISSING}", "plans/change/{change_id}")
    path = path.replace(INVOICE_PAGE, "/billing/invoices/{invoice_id}").replace("cn_missing", "{note_id}")
    path = path.replace(f"usage/explain/{MISSING}", "usage/explain/{record_id}")
    path = path.replace(f"usage/pieces/{MISSING}", "usage/pieces/{record_id}")
    path = path.replace(f"usage/services/{MISSING}", "usage/services/{service_id}")
    return path.replace(ONE, "/api/v1/services/{service_id}").replace(MISSING, "{token_id}")


@pytest.mark.parametrize("row", ACCESS)
async def test_d10_route_answers_each_role_and_stranger_exactly(
    world: WebWorld, row: tuple[str, str, Permission | None, Any, int]
) -> None:
    method, path, permission, body, allowed_status = row
    owner = await world.user("owner")
    organization = await world.accounts.create_organization("Alpine Labs", owner.account_id)
    for role in Role:
        if role is Role.OWNER:
            user = owner
        else:
            user = await world.member(organization, role)
        async with world.as_user(user, organization) as client:
            answer = await client.request(method, path, json=body)
        may = permission is None or permission in ROLE_PERMISSIONS[role]
        if not may:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), role
        elif path == "/api/v1/services" and method == "POST" and role is not Role.OWNER:
            assert (answer.status_code, answer.json()["code"]) == (403, "service_limit_reached"), role
        else:
            assert answer.status_code == allowed_status, (role, answer.text)
    await check_outsiders(world, row, str(organization.account_id))


async def check_outsiders(world: WebWorld, row: tuple[str, str, Permission | None, Any, int], foreign_id: str) -> None:
    method, path, _, body, _ = row
    async with world.client() as client:
        answer = await client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    stranger = await world.user("stranger")
    bodies = []
    for organization_id in (foreign_id, MISSING, "no id at all"):
        async with world.client(world.tokens[stranger.account_id], **{"X-Organization-Id": organization_id}) as client:
            answer = await client.request(method, path, json=body)
        assert answer.status_code == 404
        bodies.append({key: value for key, value in answer.json().items() if key != "requestId"})
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["code"] == "account_not_found"


async def test_foreign_service_is_as_missing_by_every_route(world: WebWorld) -> None:
    ada, bob = await world.user("ada"), await world.user("bob")
    async with world.as_user(ada) as client:
        foreign = (await client.post("/api/v1/services", json=SERVICE)).json()["id"]
        before = (await client.get(f"/api/v1/services/{foreign}")).json()
    async with world.as_user(bob) as client:
        for method, path, _, body, _ in GUARDED:
            if not path.startswith(ONE):
                continue
            answers = [
                await client.request(method, path.replace(MISSING, service_id), json=body)
                for service_id in (foreign, MISSING)
            ]
            bodies = [{**answer.json(), "requestId": None} for answer in answers]
            assert bodies[0] == bodies[1]
            assert [answer.status_code for answer in answers] == [404, 404]
        assert (await client.get("/api/v1/services")).json()["services"] == []
    async with world.as_user(ada) as client:
        assert (await client.get(f"/api/v1/services/{foreign}")).json() == before


async def test_reader_of_services_sees_no_environment(world: WebWorld) -> None:
    owner = await world.user("owner")
    organization = await world.accounts.create_organization("Alpine Labs", owner.account_id)
    member = await world.member(organization, Role.MEMBER)
    async with world.as_user(owner, organization) as client:
        made = await client.post("/api/v1/services", json={**SERVICE, "env": {"PASSWORD": "hush"}})
    assert made.json()["env"] == {"PASSWORD": "hush"}
    async with world.as_user(member, organization) as client:
        read = await client.get("/api/v1/services")
    assert read.json()["services"][0]["env"] is None
    assert "hush" not in read.text


async def test_two_different_organizations_are_refused(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        answer = await client.get(f"/api/v1/account?organizationId={MISSING}", headers={"X-Organization-Id": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "two_organizations")


async def test_removed_member_is_a_stranger_at_once(world: WebWorld) -> None:
    owner = await world.user("owner")
    organization = await world.accounts.create_organization("Alpine Labs", owner.account_id)
    member = await world.member(organization, Role.DEVELOPER)
    async with world.as_user(member, organization) as client:
        assert (await client.get("/api/v1/services")).status_code == 200
        await world.accounts.remove_member(organization.account_id, member.account_id, actor="test")
        assert (await client.get("/api/v1/services")).status_code == 404
