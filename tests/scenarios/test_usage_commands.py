"""`helvetia usage-tasks` and `helvetia reconcile --usage`, as an operator calls them: output, exit codes, refusals."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.identity import new_id
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports.settlement.model import TaskCause, TaskState, UsageTask
from helvetia.meter_reports.settlement.store import insert_task
from support.usage_world import open_account
from support.whole_house import sandbox_variables


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Runs `helvetia …` with just these variables set; says exit code and output, or complaints where there is none."""

    directory: Path
    variables: dict[str, str]

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "helvetia", *arguments),
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "HOME": str(self.directory), **self.variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaints = await asyncio.wait_for(process.communicate(), 120)
        return process.returncode or 0, (out or complaints).decode()


@pytest.fixture
async def operator(sandbox_url: str, database_url: str, tmp_path: Path) -> Operator:
    variables = await sandbox_variables(sandbox_url, f"sk_test_{uuid4().hex}")
    house = {"DATABASE_URL": database_url, "CONTAINER_HOST": "process", "DATA_DIRECTORY": str(tmp_path / "data")}
    return Operator(directory=tmp_path, variables={**variables, **house})


async def open_task(database: Database) -> UsageTask:
    now = SystemClock().now()
    account_id, _ = await open_account(database, now)
    task = UsageTask(
        account_id=account_id,
        task_id=new_id(),
        cause=TaskCause.LATE,
        metric=UsageMetric.COMPUTE_HOURS,
        starts_at=now - timedelta(days=40),
        ends_at=now - timedelta(days=10),
        stripe_subscription_id="sub_1",
        stripe_customer_id="cus_1",
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
    return task


async def test_task_is_told_by_exit_code_until_it_is_waived_as_it_was_seen(
    operator: Operator, database: Database
) -> None:
    task = await open_task(database)
    code, out = await operator("usage-tasks", "--json")
    assert (code, [one["task_id"] for one in json.loads(out)["usageTasks"]]) == (1, [str(task.task_id)]), out
    waive = ("usage-tasks", "waive", "--task", str(task.task_id), "--reason", "goodwill")
    code, out = await operator(*waive, "--amount", "199")
    assert (code, "Traceback" in out) == (1, False), out
    code, out = await operator(*waive, "--amount", "200")
    assert (code, out.startswith("waived: 200")) == (0, True), out
    code, out = await operator("usage-tasks")
    assert (code, out.splitlines()[-1]) == (0, "0 tasks and 0 ends wait for a decision"), out


async def test_decision_without_a_task_is_refused_in_a_sentence(operator: Operator) -> None:
    code, out = await operator("usage-tasks", "bill", "--amount", "1", "--reason", "late")
    assert (code, "--task is missing" in out, "Traceback" in out) == (1, True, False), out


async def test_comparison_of_usage_ends_with_zero_where_every_hop_agrees(operator: Operator) -> None:
    code, out = await operator("reconcile", "--usage", "--json")
    assert (code, json.loads(out)) == (0, {"comparedAccounts": 0, "failedAccounts": {}, "differences": []}), out
