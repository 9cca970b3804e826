"""The comparison of accounts with Stripe: customers, subscriptions and invoices, field by field.

Safe to repair is what a fresh read repairs: our subscription row, our copies of invoices, our drafts that Stripe has
deleted. Everything else is somebody's judgement and only reported: a deleted or foreign customer, a plan in doubt, an
invoice that Stripe does not know, events of a customer that no account has. Nothing is ever changed at Stripe. One
account that cannot be read does not keep the others; Stripe being away ends the round.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from helvetia.audit import store as audit
from helvetia.billing import store as billing_store
from helvetia.billing.model import InvoiceFilter, InvoiceRecord
from helvetia.billing.service import BillingService
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.observability.metrics import DIFFERENCES
from helvetia.stripe_gateway.errors import (
    StripeNotAuthorized,
    StripeObjectMissing,
    StripeRateLimited,
    StripeUnavailable,
)
from helvetia.stripe_gateway.model import StripeGateway
from helvetia.subscriptions.service import SubscriptionService
from helvetia.webhooks import store, store_walk
from helvetia.webhooks.compare_fields import (
    FieldPair,
    customer_pairs,
    invoice_pairs,
    subscription_pairs,
    to_differences,
)
from helvetia.webhooks.model import Comparison, Difference

INVOICES_MAX = 1000  # as many as the gateway lists
PARKED_SHOWN_MAX = 100

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileParts:
    """What comparing works with."""

    database: Database
    clock: Clock
    gateway: StripeGateway
    subscriptions: SubscriptionService
    billing: BillingService


async def compare_accounts(parts: ReconcileParts, account_ids: Sequence[AccountId]) -> Comparison:
    """Compare and repair these accounts. Raises StripeUnavailable, StripeRateLimited, StripeNotAuthorized."""
    differences: list[Difference] = []
    failed_count = 0
    for account_id in account_ids:
        async with parts.database.transaction() as tx:
            await store_walk.mark_compared(tx, account_id, parts.clock.wall())
        try:
            found = await _compare_account(parts, account_id)
        except (StripeUnavailable, StripeRateLimited, StripeNotAuthorized):
            raise
        except HelvetiaError as error:
            failed_count += 1
            _log.warning("webhooks.comparison_failed", account_id=str(account_id), code=error.code)
            continue
        await _note(parts, account_id, found)
        differences += found
    return Comparison(compared_count=len(account_ids), failed_count=failed_count, differences=tuple(differences))


async def unknown_customers(parts: ReconcileParts) -> list[Difference]:
    """Customers at Stripe whose events came in and whom no account has."""
    async with parts.database.transaction() as tx:
        parked = await store.parked_customers(tx, PARKED_SHOWN_MAX)
    return [
        Difference(
            account_id=None,
            thing="customer",
            thing_id=customer_id,
            field="account_id",
            ours=None,
            stripes=f"{count} events since {since.isoformat()}",
            is_repaired=False,
        )
        for customer_id, count, since in parked
    ]


async def _compare_account(parts: ReconcileParts, account_id: AccountId) -> list[Difference]:
    before = await parts.subscriptions.get_subscription(account_id)
    if before.stripe_customer_id is None:
        return []
    try:
        customer = await parts.gateway.retrieve_customer(before.stripe_customer_id)
    except StripeObjectMissing:
        missing = FieldPair(
            thing="customer", thing_id=before.stripe_customer_id, field="exists", ours=True, stripes=False
        )
        return to_differences(account_id, [missing], frozenset({missing.place}))
    left = customer_pairs(account_id, customer)
    after = (await parts.subscriptions.sync_subscription(account_id)).record
    found = subscription_pairs(before, after, parts.clock.now())
    if after.plan_problem is not None:
        left.append(
            FieldPair(
                thing="subscription",
                thing_id=after.stripe_subscription_id or "",
                field="plan",
                ours=after.plan,
                stripes=after.plan_problem,
            )
        )
    invoices_found, invoices_left = await _compare_invoices(parts, account_id, before.stripe_customer_id)
    left += invoices_left
    open_places = frozenset(pair.place for pair in left)
    pairs = {pair.place: pair for pair in (*found, *invoices_found, *left)}
    return to_differences(account_id, pairs.values(), open_places)


async def _compare_invoices(
    parts: ReconcileParts, account_id: AccountId, customer_id: str
) -> tuple[list[FieldPair], list[FieldPair]]:
    """What differed, and what a fresh copy left differing."""
    stripes = await parts.gateway.list_invoices(customer_id=customer_id)
    found = invoice_pairs(await _our_invoices(parts, account_id), stripes)
    if not found:
        return [], []
    await parts.billing.mirror_invoices(account_id)
    stripes = await parts.gateway.list_invoices(customer_id=customer_id)
    return found, invoice_pairs(await _our_invoices(parts, account_id), stripes)


async def _our_invoices(parts: ReconcileParts, account_id: AccountId) -> Sequence[InvoiceRecord]:
    async with parts.database.transaction() as tx:
        return await billing_store.invoices(tx, account_id, InvoiceFilter(), after=None, limit=INVOICES_MAX)


async def _note(parts: ReconcileParts, account_id: AccountId, found: Sequence[Difference]) -> None:
    """What was repaired or is left, on the account's record."""
    if not found:
        return
    for difference in found:
        DIFFERENCES.labels("yes" if difference.is_repaired else "no").inc()
        _log.warning(
            "webhooks.difference",
            account_id=str(account_id),
            thing=difference.thing,
            thing_id=difference.thing_id,
            field=difference.field,
            repaired=difference.is_repaired,
        )
    async with parts.database.transaction() as tx:
        await audit.record(
            tx,
            account_id=account_id,
            actor="reconcile",
            action="stripe.compared",
            reason="ours and Stripe's differed",
            detail={
                "repaired": [f"{one.thing} {one.thing_id} {one.field}" for one in found if one.is_repaired],
                "left": [f"{one.thing} {one.thing_id} {one.field}" for one in found if not one.is_repaired],
            },
            at=parts.clock.now(),
        )
