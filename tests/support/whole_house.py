"""The whole product in one process, against a sandbox account of its own, for scenarios."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from dishka import AsyncContainer, Provider

from helvetia.kernel.clock import ManualClock, ShiftedClock
from helvetia.settings import Settings
from helvetia.stripe_gateway.catalog import set_up_catalog
from helvetia.wiring.data import DataDirectory
from helvetia.wiring.house import open_house
from helvetia.wiring.stripe import open_gateway
from support.stripe_world import StripeWorld

Part = TypeVar("Part")


@dataclass(frozen=True)
class WholeHouse:
    """The parts list, the clock it lives by, and Stripe as an outsider moves it."""

    container: AsyncContainer
    settings: Settings
    clock: ManualClock | ShiftedClock
    stripe: StripeWorld

    async def get(self, part: type[Part]) -> Part:
        return await self.container.get(part)

    async def advance_to(self, instant: datetime) -> None:
        """Business time and Stripe's go to the instant together."""
        await self.stripe.advance_to(instant)


async def sandbox_variables(sandbox_url: str, secret_key: str) -> dict[str, str]:
    """The complete Stripe configuration of a fresh sandbox account, its products made."""
    keys = {
        "STRIPE_SECRET_KEY": secret_key,
        "STRIPE_PUBLISHABLE_KEY": "pk_test_scenario",
        "STRIPE_WEBHOOK_SECRET": "whsec_scenario",
        "STRIPE_API_BASE": sandbox_url,
    }
    base = Settings(_env_file=None, stripe_secret_key=secret_key, stripe_api_base=sandbox_url)  # type: ignore[call-arg]
    async with open_gateway(base) as gateway:
        return {**keys, **await set_up_catalog(gateway)}


@asynccontextmanager
async def whole_house(
    sandbox_url: str,
    database_url: str,
    clock: ManualClock | ShiftedClock,
    data: Path,
    overrides: Mapping[str, object] | None = None,
    *more: Provider,
) -> AsyncIterator[WholeHouse]:
    """Everything but the worker's loops (and the web server, unless `more` brings it); a test clock starts now."""
    secret_key = f"sk_test_{uuid4().hex}"
    world = StripeWorld(sandbox_url, secret_key, clock)
    try:
        await world.start_clock()
        variables = await sandbox_variables(sandbox_url, secret_key)
        settings = Settings.load(
            _env_file=None,
            database_url=database_url,
            stripe_test_clock=world.test_clock,
            **{name.lower(): value for name, value in variables.items()},
            **(overrides or {}),
        )
        async with open_house(settings, clock, DataDirectory(data), *more) as container:
            yield WholeHouse(container=container, settings=settings, clock=clock, stripe=world)
    finally:
        await world.close()
