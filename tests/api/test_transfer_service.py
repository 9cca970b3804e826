"""A service goes to another account: who may, where to, and what each of the two sees afterwards."""

from helvetia.accounts.model import Role
from support.web_world import SERVICE, WebWorld

STRANGE = "01a204c7-0000-7000-8000-00000000abcd"


async def test_service_moves_to_an_organization_and_back(world: WebWorld) -> None:
    ada = await world.user("ada")
    organization = await world.accounts.create_organization("Alpine Labs", ada.account_id)
    there, back = {"organizationId": str(organization.account_id)}, {"userId": str(ada.account_id)}
    async with world.as_user(ada) as own, world.as_user(ada, organization) as shared:
        made = (await own.post("/api/v1/services", json={**SERVICE, "env": {"KEY": "v"}})).json()
        path = f"/api/v1/services/{made['id']}"
        moved = await own.post(f"{path}/transfer", json=there)
        assert (moved.status_code, moved.json()["id"]) == (202, made["id"])
        assert (await own.get(path)).status_code == 404
        assert (await own.get("/api/v1/services")).json()["services"] == []
        found = (await shared.get(path)).json()
        assert {**found, "statusAt": None} == {**made, "statusAt": None}
        assert (await own.post(f"{path}/transfer", json=there)).status_code == 404
        assert (await shared.post(f"{path}/transfer", json=there)).json()["code"] == "same_owner"
        assert (await shared.post(f"{path}/transfer", json=back)).status_code == 202
        assert (await own.get(path)).json()["env"] == {"KEY": "v"}
        assert (await own.get(f"/api/v1/billing/usage/services/{made['id']}")).status_code == 200


async def test_transfer_needs_the_right_to_run_services_in_both_accounts(world: WebWorld) -> None:
    ada, bob = await world.user("ada"), await world.user("bob")
    organization = await world.accounts.create_organization("Alpine Labs", bob.account_id)
    body = {"organizationId": str(organization.account_id)}
    async with world.as_user(ada) as client:
        path = f"/api/v1/services/{(await client.post('/api/v1/services', json=SERVICE)).json()['id']}"
        foreign = await client.post(f"{path}/transfer", json=body)
        missing = await client.post(f"{path}/transfer", json={"organizationId": STRANGE})
        person = await client.post(f"{path}/transfer", json={"userId": str(bob.account_id)})
        for answer in (foreign, missing, person):
            assert (answer.status_code, answer.json()["code"]) == (404, "account_not_found")
        await world.accounts.set_role(organization.account_id, ada.account_id, Role.MEMBER, actor="test")
        refused = await client.post(f"{path}/transfer", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        await world.accounts.set_role(organization.account_id, ada.account_id, Role.DEVELOPER, actor="test")
        assert (await client.post(f"{path}/transfer", json=body)).status_code == 202


async def test_transfer_is_admitted_like_a_new_service_or_changes_nothing(world: WebWorld) -> None:
    ada = await world.user("ada")
    organization = await world.accounts.create_organization("Alpine Labs", ada.account_id)
    body = {"organizationId": str(organization.account_id)}
    async with world.as_user(ada) as own, world.as_user(ada, organization) as shared:
        path = f"/api/v1/services/{(await own.post('/api/v1/services', json=SERVICE)).json()['id']}"
        assert (await shared.post("/api/v1/services", json={**SERVICE, "name": "other"})).status_code == 202
        full = await own.post(f"{path}/transfer", json=body)
        assert (full.status_code, full.json()["code"]) == (403, "service_limit_reached")
        assert (await own.get(path)).status_code == 200


async def test_transfer_to_nobody_or_to_two_is_refused(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        for body in ({}, {"organizationId": STRANGE, "userId": STRANGE}, {"organizationId": "x"}):
            answer = await client.post(f"/api/v1/services/{STRANGE}/transfer", json=body)
            assert answer.status_code == 422
