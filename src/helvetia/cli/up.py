"""`helvetia up`: everything, with one command: database, sandbox, API and dashboard, worker, and demo accounts.

Every part is a process of its own, as in production. Ctrl-C stops what this command started and nothing else.
"""

import asyncio
import os
import sys
from pathlib import Path

import uvloop
from pydantic import SecretStr

from helvetia.cli.children import ChildDied, Children, free_port, wait_until_answers
from helvetia.cli.run import stop_on_signal
from helvetia.containers.model import ContainerHost, ContainerState
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.errors import HelvetiaError
from helvetia.metering.service import MeteringService
from helvetia.observability.logging import set_up_logging
from helvetia.settings import SANDBOX_WEBHOOK_SECRET, Settings
from helvetia.wiring.data import DataDirectory
from helvetia.wiring.house import build_container, open_house, running_database

READY_WITHIN_S = 60.0
STOP_GRACE_S = 3


def up() -> int:
    """Run everything on http://127.0.0.1:8000 (or PORT): PostgreSQL, the Stripe sandbox, API, dashboard and worker.

    With no Stripe key set, the sandbox stands in, and on a loopback bind two demo accounts are there to sign in with.

    Example: PORT=9000 helvetia up
    """
    settings = Settings.load()
    set_up_logging(level=settings.log_level, log_format=settings.log_format)
    data = DataDirectory.of(settings)
    data.path.mkdir(parents=True, exist_ok=True)
    with running_database(settings) as ready:
        return uvloop.run(_run(ready, data))


async def _run(settings: Settings, data: DataDirectory) -> int:
    stop = stop_on_signal()
    try:
        return await _run_until(stop, settings, data)
    finally:
        await _stop_containers(settings, data)


async def _run_until(stop: asyncio.Event, settings: Settings, data: DataDirectory) -> int:
    async with Children.open() as children:
        try:
            if settings.stripe_secret_key is None:
                settings = await _start_sandbox(children, settings, data.path / "sandbox.sqlite")
            logins = await _prepare(settings, data)
            environment = _environment(settings)
            await children.start("worker", [sys.executable, "-m", "helvetia", "worker"], environment)
            await children.start("api", [sys.executable, "-m", "helvetia", "api"], environment)
            await wait_until_answers(f"{_local_url(settings)}/readyz", children, within_s=READY_WITHIN_S)
            _greet(settings, logins)
            await children.wait(stop)
        except ChildDied as error:
            print(f"{error}; stopping the rest.", file=sys.stderr)
            return 1
    return 0


async def _start_sandbox(children: Children, settings: Settings, state: Path) -> Settings:
    port = free_port(preferred=settings.sandbox_port)
    command = [sys.executable, "-m", "stripe_sandbox", "--port", str(port), "--state", str(state)]
    command += ["--webhook", f"{_local_url(settings)}/api/v1/webhooks/stripe"]
    command += ["--webhook-secret", SANDBOX_WEBHOOK_SECRET]
    await children.start("sandbox", command, dict(os.environ))  # noqa: TID251 - the child inherits the environment
    base = f"http://127.0.0.1:{port}"
    await wait_until_answers(f"{base}/healthz", children, within_s=READY_WITHIN_S)
    return settings.model_copy(update={"stripe_api_base": base, "sandbox_port": port})


async def _prepare(settings: Settings, data: DataDirectory) -> list[str]:
    """Set up the sandbox's prices and the demo accounts; only ever in the sandbox and on loopback."""
    if not settings.is_sandbox or not settings.is_loopback_bind:
        return []
    from helvetia.cli.demo import make_demo_accounts
    from helvetia.stripe_gateway.catalog import set_up_catalog
    from helvetia.wiring.stripe import open_gateway

    async with open_gateway(settings) as gateway:
        await set_up_catalog(gateway)
    async with open_house(settings, data=data) as house:
        return await make_demo_accounts(house)


async def _stop_containers(settings: Settings, data: DataDirectory) -> None:
    """Stop what the worker started for us, and write down when; the next start runs what is wished again."""
    house = build_container(settings, SystemClock(), data)
    try:
        host = await house.get(ContainerHost)
        running = [one for one in await host.list_containers() if one.state is ContainerState.RUNNING]
        await asyncio.gather(*(host.stop(one.container_id, grace_s=STOP_GRACE_S) for one in running))
        await (await house.get(MeteringService)).sweep()
    except HelvetiaError as error:
        print(f"The containers could not be stopped: {error.detail}", file=sys.stderr)
    finally:
        await house.close()


def _environment(settings: Settings) -> dict[str, str]:
    """What the children need beyond the environment of this process."""
    assert isinstance(settings.database_url, SecretStr)  # noqa: S101 - running_database resolved it
    environment = dict(os.environ)  # noqa: TID251 - the child inherits the environment
    environment["DATABASE_URL"] = settings.database_url.get_secret_value()
    if settings.stripe_api_base is not None:
        environment["STRIPE_API_BASE"] = settings.stripe_api_base
    if "PUBLIC_BASE_URL" not in environment:
        environment["PUBLIC_BASE_URL"] = _local_url(settings)
    return environment


def _local_url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.bind_host in {"0.0.0.0", "::"} else settings.bind_host
    return f"http://{host}:{settings.port}"


def _greet(settings: Settings, logins: list[str]) -> None:
    lines = ["", f"Helvetia Billing is ready: {_local_url(settings)}"]
    if settings.is_sandbox:
        lines.append(f"Stripe sandbox:            {settings.api_base}")
    lines += logins
    lines += ["Ctrl-C stops everything that was started here; the data stays.", ""]
    print("\n".join(lines), flush=True)
