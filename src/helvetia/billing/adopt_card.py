"""The arrow card of a subscription → card of the customer.

Checkout leaves the card on the subscription, where it would be charged for ever, whatever the customer sets in the
portal. It is made the customer's, and cleared there. Safe to repeat.
"""

from helvetia.billing.parts import BillingParts
from helvetia.kernel.identity import AccountId


async def adopt_card(parts: BillingParts, account_id: AccountId) -> bool:
    """Says whether there was one to adopt. Raises as the gateway does; repeating it goes on from there."""
    known = await parts.subscriptions.get_subscription(account_id)
    if known.stripe_subscription_id is None or not known.is_live_at_stripe:
        return False
    live = await parts.gateway.retrieve_subscription(known.stripe_subscription_id)
    if live.default_payment_method_id is None:
        return False
    await parts.gateway.set_default_payment_method(live.customer_id, live.default_payment_method_id)
    await parts.gateway.clear_subscription_payment_method(live.subscription_id)
    return True
