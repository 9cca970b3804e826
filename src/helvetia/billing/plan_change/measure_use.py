"""The arrow account → what it uses of what plans limit, read in one transaction from our own ledger."""

from helvetia.billing.parts import BillingParts
from helvetia.billing.plan_change.model import AccountUse
from helvetia.containers.store_holds import reserved
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.store import totals
from helvetia.metering.store_storage import storage_held_bytes
from helvetia.subscriptions import store as subscriptions


async def measure_use(parts: BillingParts, account_id: AccountId) -> AccountUse:
    """Raises SubscriptionNotFound."""
    async with parts.database.transaction() as tx:
        record = await subscriptions.find(tx, account_id)
        services, memory_mb, cpu_cores = await reserved(tx, account_id)
        used = await totals(tx, account_id, record.period_at(parts.clock.now()))
        return AccountUse(
            services=services,
            memory_mb=memory_mb,
            cpu_cores=cpu_cores,
            bandwidth_bytes=used.quantities.get(UsageMetric.BANDWIDTH_GB, 0),
            storage_bytes=await storage_held_bytes(tx, account_id),
        )
