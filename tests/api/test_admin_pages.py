"""The operator's pages: behind the operator's token, every number beside its list."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import new_id
from helvetia.operations.columns import COLUMNS
from helvetia.operations.model import ListName
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.admin.session import COOKIE, LIFE, is_valid, issue
from helvetia.web.dashboard.admin.words import column_title
from helvetia.web.dashboard.voice import Voice
from support.web_world import SERVICE, WebWorld, web_world

TOKEN = "operator-token-of-this-test"
HOME = "/admin/billing"


@pytest.fixture
async def world(database: Database, clock: ManualClock) -> AsyncIterator[WebWorld]:
    config = WebConfig(public_base_url="https://cloud.example.com", operator_token=TOKEN)
    async with web_world(database, clock, config) as world:
        yield world


def browser(world: WebWorld) -> httpx2.AsyncClient:
    return world.client(Origin=world.config.public_base_url, Accept="text/html")


async def sign_in(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/admin/sign-in", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, HOME)
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "Secure", "SameSite=strict", "Path=/admin"))


async def past_due_account(world: WebWorld, clock: ManualClock, days_ago: int) -> str:
    """An account whose payment failed so many days ago, with $14.22 open and one service."""
    user = await world.user(f"late-{days_ago}")
    async with world.as_user(user) as client:
        await client.post("/api/v1/services", json=SERVICE)
    failed_at = clock.now() - timedelta(days=days_ago, hours=1)
    async with world.database.transaction() as tx:
        await tx.execute(
            "UPDATE subscriptions SET status = 'PAST_DUE', plan = 'PRO', stripe_subscription_id = %s, fee_minor = 2900,"
            " stripe_customer_id = %s, stripe_status = 'past_due' WHERE account_id = %s",
            (f"sub_{days_ago}", f"cus_{days_ago}", user.account_id),
        )
        await tx.execute(
            "INSERT INTO payment_facts (account_id, stripe_subscription_id, stripe_status, failed_invoice_id,"
            " first_failed_at, ended_by_failure, read_at, fetch_seq)"
            " VALUES (%s, %s, 'past_due', %s, %s, false, %s, 1)",
            (user.account_id, f"sub_{days_ago}", f"in_{days_ago}", failed_at, clock.now()),
        )
        await tx.execute(
            "INSERT INTO invoices (account_id, stripe_invoice_id, stripe_subscription_id, number, status,"
            " billing_reason, currency, subtotal_minor, total_minor, amount_due_minor, amount_paid_minor,"
            " amount_remaining_minor, attempt_count, period_start, period_end, issued_at, fetch_seq)"
            " VALUES (%s, %s, %s, 'HC-1', 'open', 'subscription_cycle', 'usd', 1422, 1422, 1422, 0, 1422, 1,"
            " %s, %s, %s, 1)",
            (user.account_id, f"in_{days_ago}", f"sub_{days_ago}", failed_at, failed_at, failed_at),
        )
    return user.email


async def test_without_the_token_nothing_is_shown(world: WebWorld, clock: ManualClock) -> None:
    async with browser(world) as client:
        assert (await client.get(HOME)).headers["location"] == "/admin/sign-in"
        wrong = await client.post("/admin/sign-in", data={"token": "wrong"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)
        assert "This is not the operator&#39;s token." in wrong.text
        for value in ("", "1.x", f"{10**11}.{'0' * 64}", f"-1.{'0' * 64}"):
            client.cookies.set(COOKIE, value)
            assert (await client.get(f"{HOME}/held")).status_code == 403
    async with world.client(Origin="https://elsewhere.example") as foreign:
        assert (await foreign.post("/admin/sign-in", data={"token": TOKEN})).status_code == 403


def test_every_column_of_every_list_has_its_title(clock: ManualClock) -> None:
    voice = Voice(now=clock.now())
    assert set(COLUMNS) == set(ListName)
    assert all(column_title(column.key, voice) for columns in COLUMNS.values() for column in columns)


def test_cookie_ends_after_twelve_hours_and_with_another_token(clock: ManualClock) -> None:
    value = issue(TOKEN, clock.wall())
    assert is_valid(TOKEN, value, clock.wall() + LIFE - timedelta(seconds=2))
    assert not is_valid(TOKEN, value, clock.wall() + LIFE)
    assert not is_valid("another", value, clock.wall())
    assert not is_valid(None, value, clock.wall())


async def test_empty_house_needs_nobody(world: WebWorld) -> None:
    async with browser(world) as client:
        await sign_in(client)
        page = (await client.get(HOME)).text
        assert "Nothing needs you." in page
        for name in ListName:
            answer = await client.get(f"{HOME}/{name}")
            assert (answer.status_code, "Nothing here. That is good." in answer.text) == (200, True)
        assert (await client.get(f"{HOME}/nonsense")).status_code == 422


async def test_number_and_its_list_say_the_same(world: WebWorld, clock: ManualClock) -> None:
    emails = [await past_due_account(world, clock, days) for days in (0, 2, 6, 8)]
    async with browser(world) as client:
        await sign_in(client)
        page, past_due, grace = [(await client.get(f"{HOME}{path}")).text for path in ("", "/past-due", "/grace")]
        subscribers = (await client.get(f"{HOME}/subscribers")).text
    assert ">$56.88</a>" in page
    assert "open at 4 accounts" in page
    assert ">$116.00</a>" in page
    assert past_due.count("$14.22") == 4
    assert all(email in past_due for email in emails)
    assert sum(email in grace for email in emails) == 3
    assert emails[3] not in grace
    assert subscribers.count("$29.00") == 4
    for days_left in ("6 days left", "4 days left", "less than a day left"):
        assert days_left in page


async def test_held_services_tasks_events_and_reports_are_counted(world: WebWorld, clock: ManualClock) -> None:
    user = await world.user("ada")
    async with world.as_user(user) as client:
        service = (await client.post("/api/v1/services", json=SERVICE)).json()
    now = clock.now()
    async with world.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO service_holds (account_id, service_id, cause, reason, placed_by, placed_at)"
            " VALUES (%s, %s, 'operator', 'abuse', 'operator:eva', %s)",
            (user.account_id, service["id"], now),
        )
        await tx.execute(
            "INSERT INTO usage_tasks (account_id, task_id, cause, metric, starts_at, ends_at, stripe_subscription_id,"
            " stripe_customer_id, quantity, unit_price_minor, amount_minor, currency, detail, state, opened_at)"
            " VALUES (%s, %s, 'late', 'COMPUTE_HOURS', %s, %s, 'sub_1', 'cus_1', 200, 1, 200, 'usd', '', 'open', %s)",
            (user.account_id, new_id(), now - timedelta(days=31), now, now),
        )
        await tx.execute(
            "INSERT INTO stripe_events (event_id, event_type, customer_id, created_at, received_at, source, body,"
            " due_at, attempt_count)"
            " VALUES ('evt_1', 'invoice.paid', 'cus_1', %(at)s, %(at)s, 'webhook', '', %(at)s, 0)",
            {"at": now - timedelta(minutes=3)},
        )
    async with browser(world) as client:
        await sign_in(client)
        page = (await client.get(HOME)).text
        held, tasks, events = [(await client.get(f"{HOME}/{name}")).text for name in ("held", "tasks", "webhooks")]
    assert "by an operator 1" in page
    assert "1 task to decide" in page
    assert "3 minutes" in page
    assert ("abuse" in held, "$2.00" in tasks, "evt_1" in events) == (True, True, True)


async def test_operator_leaves_and_is_out(world: WebWorld) -> None:
    async with browser(world) as client:
        await sign_in(client)
        assert (await client.post("/admin/sign-out")).status_code == 303
        assert (await client.get(HOME)).status_code == 303
