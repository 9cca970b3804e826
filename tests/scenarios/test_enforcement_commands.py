"""`helvetia enforce`, `holds` and `notices`, as an operator calls them: output, exit codes, and what they refuse."""

import asyncio
import json
import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock, SystemClock
from helvetia.kernel.identity import AccountId
from helvetia.notifications.model import MailConfig
from support.enforcement_world import EnforcementWorld
from support.whole_house import sandbox_variables

DAY = timedelta(days=1)


class Operator:
    """Runs `helvetia …` with just these variables set; says exit code and what was printed."""

    def __init__(self, directory: Path, variables: dict[str, str]) -> None:
        self._directory, self._variables = directory, variables

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "helvetia", *arguments),
            cwd=self._directory,
            env={"PATH": os.environ["PATH"], "HOME": str(self._directory), **self._variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 120)
        return process.returncode or 0, out.decode()


@pytest.fixture
async def operator(sandbox_url: str, database_url: str, tmp_path: Path) -> Operator:
    variables = await sandbox_variables(sandbox_url, f"sk_test_{uuid4().hex}")
    house = {"DATABASE_URL": database_url, "CONTAINER_HOST": "process", "DATA_DIRECTORY": str(tmp_path / "data")}
    return Operator(tmp_path, {**variables, **house})


@pytest.fixture
def world(database: Database) -> EnforcementWorld:
    """By real time, as the commands are; what Stripe said is as of two minutes from now, so that it is not asked."""
    ahead = ManualClock(SystemClock().now() + timedelta(minutes=2))
    return EnforcementWorld(database, ahead, EnforcementConfig())


async def overdue(world: EnforcementWorld, name: str) -> AccountId:
    account_id = await world.account(name)
    await world.fail(account_id, SystemClock().now() - 7 * DAY)
    return account_id


async def test_a_pass_is_rehearsed_made_listed_and_taken_back(operator: Operator, world: EnforcementWorld) -> None:
    account_id = await overdue(world, "ada")
    code, out = await operator("enforce", "--dry-run", "--json")
    (intent,) = json.loads(out)
    assert (code, intent["accountId"], intent["action"]) == (0, str(account_id), "hold")
    past = (SystemClock().now() - DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (await operator("enforce", "--dry-run", "--at", past))[1].startswith("0 accounts")
    assert await world.held() == set()
    code, out = await operator("enforce")
    assert (code, "held 1" in out) == (0, True), out
    assert await world.held() == {account_id}
    code, out = await operator("holds", "list")
    found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", out)
    assert found is not None, out
    code, out = await operator("holds", "lift", "--pass-id", found.group(), "--reason", "wrong webhook secret")
    assert (code, "lifted for 1 accounts" in out) == (0, True), out
    assert await world.held() == set()
    code, out = await operator("enforce", "--dry-run")
    assert out.startswith("0 accounts")


async def test_brake_is_told_by_exit_code_and_released_with_a_reason(
    operator: Operator, world: EnforcementWorld
) -> None:
    accounts = {await overdue(world, f"user-{number}") for number in range(5)}
    code, out = await operator("enforce")
    assert (code, "the brake is on" in out) == (1, True), out
    code, out = await operator("enforce", "--despite-brake")
    assert (code, "--reason" in out) == (1, True), out
    assert await world.held() == set()
    code, out = await operator("enforce", "--despite-brake", "--reason", "a real wave")
    assert (code, "held 5" in out) == (0, True), out
    assert await world.held() == accounts


async def test_exceptions_and_an_operator_s_own_holds(operator: Operator, world: EnforcementWorld) -> None:
    account_id = await overdue(world, "ada")
    account = ("--account", str(account_id), "--reason", "a promise")
    until = (SystemClock().now() + DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (await operator("holds", "extend", "--account", str(account_id)))[0] == 1
    assert (await operator("holds", "extend", *account))[0] == 1
    for kind in ("extend", "exempt"):
        code, out = await operator("holds", kind, "--until", until, *account)
        assert (code, out.startswith(f"{kind} until")) == (0, True), out
    assert (await operator("holds", "revoke", *account))[1] == "2 exceptions ended\n"
    assert (await operator("holds", "place", *account))[1] == "1 services held\n"
    assert (await operator("holds", "release", *account))[1] == "1 services released\n"
    rows = await world.execute("SELECT action FROM audit_entries WHERE reason = 'a promise' ORDER BY recorded_at")
    assert [row[0] for row in rows] == [
        *["override_added"] * 2,
        "overrides_revoked",
        "operator_hold",
        "operator_release",
    ]


async def test_notices_are_shown_with_their_delivery(operator: Operator, world: EnforcementWorld) -> None:
    ada, eva = await world.account("ada", services=0), await world.account("eva", services=0)
    for account_id in (ada, eva):
        await world.fail(account_id, world.clock.now())
    await world.enforcement.run_pass()
    await world.notifications.send_due()
    nobody = MailConfig(smtp_url="smtp://127.0.0.1:1")
    without_server = EnforcementWorld(world.database, world.clock, EnforcementConfig(), nobody)
    await world.execute("UPDATE notifications SET due_at = %s WHERE account_id = %s", world.clock.now(), eva)
    await without_server.notifications.send_due()
    code, out = await operator("notices", "--account", str(ada))
    assert (code, "to ada@example.com: " in out, str(eva) in out) == (0, True, False), out
    assert out.endswith("5 notices\n")
    assert out.count("due ") == 4
    code, out = await operator("notices", "--failed")
    assert (code, str(ada) in out) == (1, False), out
    assert "attempt 1: The mail server did not take the message" in out
    code, out = await operator("notices", "--failed", "--account", str(ada))
    assert (code, out) == (0, "0 notices that did not arrive\n")
    code, out = await operator("notices", "--json", "--limit", "1")
    (one,) = json.loads(out)
    assert (code, one["kind"], one["state"], one["attempts"]) == (0, "payment_last_day", "due", 0)
