"""The arrow new card → offer to pay what is open with it.

A card changes nothing by itself: Stripe waits for the next try. So a default payment method that no open invoice was
tried with is kept as an offer, for the pages and the API, until it was tried or nothing is open. Read from the facts,
so that a lost or repeated event changes nothing. Fails as the gateway fails, with the former offer kept.
"""

from datetime import datetime

from helvetia.billing.parts import BillingParts
from helvetia.billing.settlement import store
from helvetia.billing.settlement.model import PaymentOffer
from helvetia.kernel.identity import AccountId
from helvetia.subscriptions import store as subscriptions


async def offer_payment(parts: BillingParts, account_id: AccountId) -> PaymentOffer | None:
    """The offer as it stands now; None without one."""
    untried: str | None = None
    async with parts.database.transaction() as tx:
        customer_id = (await subscriptions.find(tx, account_id)).stripe_customer_id
        since = await store.oldest_open_at(tx, account_id)
    if customer_id is not None and since is not None:
        untried = await _untried_card(parts, customer_id, since)
    async with parts.database.transaction() as tx:
        if untried is None:
            await store.drop_offer(tx, account_id)
        else:
            await store.save_offer(tx, account_id, untried, parts.clock.now())
        return await store.find_offer(tx, account_id)


async def _untried_card(parts: BillingParts, customer_id: str, since: datetime) -> str | None:
    """The default payment method, unless an attempt with it has failed since the oldest open invoice was issued."""
    card_id = (await parts.gateway.retrieve_customer(customer_id)).default_payment_method_id
    if card_id is None:
        return None
    charges = await parts.gateway.list_charges(customer_id)
    failed = {
        charge.payment_method_id for charge in charges if charge.status == "failed" and charge.created_at >= since
    }
    return None if card_id in failed else card_id
