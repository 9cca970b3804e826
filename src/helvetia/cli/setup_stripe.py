"""`helvetia setup-stripe`: create what we sell at Stripe, once."""

import uvloop

from helvetia.billing.open_portal import ensure_portal_configuration
from helvetia.settings import PRICE_VARIABLES, Settings
from helvetia.stripe_gateway.catalog import set_up_catalog
from helvetia.wiring.stripe import open_gateway


def setup_stripe() -> int:
    """Create products, prices, meters and the portal's configuration at Stripe, and print the price variables.

    Found by lookup key, so running it again creates nothing and prints the same. Needs STRIPE_SECRET_KEY; without it,
    the sandbox that runs on SANDBOX_PORT is set up.

    Example: STRIPE_SECRET_KEY=sk_test_… helvetia setup-stripe >> .env
    """
    settings = Settings.load_for_setup()
    variables = uvloop.run(_set_up(settings))
    for name in PRICE_VARIABLES:
        print(f"{name}={variables[name]}")
    return 0


async def _set_up(settings: Settings) -> dict[str, str]:
    async with open_gateway(settings) as gateway:
        await ensure_portal_configuration(gateway, f"{settings.public_base_url.rstrip('/')}/billing")
        return await set_up_catalog(gateway)
