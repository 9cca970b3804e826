"""A gateway alone, for what needs Stripe but no database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from helvetia.settings import Settings
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.model import StripeGateway


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[StripeGateway]:
    """The gateway of these settings, closed when the block ends."""
    gateway = StripeClientGateway(settings.secret_key.get_secret_value(), api_base=settings.api_base)
    try:
        yield gateway
    finally:
        await gateway.close()
