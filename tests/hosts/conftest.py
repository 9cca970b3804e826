"""The hosts under test: a real engine, real processes, the simulation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conftest import missing
from helvetia.containers.model import ContainerHost
from helvetia.containers.process_host import ProcessHost
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.kernel.clock import ManualClock, SystemClock
from support.docker_engine import HINT, Engine, own_installation, why_no_engine


@asynccontextmanager
async def real_engine() -> AsyncIterator[Engine]:
    reason = await why_no_engine()
    if reason is not None:
        missing("Docker", f"{reason} ({HINT})")
    async with own_installation() as engine:
        yield engine


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with real_engine() as engine:
        yield engine


@pytest.fixture(
    params=[pytest.param("docker", marks=pytest.mark.docker), "process", "simulated"],
)
async def host(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[ContainerHost]:
    if request.param == "docker":
        async with real_engine() as engine:
            yield engine.host
        return
    host: ContainerHost = (
        ProcessHost(SystemClock(), tmp_path, node="test-node")
        if request.param == "process"
        else SimulatedHost("contract", clock, node="test-node")
    )
    yield host
    await host.close()
