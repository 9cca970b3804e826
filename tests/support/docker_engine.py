"""A DockerHost of an installation of its own per test: everything it made is removed again, nothing else is touched."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from helvetia.containers.demo_image import DEMO_IMAGE, ensure_demo_image
from helvetia.containers.docker.engine import EngineRefusal
from helvetia.containers.docker_host import DockerHost
from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import INSTALLATION_LABEL, ContainerSpec, Volume
from helvetia.database.embedded import start_embedded
from helvetia.kernel.identity import new_account_id, new_service_id
from helvetia.wiring.data import DataDirectory

HINT = "start a Docker Engine that this user may talk to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A host and the label that names what is its own."""

    host: DockerHost
    installation_id: str

    async def inspect_raw(self, container_id: str) -> Mapping[str, Any]:
        body: Mapping[str, Any] = await self.host.engine.get(f"containers/{container_id}/json")
        return body

    async def run_foreign(self, labels: Mapping[str, str]) -> str:
        """Somebody else's container on the same engine; the caller removes it."""
        made = await self.host.engine.post(
            "containers/create", {"Image": DEMO_IMAGE, "Cmd": ["sleep", "600"], "Labels": dict(labels)}
        )
        await self.host.engine.post(f"containers/{made['Id']}/start")
        return str(made["Id"])

    async def remove_foreign(self, container_id: str) -> None:
        await self.host.engine.delete(f"containers/{container_id}", {"force": "1", "v": "1"})


async def why_no_engine() -> str | None:
    """Why the tests that need Docker cannot run, or None when they can."""
    host = DockerHost("probe", timeout_s=5.0)
    try:
        image = await ensure_demo_image(host)
    except HostUnavailable as error:
        return error.detail
    finally:
        await host.close()
    return None if image else image.reason


@asynccontextmanager
async def own_installation(timeout_s: float = 30.0) -> AsyncIterator[Engine]:
    """An installation with a random id; at the end its containers and volumes are removed, and only they."""
    installation_id = f"test-{uuid4().hex}"
    host = DockerHost(installation_id, timeout_s=timeout_s, node="test-node")
    try:
        yield Engine(host=host, installation_id=installation_id)
    finally:
        await _clean(host, installation_id)
        await host.close()


@asynccontextmanager
async def no_leftovers(directory: Path) -> AsyncIterator[None]:
    """Removes what the installation that keeps its data in `directory` left on the engine, and only that.

    It must be stopped by then: its own database is asked for its label. Does nothing without an engine.
    """
    try:
        yield
    finally:
        installation_id = await asyncio.to_thread(_installation_of, directory)
        host = DockerHost(installation_id or "none", timeout_s=30.0)
        try:
            if installation_id is not None:
                await _clean(host, installation_id)
        except HostUnavailable:
            pass
        finally:
            await host.close()


def _installation_of(directory: Path) -> str | None:
    """The label of an installation with an embedded database; None when it never got as far as having one."""
    data = DataDirectory(directory).postgresql
    if not data.is_dir():
        return None
    server = start_embedded(data)
    try:
        with psycopg.connect(server.url) as connection:
            row = connection.execute("SELECT installation_id FROM installation").fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    finally:
        server.stop()
    return None if row is None else str(row[0])


async def _clean(host: DockerHost, installation_id: str) -> None:
    filters = json.dumps({"label": [f"{INSTALLATION_LABEL}={installation_id}"]})
    listed = await host.engine.get("containers/json", {"all": "1", "filters": filters})
    limit = asyncio.Semaphore(8)

    async def remove(container_id: str) -> None:
        async with limit:
            try:
                await host.engine.delete(f"containers/{container_id}", {"force": "1", "v": "1"})
            except EngineRefusal as refusal:
                if refusal.status not in {404, 409}:  # gone, or on its way
                    raise

    await asyncio.gather(*(remove(one["Id"]) for one in listed))
    volumes = await host.engine.get("volumes", {"filters": filters})
    for volume in volumes.get("Volumes") or ():
        await host.engine.delete(f"volumes/{volume['Name']}")


def demo_spec(
    *,
    image: str = "helvetia/demo",
    command: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    memory_mb: int = 64,
    cpu_cores: str = "0.5",
    volumes: tuple[Volume, ...] = (),
    revision: int = 1,
    replica: int = 0,
) -> ContainerSpec:
    """One replica of a new service."""
    return ContainerSpec(
        account_id=new_account_id(),
        service_id=new_service_id(),
        revision=revision,
        replica=replica,
        image=image,
        command=command,
        env=env or {},
        memory_bytes=memory_mb * 2**20,
        cpu_cores=Decimal(cpu_cores),
        volumes=volumes,
    )
