"""A gateway alone, for what needs Stripe but no database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from helvetia.settings import Settings
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.client import StripeClientGateway


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[StripeActions]:
    """The gateway of these settings, closed when the block ends."""
    gateway = StripeClientGateway(settings.secret_key.get_secret_value(), api_base=settings.api_base)
    try:
        yield gateway
    finally:
        await gateway.close()
