"""The house opened: a database that runs and is migrated, and the parts list built on it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from dishka import STRICT_VALIDATION, AsyncContainer, Provider, make_async_container
from pydantic import SecretStr

from helvetia.database.embedded import start_embedded
from helvetia.database.migrate import migrate
from helvetia.kernel.clock import Clock, SystemClock
from helvetia.settings import Settings
from helvetia.stripe_gateway.model import StripeGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.wiring.adapters import AdapterProvider, load_price_book
from helvetia.wiring.data import DataDirectory
from helvetia.wiring.services import ServiceProvider


@contextmanager
def running_database(settings: Settings) -> Iterator[Settings]:
    """Settings whose database answers and is migrated; with none set, the embedded server runs while this is open."""
    if settings.database_url is not None:
        migrate(settings.database_url.get_secret_value())
        yield settings
        return
    server = start_embedded(DataDirectory.of(settings).postgresql)
    try:
        migrate(server.url)
        yield settings.model_copy(update={"database_url": SecretStr(server.url)})
    finally:
        server.stop()


def build_container(settings: Settings, clock: Clock, data: DataDirectory, *more: Provider) -> AsyncContainer:
    """The parts list, validated: a missing part, a cycle or a duplicate is an error here, before anything runs."""
    return make_async_container(
        AdapterProvider(),
        ServiceProvider(),
        *more,
        context={Settings: settings, Clock: clock, DataDirectory: data},
        validation_settings=STRICT_VALIDATION,
    )


@asynccontextmanager
async def open_house(
    settings: Settings, clock: Clock | None = None, data: DataDirectory | None = None, *more: Provider
) -> AsyncIterator[AsyncContainer]:
    """The parts list on a database that runs, with the prices read and verified; closed when the block ends."""
    container = build_container(settings, clock or SystemClock(), data or DataDirectory.of(settings), *more)
    try:
        await load_price_book(settings, await container.get(StripeGateway), await container.get(PriceBookHolder))
        yield container
    finally:
        await container.close()
