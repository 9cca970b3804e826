"""The commands, as a person or a script calls them: output, exit codes, and what they say when something is wrong."""

import json

import pytest

from helvetia.settings import PRICE_VARIABLES
from support.command_shell import Shell


async def test_help_names_every_command(shell: Shell) -> None:
    answer = await shell.helvetia("--help")
    assert answer.code == 0
    commands = ("up", "api", "worker", "sandbox", "migrate", "setup-stripe", "token", "usage", "reconcile", "doctor")
    assert [command for command in commands if command not in answer.out] == []


async def test_migrate_runs_twice(shell: Shell) -> None:
    for _ in range(2):
        assert (await shell.helvetia("migrate")).out == "The schema is up to date.\n"


async def test_token_of_a_new_user_and_organization_works_for_usage(shell: Shell) -> None:
    missing = await shell.helvetia("token", "--email", "ada@example.com")
    assert (missing.code, "--create" in missing.err) == (1, True)
    made = await shell.helvetia("token", "--email", "ada@example.com", "--create", "--organization", "Alpine Labs")
    assert made.code == 0
    assert made.out.startswith("hv_")
    again = await shell.helvetia("token", "--email", "ada@example.com", "--organization", "Alpine Labs")
    assert (again.code, again.out != made.out) == (0, True)
    usage = await shell.helvetia("usage", "--email", "ada@example.com", "--organization", "Alpine Labs", "--json")
    read = json.loads(usage.out)
    assert (read["plan"], read["usage_minor"], len(read["lines"])) == ("FREE", 0, 4)
    spoken = await shell.helvetia("usage", "--email", "ada@example.com")
    assert "COMPUTE_HOURS" in spoken.out
    stranger = await shell.helvetia("usage", "--email", "ada@example.com", "--organization", "Nobody")
    assert (stranger.code, "no organization" in stranger.err) == (1, True)


async def test_setup_stripe_prints_the_same_seven_lines_each_time(shell: Shell) -> None:
    first = await shell.helvetia("setup-stripe")
    second = await shell.helvetia("setup-stripe")
    assert first.out == second.out
    assert [line.split("=")[0] for line in first.out.splitlines()] == list(PRICE_VARIABLES)
    assert first.out.splitlines() == [f"{name}={shell.variables[name]}" for name in PRICE_VARIABLES]


async def test_doctor_finds_nothing_wrong_but_a_missing_worker(shell: Shell) -> None:
    answer = await shell.helvetia("doctor", "--json")
    findings = {one["check"]: one["state"] for one in json.loads(answer.out)}
    assert answer.code == 0
    assert {name for name, state in findings.items() if state != "ok"} <= {"worker"}
    assert {"configuration", "database", "engine", "metering", "stripe", "prices", "clocks"} <= set(findings)


async def test_doctor_names_a_wrong_price_with_expected_and_found(shell: Shell) -> None:
    swapped = {"STRIPE_PRICE_ID_COMPUTE_HOURS": shell.variables["STRIPE_PRICE_ID_BANDWIDTH_GB"]}
    answer = await shell.helvetia("doctor", "--json", **swapped)
    (prices,) = [one for one in json.loads(answer.out) if one["check"] == "prices"]
    assert (answer.code, prices["state"]) == (1, "failed")
    assert "STRIPE_PRICE_ID_COMPUTE_HOURS" in prices["found"]
    assert "should be" in prices["found"]


async def test_reconcile_reads_everybody(shell: Shell) -> None:
    await shell.helvetia("token", "--email", "ada@example.com", "--create")
    answer = await shell.helvetia("reconcile", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)


@pytest.mark.parametrize("command", ["api", "worker", "up"])
async def test_half_set_configuration_stops_every_command_and_names_what_is_missing(shell: Shell, command: str) -> None:
    shell.variables.pop("STRIPE_WEBHOOK_SECRET")
    shell.variables.pop("STRIPE_PRICE_ID_PRO")
    arguments = [command, "--email", "a@b.ch"] if command == "usage" else [command]
    answer = await shell.helvetia(*arguments)
    assert answer.code == 2
    assert "STRIPE_WEBHOOK_SECRET is missing" in answer.err
    assert "STRIPE_PRICE_ID_PRO is missing" in answer.err
    assert "Traceback" not in answer.err


async def test_database_that_does_not_answer_is_a_sentence_and_nothing_secret(shell: Shell) -> None:
    shell.variables["DATABASE_URL"] = "postgresql://u:CANARY@127.0.0.1:1/none"
    answer = await shell.helvetia("doctor")
    assert answer.code == 1
    assert "database" in answer.err.lower()
    assert "Traceback" not in answer.err
    assert "CANARY" not in answer.err + answer.out
