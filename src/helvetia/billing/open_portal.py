"""The arrow account → customer portal: cards, invoices, address, the end of a subscription; plans are changed by us.

What the portal offers is configured once, found again by our mark in its metadata. A link lives for minutes, so it is
made when it is asked for, and never kept.
"""

import hashlib
from enum import StrEnum

from helvetia.audit import record
from helvetia.billing.errors import CancellationScheduled, DowngradeScheduled, NotSubscribed
from helvetia.billing.get_or_create_customer import get_or_create_customer
from helvetia.billing.model import checked_address, return_address
from helvetia.billing.parts import BillingParts, nothing_charged
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import NewPortalSession, PortalFlow, StripeActions
from helvetia.stripe_gateway.time_limit import within

# Raise it with every change of what the portal offers (stripe_gateway/action_params.py).
PORTAL_VERSION = 1


class PortalPage(StrEnum):
    """Where the link leads; INVOICES is the portal's first page, which lists them."""

    PAYMENT_METHOD = "payment_method"
    CANCEL = "cancel"
    INVOICES = "invoices"


class PortalReturn(StrEnum):
    """The page of ours that the portal leads back to."""

    OVERVIEW = "/billing"
    PAYMENT_METHODS = "/billing/payment-methods"
    SETTINGS = "/billing/settings"


_FLOWS = {PortalPage.PAYMENT_METHOD: PortalFlow.PAYMENT_METHOD, PortalPage.CANCEL: PortalFlow.CANCEL}


async def open_portal(
    parts: BillingParts,
    account_id: AccountId,
    page: PortalPage | None,
    *,
    actor: str,
    back_to: PortalReturn = PortalReturn.OVERVIEW,
) -> str:
    """The address of a portal visit, checked.

    Raises:
        NotSubscribed, CancellationScheduled, DowngradeScheduled (cancel only), UntrustedAddress, NothingCharged
    """
    known = await parts.subscriptions.get_subscription(account_id)
    return_url = return_address(parts.config, known.organization_id, back_to)
    default_url = return_address(parts.config, None, PortalReturn.OVERVIEW)
    with nothing_charged(), within():
        subscription_id = await _cancellable(parts, account_id) if page is PortalPage.CANCEL else None
        session = await parts.gateway.create_portal_session(
            NewPortalSession(
                customer_id=await get_or_create_customer(
                    parts.database, parts.clock, parts.gateway, parts.config, account_id
                ),
                configuration_id=await ensure_portal_configuration(parts.gateway, default_url),
                return_url=return_url,
                flow=None if page is None else _FLOWS.get(page),
                subscription_id=subscription_id,
            )
        )
    url = checked_address(session.url, parts.config)
    async with parts.database.transaction() as tx:
        detail = {"page": None if page is None else page.value}
        at = parts.clock.now()
        await record(tx, account_id=account_id, actor=actor, action="billing.portal_opened", detail=detail, at=at)
    return url


async def _cancellable(parts: BillingParts, account_id: AccountId) -> str:
    known = await parts.subscriptions.get_subscription(account_id)
    if known.stripe_subscription_id is None or not known.is_live_at_stripe:
        raise NotSubscribed
    live = await parts.gateway.retrieve_subscription(known.stripe_subscription_id)
    if live.cancel_at is not None:
        raise CancellationScheduled(cancel_at=live.cancel_at)
    if live.schedule_id is not None:
        raise DowngradeScheduled
    return live.subscription_id


async def ensure_portal_configuration(gateway: StripeActions, return_url: str) -> str:
    """The id of our configuration of the portal, made when it is not there. Safe to run twice and at once."""
    version = f"{PORTAL_VERSION}:{hashlib.sha256(return_url.encode()).hexdigest()[:16]}"
    for known in await gateway.list_portal_configurations():
        if known.is_active and known.version == version:
            return known.configuration_id
    return (await gateway.create_portal_configuration(version=version, return_url=return_url)).configuration_id
