"""The order in which services would stop: shown by `GET /billing/enforcement`, and set by its customer only."""

from support.web_world import SERVICE, WebWorld


async def test_order_is_shown_set_and_followed_by_what_was_made_later(world: WebWorld) -> None:
    user = await world.user("ada")
    async with world.database.transaction() as tx:
        await tx.execute("UPDATE subscriptions SET plan = 'PRO' WHERE account_id = %s", (user.account_id,))
    async with world.as_user(user) as client:
        ids = {}

        async def make(name: str) -> None:
            made = await client.post("/api/v1/services", json={**SERVICE, "name": name})
            ids[name] = made.json()["id"]

        async def order() -> list[str]:
            told = (await client.get("/api/v1/billing/enforcement")).json()
            return [one["name"] for one in told["services"]]

        for name in ("first", "second", "third"):
            await make(name)
        assert await order() == ["third", "second", "first"]
        answer = await client.put(
            "/api/v1/billing/enforcement/stop-order", json={"services": [ids["first"], ids["third"]]}
        )
        assert [one["name"] for one in answer.json()["services"]] == ["first", "third", "second"]
        assert await order() == ["first", "third", "second"]
        await make("fourth")
        assert await order() == ["first", "third", "fourth", "second"]
    stranger = await world.user("eva")
    async with world.as_user(stranger) as client:
        foreign = await client.put("/api/v1/billing/enforcement/stop-order", json={"services": [ids["first"]]})
        assert (foreign.status_code, foreign.json()["code"]) == (422, "invalid_stop_order")
        assert (await client.get("/api/v1/billing/enforcement")).json()["services"] == []
