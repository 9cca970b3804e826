"""The use cases of the estimate: the next invoice, from our ledger and copies only, and the worker's reading."""

from collections.abc import Sequence

import structlog

from helvetia.costs.estimate import store
from helvetia.costs.estimate.estimate_invoice import due_if_used, estimate_invoice
from helvetia.costs.estimate.model import Estimate, ReadRound
from helvetia.costs.estimate.read_facts import EstimateTools, check_estimate, read_facts, read_parts
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.errors import StripeNotAuthorized, StripeRateLimited, StripeUnavailable
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder

_log = structlog.get_logger()


class EstimateService:
    """The next invoice before it is made."""

    def __init__(self, database: Database, clock: Clock, gateway: StripeActions, prices: PriceBookHolder) -> None:
        self._tools = EstimateTools(database=database, clock=clock, gateway=gateway, prices=prices)

    async def estimate(self, account_id: AccountId) -> Estimate:
        """The next invoice as things stand; Stripe is not asked. Raises SubscriptionNotFound."""
        async with self._tools.database.transaction() as tx:
            parts = await read_parts(self._tools, tx, account_id)
        return estimate_invoice(parts)

    async def expected_due(self, account_id: AccountId, usage_minor: Sequence[int]) -> tuple[Estimate, Sequence[int]]:
        """The next invoice as things stand, and what would be due if the usage came to each of these amounts.

        Raises:
            SubscriptionNotFound
        """
        async with self._tools.database.transaction() as tx:
            parts = await read_parts(self._tools, tx, account_id)
        return estimate_invoice(parts), [due_if_used(parts, amount) for amount in usage_minor]

    async def read_account(self, account_id: AccountId) -> bool:
        """Read Stripe's part of one account, and check where that is due; says whether a difference was found.

        Raises:
            SubscriptionNotFound, and as the gateway does
        """
        if not await read_facts(self._tools, account_id):
            return False
        return bool(await check_estimate(self._tools, account_id))

    async def read_all_due(self, limit: int = 100) -> ReadRound:
        """The worker's round after the sync: accounts that waited longest first; stops when Stripe is away."""
        async with self._tools.database.transaction() as tx:
            due = await store.accounts_to_read(tx, limit)
        read_count = failed_count = different_count = 0
        for account_id in due:
            try:
                different_count += await self.read_account(account_id)
                read_count += 1
            except (StripeUnavailable, StripeRateLimited, StripeNotAuthorized):
                raise
            except HelvetiaError as error:
                failed_count += 1
                _log.warning("costs.facts_not_read", account_id=str(account_id), code=error.code)
        return ReadRound(read_count=read_count, failed_count=failed_count, different_count=different_count)
