"""The arrow account → admission: may this account run this service? Asked under the account's row lock.

A class on stores only, so that everything above and beside it can depend on it.
"""

from helvetia.catalogue.plans import UNLIMITED
from helvetia.containers.model import ServiceDefinition
from helvetia.containers.store import count_services
from helvetia.database.pool import Transaction
from helvetia.enforcement.errors import ServiceLimitReached
from helvetia.enforcement.policy import smallest_plan_for_services
from helvetia.kernel.identity import AccountId
from helvetia.subscriptions import store as subscriptions_store
from helvetia.subscriptions.model import limits_of


class PlanAdmission:
    """Implements containers.model.Admission by the plan's limits."""

    async def admit(self, tx: Transaction, account_id: AccountId, wanted: ServiceDefinition, *, is_new: bool) -> None:
        """Raises ServiceLimitReached when the plan has no room for one more service."""
        if not is_new:
            return
        allowed = limits_of(await subscriptions_store.find(tx, account_id)).services_max
        used = await count_services(tx, account_id)
        if allowed != UNLIMITED and used + 1 > allowed:
            raise ServiceLimitReached(
                limit="services", allowed=allowed, used=used, requested=1, plan=smallest_plan_for_services(used + 1)
            )
