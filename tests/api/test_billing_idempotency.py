"""`Idempotency-Key`: once done, alike answered; never another request's answer, never twice at once."""

import asyncio

import httpx2
import pytest

from helvetia.accounts.model import Role
from helvetia.database.pool import Database
from support.web_world import WebWorld

PATH = "/api/v1/organizations"
KEY = {"Idempotency-Key": "key-1"}


async def count(database: Database, table: str) -> int:
    async with database.transaction() as tx:
        row = await (await tx.execute(f"SELECT count(*) FROM {table}")).fetchone()
    assert row is not None
    return int(row[0])


async def test_repeated_request_is_done_once_and_answered_alike(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        first = await client.post(PATH, json={"name": "Alpine"}, headers=KEY)
        second = await client.post(PATH, json={"name": "Alpine"}, headers=KEY)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["content-type"] == first.headers["content-type"]
    assert "idempotent-replayed" not in first.headers
    assert await count(world.database, "accounts") == 2


async def test_key_of_another_request_is_refused(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        await client.post(PATH, json={"name": "Alpine"}, headers=KEY)
        answer = await client.post(PATH, json={"name": "Baltic"}, headers=KEY)
        elsewhere = await client.post("/api/v1/tokens", json={"name": "Baltic"}, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert elsewhere.status_code == 201
    assert await count(world.database, "accounts") == 2


async def test_key_belongs_to_one_account(world: WebWorld) -> None:
    for name in ("ada", "bob"):
        async with world.as_user(await world.user(name)) as client:
            answer = await client.post(PATH, json={"name": "Alpine"}, headers=KEY)
            assert (answer.status_code, "idempotent-replayed" in answer.headers) == (201, False)


async def test_many_at_once_do_it_once(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:

        async def post() -> httpx2.Response:
            return await client.post(PATH, json={"name": "Alpine"}, headers=KEY)

        answers = await asyncio.gather(*(post() for _ in range(12)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"idempotency_key_in_flight"}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert await count(world.database, "accounts") == 2


async def test_refusal_that_did_nothing_frees_the_key(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        refused = await client.post(PATH, json={"name": " "}, headers=KEY)
        done = await client.post(PATH, json={"name": "Alpine"}, headers=KEY)
    assert (refused.status_code, done.status_code) == (422, 201)


async def test_attempt_that_died_is_taken_over_after_its_bound_only(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        await client.post(PATH, json={"name": "Alpine"}, headers=KEY)
        await _set(world.database, "status = NULL, body = NULL")
        early = await client.post(PATH, json={"name": "Alpine"}, headers=KEY)
        assert (early.status_code, early.json()["code"]) == (409, "idempotency_key_in_flight")
        assert early.headers["retry-after"] == "2"
        await _set(world.database, "claimed_at = claimed_at - interval '3 minutes'")
        other = await client.post(PATH, json={"name": "Baltic"}, headers=KEY)
        assert other.json()["code"] == "idempotency_key_reused"
        late = await client.post(PATH, json={"name": "Alpine"}, headers=KEY)
    assert late.status_code == 201
    assert "idempotent-replayed" not in late.headers


async def test_answer_is_forgotten_after_a_day_of_real_time(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        await client.post(PATH, json={"name": "Alpine"}, headers=KEY)
        await _set(world.database, "expires_at = expires_at - interval '24 hours'")
        again = await client.post(PATH, json={"name": "Baltic"}, headers=KEY)
    assert again.status_code == 201
    assert await count(world.database, "idempotency_keys") == 1


async def test_secret_is_neither_kept_nor_told_twice(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        first = await client.post("/api/v1/tokens", json={"name": "ci"}, headers=KEY)
        second = await client.post("/api/v1/tokens", json={"name": "ci"}, headers=KEY)
    assert (second.status_code, second.json()["code"]) == (409, "answer_not_kept")
    async with world.database.transaction() as tx:
        row = await (await tx.execute("SELECT body FROM idempotency_keys")).fetchone()
    assert row == (None,)
    assert first.status_code == 201


async def test_replay_asks_for_the_permission_first(world: WebWorld) -> None:
    owner = await world.user("owner")
    organization = await world.accounts.create_organization("Alpine Labs", owner.account_id)
    member = await world.member(organization, Role.MEMBER)
    body = {"name": "web", "image": "nginx:1.29", "memoryMb": 256, "cpuCores": "0.25"}
    async with world.as_user(owner, organization) as client:
        assert (await client.post("/api/v1/services", json=body, headers=KEY)).status_code == 202
    async with world.as_user(member, organization) as client:
        answer = await client.post("/api/v1/services", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    async with world.client() as client:
        assert (await client.post("/api/v1/services", json=body, headers=KEY)).status_code == 401


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_key_that_is_none_is_refused(world: WebWorld, key: str) -> None:
    async with world.as_user(await world.user("ada")) as client:
        answer = await client.post(PATH, json={"name": "Alpine"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_idempotency_key")


async def _set(database: Database, change: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(f"UPDATE idempotency_keys SET {change}")
