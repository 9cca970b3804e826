"""`helvetia usage-tasks bill` and `end`, as an operator calls them against a Stripe: exit code, words, what is left."""

from datetime import timedelta
from decimal import Decimal

from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.identity import new_id
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports.settlement.model import TaskCause, TaskState, UsageTask
from helvetia.meter_reports.settlement.store import insert_task
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.model import NewCustomer
from support.command_shell import Shell
from support.usage_world import open_account


async def test_task_is_billed_once_by_an_invoice_where_nothing_is_subscribed(shell: Shell, database: Database) -> None:
    now = SystemClock().now()
    account_id, _ = await open_account(database, now)
    gateway = StripeClientGateway(shell.variables["STRIPE_SECRET_KEY"], api_base=shell.variables["STRIPE_API_BASE"])
    customer = await gateway.get_or_create_customer(NewCustomer(account_id=account_id, name="a"))
    task = UsageTask(
        account_id=account_id,
        task_id=new_id(),
        cause=TaskCause.LATE,
        metric=UsageMetric.COMPUTE_HOURS,
        starts_at=now - timedelta(days=40),
        ends_at=now - timedelta(days=10),
        stripe_subscription_id="sub_1",
        stripe_customer_id=customer.customer_id,
        quantity=Decimal(200),
        unit_price_minor=Decimal(1),
        amount_minor=200,
        currency="usd",
        detail="became known late",
        state=TaskState.OPEN,
        opened_at=now,
    )
    async with database.transaction() as tx:
        await insert_task(tx, task)
    bill = ("usage-tasks", "bill", "--task", str(task.task_id), "--amount", "200", "--reason", "late")
    done = await shell.helvetia(*bill)
    assert (done.code, done.out) == (0, "billed: 200.000000 of COMPUTE_HOURS, 200 usd cents\n"), done.err
    again = await shell.helvetia(*bill)
    assert (again.code, "Traceback" in again.err) == (1, False), again.err
    invoices = await gateway.list_invoices(customer_id=customer.customer_id)
    await gateway.close()
    assert [one.total_minor for one in invoices] == [200]


async def test_end_that_is_kept_is_forced_with_a_reason_and_one_nobody_asked_for_is_refused(
    shell: Shell, database: Database
) -> None:
    now = SystemClock().now()
    account_id, _ = await open_account(database, now)
    end = ("usage-tasks", "end", "--account", str(account_id))
    refused = await shell.helvetia(*end, "--reason", "scrap")
    assert (refused.code, "Traceback" in refused.err) == (1, False), refused.err
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO cancellations (account_id, stripe_subscription_id, requested_by, requested_at, alarmed_at)"
            " VALUES (%s, 'sub_1', 'owner', %s, %s)",
            (account_id, now - timedelta(hours=8), now - timedelta(hours=2)),
        )
    done = await shell.helvetia(*end, "--reason", "that node is scrap")
    assert (done.code, done.out.startswith("the worker ends it")) == (0, True), done.err
    async with database.transaction() as tx:
        cursor = await tx.execute("SELECT forced_by, forced_at IS NOT NULL FROM cancellations")
        assert await cursor.fetchall() == [("operator:command-line", True)]
        cursor = await tx.execute("SELECT reason FROM audit_entries WHERE action = 'billing.end_anyway'")
        assert await cursor.fetchall() == [("that node is scrap",)]
