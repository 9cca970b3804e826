"""With a live key nobody is held until somebody says so: `helvetia doctor` and the operator's API tell it."""

from datetime import timedelta

import pytest
from dishka import Provider, Scope, make_async_container

from helvetia.cli.doctor import CHECKS, Finding
from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import ManualClock
from helvetia.settings import PRICE_VARIABLES, Settings
from helvetia.web.config import WebConfig
from helvetia.wiring.services import ServiceProvider
from support.enforcement_world import EnforcementWorld
from support.web_world import web_world

TOKEN = "operator-token-of-this-test"
WEEK = timedelta(days=7)
LIVE = {
    "STRIPE_SECRET_KEY": "sk_live_abcdefgh",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_abcdefgh",
    "STRIPE_WEBHOOK_SECRET": "whsec_abcdefgh",
    **{name: f"price_{number}" for number, name in enumerate(PRICE_VARIABLES)},
}
TEST = {name: value.replace("_live_", "_test_") for name, value in LIVE.items()}
WARNING = "ENFORCEMENT_MODE is not set, so with a live key nobody is held"


def config_of(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> EnforcementConfig:
    """The part of the configuration that enforcement gets of these variables."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config: EnforcementConfig = ServiceProvider().enforcement_config(Settings.load())
    return config


async def finding(enforcement: EnforcementService) -> Finding:
    parts = Provider(scope=Scope.APP)
    parts.provide(lambda: enforcement, provides=EnforcementService)
    house = make_async_container(parts)
    try:
        return await CHECKS["enforcement"](house)
    finally:
        await house.close()


@pytest.mark.parametrize(
    ("variables", "state", "found"),
    [
        (LIVE, "warning", f"observe: {WARNING}"),
        ({**LIVE, "ENFORCEMENT_MODE": "observe"}, "ok", "observe; the brake is off"),
        ({**LIVE, "ENFORCEMENT_MODE": "warn"}, "ok", "warn; the brake is off"),
        ({**LIVE, "ENFORCEMENT_MODE": "enforce"}, "ok", "enforce; the brake is off"),
        (TEST, "ok", "enforce; the brake is off"),
    ],
)
async def test_doctor_says_that_a_live_key_holds_nobody_until_somebody_says_so(
    database: Database,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    state: str,
    found: str,
) -> None:
    world = EnforcementWorld(database, clock, config_of(monkeypatch, variables))
    told = await finding(world.enforcement)
    assert (told.state, told.found) == (state, found)
    assert ("ENFORCEMENT_MODE=enforce" in told.advice) is (state == "warning")


async def test_operator_is_told_the_mode_and_whom_it_would_hold(
    database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(monkeypatch, LIVE)
    rows = EnforcementWorld(database, clock, config)
    await rows.fail(await rows.account("ada"), clock.now() - WEEK)
    await rows.enforcement.run_pass()
    web = WebConfig(public_base_url="https://cloud.example", operator_token=TOKEN)
    async with web_world(database, clock, web, enforcement_config=config) as world, world.client(TOKEN) as operator:
        told = (await operator.get("/api/v1/operator/enforcement")).json()
    assert (told["mode"], told["warning"], told["brake"]) == ("observe", WARNING, None)
    (one,) = told["passes"]
    assert (one["mode"], one["accounts"], one["wouldHold"], one["held"]) == ("observe", 1, 1, 0)


async def test_operator_and_doctor_are_told_the_brake(database: Database, clock: ManualClock) -> None:
    rows = EnforcementWorld(database, clock, EnforcementConfig())
    for number in range(5):
        await rows.fail(await rows.account(f"user-{number}"), clock.now() - WEEK)
    await rows.enforcement.run_pass()
    told = await finding(rows.enforcement)
    assert (told.state, "5 of 5 accounts" in told.found) == ("failed", True)
    web = WebConfig(public_base_url="https://cloud.example", operator_token=TOKEN)
    async with web_world(database, clock, web) as world, world.client(TOKEN) as operator:
        answer = (await operator.get("/api/v1/operator/enforcement")).json()
    assert (answer["mode"], answer["warning"]) == ("enforce", None)
    assert "5 of 5 accounts" in answer["brake"]
