"""Deleting an account by the API: a confirmation, what is left to do, and nobody there afterwards."""

from support.web_world import SERVICE, WebWorld

ACCOUNT = "/api/v1/account"


async def test_account_is_deleted_once_nothing_is_left(world: WebWorld) -> None:
    user = await world.user("ada")
    own = {"confirm": str(user.account_id)}
    async with world.as_user(user) as client:
        made = await client.post("/api/v1/services", json=SERVICE)
        assert (await client.delete(ACCOUNT)).status_code == 422
        wrong = await client.delete(ACCOUNT, params={"confirm": made.json()["id"]})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_confirmation")
        refused = await client.delete(ACCOUNT, params=own)
        assert (refused.status_code, refused.json()["code"], refused.json()["services"]) == (409, "services_remain", 1)
        assert (await client.delete(f"/api/v1/services/{made.json()['id']}")).status_code in {202, 204}
        assert (await client.delete(ACCOUNT, params=own)).status_code == 204
        assert (await client.get(ACCOUNT)).status_code == 401


async def test_owner_deletes_the_selected_organization_only(world: WebWorld) -> None:
    user = await world.user("ada")
    organization = await world.accounts.create_organization("Alpine Labs", user.account_id)
    async with world.as_user(user) as client:
        alone = await client.delete(ACCOUNT, params={"confirm": str(user.account_id)})
        assert (alone.status_code, alone.json()["code"]) == (409, "owns_organizations")
    async with world.as_user(user, organization) as client:
        mistaken = await client.delete(ACCOUNT, params={"confirm": str(user.account_id)})
        assert mistaken.json()["code"] == "wrong_confirmation"
        assert (await client.delete(ACCOUNT, params={"confirm": str(organization.account_id)})).status_code == 204
        assert (await client.get("/api/v1/billing/subscription")).status_code == 404
    async with world.as_user(user) as client:
        assert (await client.delete(ACCOUNT, params={"confirm": str(user.account_id)})).status_code == 204
