"""The arrow ledger, outbox and decisions → what we hold of a period, read in the caller's one transaction."""

from helvetia.costs.estimate.check_invoice import Counted
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.meter_reports.settlement.model import TaskState
from helvetia.meter_reports.settlement.store import decided_quantities
from helvetia.meter_reports.store import refused_values, value_at_stripe
from helvetia.metering.store_usage import totals


async def read_counted(tx: Transaction, account_id: AccountId, period: Period) -> Counted:
    """Everything that a line of this very period is compared with."""
    return Counted(
        base_quantities=(await totals(tx, account_id, period)).quantities,
        at_stripe=await value_at_stripe(tx, account_id, period.starts_at),
        refused=await refused_values(tx, account_id, period.starts_at),
        billed=await decided_quantities(tx, account_id, period.starts_at, (TaskState.BILLING, TaskState.BILLED)),
        waived=await decided_quantities(tx, account_id, period.starts_at, (TaskState.WAIVED,)),
    )
