"""The arrow account → hosted checkout: one page at a time for one plan, and never a second subscription.

Under the account's turn: Stripe is read afresh, a page that is open for this plan is handed out again, pages of other
plans are closed first. When Stripe did not answer the making of a page, the next attempt waits until that request can
no longer arrive, and finds the page it made. Nothing is charged before the customer pays on the page.
"""

from helvetia.audit import record
from helvetia.billing.errors import AlreadySubscribed, CheckoutBusy, PlanNotSold
from helvetia.billing.get_or_create_customer import get_or_create_customer, get_usable_customer
from helvetia.billing.model import checked_address, return_address
from helvetia.billing.parts import BillingParts, nothing_charged, one_at_a_time
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import CheckoutSession, NewCheckout
from helvetia.stripe_gateway.errors import StripeRefused
from helvetia.stripe_gateway.time_limit import within

CHANGE_ROUTE = "/api/v1/billing/subscription/change"


async def open_checkout(
    parts: BillingParts, account_id: AccountId, plan: SubscriptionPlan, *, actor: str
) -> CheckoutSession:
    """The page to pay on, its address checked.

    Raises:
        PlanNotSold, PricesNotVerified, AlreadySubscribed, CheckoutBusy, UntrustedAddress, NothingCharged
    """
    if plan is SubscriptionPlan.FREE:
        raise PlanNotSold
    book = parts.prices.require()
    with nothing_charged(), within():
        customer_id = await get_or_create_customer(parts.database, parts.clock, parts.gateway, parts.config, account_id)
        async with one_at_a_time(parts, account_id) as turn:
            found = await parts.subscriptions.sync_subscription(account_id)
            if found.record.is_live_at_stripe:
                raise AlreadySubscribed(plan=found.record.plan, change_at=CHANGE_ROUTE)
            customer_id = found.record.stripe_customer_id or customer_id
            session = await _open_session(parts, customer_id, plan)
            if session is None:
                customer_id = await get_usable_customer(
                    parts.database, parts.clock, parts.gateway, parts.config, parts.subscriptions, account_id
                )
                key = f"checkout:{account_id}:{plan}:{turn.lease.fencing_number}"
                wanted = NewCheckout(
                    account_id=account_id,
                    plan=plan,
                    customer_id=customer_id,
                    fixed_price_id=book.plans[plan].price_id,
                    metered_price_ids=[price.price_id for price in book.meters.values()],
                    success_url=return_address(
                        parts.config,
                        found.record.organization_id,
                        "/billing/success",
                        "session_id={CHECKOUT_SESSION_ID}",
                    ),
                    cancel_url=return_address(parts.config, found.record.organization_id, "/billing/cancel"),
                    collects_tax=parts.config.collects_tax,
                    idempotency_key=key,
                )
                with turn.creating():
                    session = await parts.gateway.create_checkout_session(wanted)
    checked_address(session.url, parts.config)
    async with parts.database.transaction() as tx:
        detail = {"plan": plan.value, "session": session.session_id}
        at = parts.clock.now()
        await record(tx, account_id=account_id, actor=actor, action="billing.checkout_opened", detail=detail, at=at)
    return session


async def _open_session(parts: BillingParts, customer_id: str, plan: SubscriptionPlan) -> CheckoutSession | None:
    """The page that is open for this plan; every other one is closed.

    Raises:
        CheckoutBusy: another page is being completed right now.
    """
    kept: CheckoutSession | None = None
    for session in await parts.gateway.list_open_checkout_sessions(customer_id):
        if kept is None and session.plan_hint == plan.value and session.url is not None:
            kept = session
            continue
        try:
            await parts.gateway.expire_checkout_session(session.session_id)
        except StripeRefused as error:
            raise CheckoutBusy(retry_after_s=5) from error
    return kept
