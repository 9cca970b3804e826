"""Usage that goes to another customer's meter, as a wrong link of an account to a customer would make it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.model import MeterReport
from support.billing_house import BillingHouse

_LINK = "UPDATE billing_periods SET stripe_customer_id = %s WHERE account_id = %s"


@asynccontextmanager
async def linked_to(house: BillingHouse, account_id: AccountId, customer_id: str) -> AsyncIterator[None]:
    """Within, the account's periods are the other customer's; afterwards its own again."""
    own_id = (await house.subscriptions.get_subscription(account_id)).stripe_customer_id
    async with house.database.transaction() as tx:
        await tx.execute(_LINK, (customer_id, account_id))
    yield
    async with house.database.transaction() as tx:
        await tx.execute(_LINK, (own_id, account_id))


async def at_customer(house: BillingHouse, account_id: AccountId, customer_id: str) -> list[MeterReport]:
    """The account's reports to this customer, as they stand."""
    return [one for one in await house.all_reports(account_id) if one.stripe_customer_id == customer_id]
