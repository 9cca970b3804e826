"""The adapters: database, clock, Stripe gateway, container host and its reader. Nobody else imports concrete ones."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from dishka import AnyOf, Provider, Scope, from_context, provide

from helvetia.containers.demo_image import ensure_demo_image
from helvetia.containers.docker_host import DockerHost
from helvetia.containers.model import ContainerHost
from helvetia.containers.process_host import ProcessHost
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.installation import read_installation_id
from helvetia.database.job_queue import JobQueue
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.metering.readers.choose_reader import choose_reader
from helvetia.metering.readers.model import CounterReader
from helvetia.metering.readers.nft_egress import NftEgress
from helvetia.settings import Settings
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.catalog import find_prices_by_lookup_key, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.model import StripeGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.wiring.data import DataDirectory

DOCKER_ANSWERS_WITHIN_S = 3.0

_log = structlog.get_logger()


class AdapterProvider(Provider):
    """Everything that touches the world outside the process; closed in reverse order."""

    scope = Scope.APP
    settings = from_context(provides=Settings)
    clock = from_context(provides=Clock)
    data_directory = from_context(provides=DataDirectory)

    @provide
    async def database(self, settings: Settings) -> AsyncIterator[Database]:
        assert settings.database_url is not None  # noqa: S101 - open_house resolves it
        database = Database(
            settings.database_url.get_secret_value(),
            enums=DATABASE_ENUMS,
            connections_max=settings.database_connections_max,
        )
        await database.open()
        yield database
        await database.close()

    @provide
    def job_queue(self, database: Database) -> JobQueue:
        return JobQueue(database.url)

    @provide
    async def gateway(self, settings: Settings, clock: Clock) -> AsyncIterator[AnyOf[StripeGateway, StripeActions]]:
        gateway = StripeClientGateway(settings.secret_key.get_secret_value(), api_base=settings.api_base, clock=clock)
        yield gateway
        await gateway.close()

    @provide
    def price_book_holder(self) -> PriceBookHolder:
        return PriceBookHolder()

    @provide
    async def host(
        self, settings: Settings, clock: Clock, database: Database, data: DataDirectory
    ) -> AsyncIterator[ContainerHost]:
        host = await choose_host(settings, clock, await read_installation_id(database), data.path)
        yield host
        await host.close()

    @provide
    async def reader(self, host: ContainerHost, clock: Clock) -> CounterReader:
        return await choose_reader(host, egress=NftEgress(clock))


async def choose_host(settings: Settings, clock: Clock, installation_id: str, data: Path) -> ContainerHost:
    """Docker where it answers; else, only for trying out on one machine, the demo workloads as local processes."""
    docker = DockerHost(installation_id, url=settings.docker_host)
    if settings.container_host == "docker" or settings.is_live or not settings.is_loopback_bind:
        return docker
    if settings.container_host == "auto" and await _can_run_demo(docker):
        return docker
    await docker.close()
    _log.info("wiring.process_host_chosen", why="no Docker Engine answers, or CONTAINER_HOST=process")
    return ProcessHost(clock, data / "processes")


async def _can_run_demo(docker: DockerHost) -> bool:
    try:
        async with asyncio.timeout(DOCKER_ANSWERS_WITHIN_S):
            await docker.list_containers()
        return bool(await ensure_demo_image(docker))
    except (HelvetiaError, TimeoutError):
        return False


async def load_price_book(settings: Settings, gateway: StripeGateway, holder: PriceBookHolder) -> None:
    """Read and verify the seven prices; on any problem selling and reporting stop and the reason is kept."""
    try:
        price_ids = settings.price_ids or await find_prices_by_lookup_key(gateway)
        holder.fill(await verify_prices(gateway, price_ids))
    except HelvetiaError as error:
        _log.error("wiring.prices_not_verified", detail=error.detail)
        holder.fail(error.detail)
