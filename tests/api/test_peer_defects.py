"""Defects that others have in what the API and the pages say of money, each by its id."""

from uuid import uuid4

from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR
from support.web_world import PASSWORD, WebWorld

BILLING = "/api/v1/billing"


async def add_invoice(world: WebWorld, account_id: AccountId, clock: ManualClock) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO invoices (account_id, stripe_invoice_id, number, status, currency, subtotal_minor,"
            " total_minor, amount_due_minor, amount_paid_minor, amount_remaining_minor, attempt_count, period_start,"
            " period_end, issued_at, fetch_seq)"
            " VALUES (%s, 'in_1', 'A1-0001', 'paid', 'usd', 2900, 2900, 2900, 2900, 0, 1, %s, %s, %s, 1)",
            (account_id, *[clock.now()] * 3),
        )


async def add_hours(world: WebWorld, account_id: AccountId, hours: int, clock: ManualClock) -> None:
    starts_at = clock.now().replace(hour=1, minute=0, second=0, microsecond=0)
    ends_at = starts_at.replace(hour=2)
    async with world.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, revision, quantity,"
            ' "timestamp", period_start, period_end, closed_at)'
            " VALUES (%s, %s, %s, 'COMPUTE_HOURS', 'c:1', 0, %s, %s, %s, %s, %s)",
            (uuid4(), account_id, uuid4(), hours * NS_PER_HOUR, starts_at, starts_at, ends_at, clock.now()),
        )


async def test_d01_invoice_has_its_fields_from_the_api_to_the_page(world: WebWorld, clock: ManualClock) -> None:
    user = await world.user("ada", PASSWORD)
    await add_invoice(world, user.account_id, clock)
    async with world.as_user(user) as client:
        [invoice] = (await client.get(f"{BILLING}/invoices")).json()["invoices"]
    assert (invoice["id"], invoice["number"], invoice["status"], invoice["total"]) == (
        "in_1",
        "A1-0001",
        "paid",
        "29.00",
    )
    described = world.app.openapi()["components"]["schemas"]["InvoiceAnswer"]
    assert set(described["properties"]) >= set(invoice)
    page = await (await world.browser(user)).get("/billing")
    assert "A1-0001" in page.text
    assert "$29.00" in page.text


async def test_d05_usage_is_the_selected_accounts_and_nobody_elses(world: WebWorld, clock: ManualClock) -> None:
    user = await world.user("ada")
    organization = await world.accounts.create_organization("Alpine Labs", user.account_id)
    await add_hours(world, user.account_id, 3, clock)
    await add_hours(world, organization.account_id, 5, clock)
    found = []
    for selected in (None, organization):
        async with world.as_user(user, selected) as client:
            found.append((await client.get(f"{BILLING}/usage")).json()["usage"][0]["quantity"])
    assert found == ["3.000000", "5.000000"]


async def test_d11_missing_plan_is_a_typed_refusal_that_names_the_field(world: WebWorld) -> None:
    async with world.as_user(await world.user("ada")) as client:
        answer = await client.post(f"{BILLING}/checkout", json={})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert "plan" in answer.text
