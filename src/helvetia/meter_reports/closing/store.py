"""SQL of what keeps an account from being deleted."""

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId

_RUNS = "SELECT EXISTS (SELECT FROM container_runs WHERE account_id = %s AND finished_ns IS NULL)"
_CANCELLATION = "SELECT EXISTS (SELECT FROM cancellations WHERE account_id = %s AND finished_at IS NULL)"
_OPEN_PIECES = """
    SELECT EXISTS (
        SELECT FROM usage_records u JOIN billing_periods p
            ON p.account_id = u.account_id AND u.period_start >= p.starts_at AND u.period_start < p.ends_at
        WHERE u.account_id = %s AND u.closed_at IS NULL
    )
"""
_OPEN_REPORTS = """
    SELECT EXISTS (SELECT FROM meter_reports WHERE account_id = %s AND state IN ('due', 'sent', 'unknown'))
"""
_OPEN_TASKS = """
    SELECT EXISTS (SELECT FROM usage_tasks WHERE account_id = %s AND state IN ('open', 'billing'))
"""
_OPEN_INVOICES = """
    SELECT EXISTS (
        SELECT FROM invoices WHERE account_id = %s
            AND (status = 'draft' AND total_minor > 0 OR status = 'open' AND amount_remaining_minor > 0)
    )
"""


async def has_running_containers(tx: Transaction, account_id: AccountId) -> bool:
    """Runs whose end the engine has not told."""
    return await _exists(tx, _RUNS, account_id)


async def has_open_cancellation(tx: Transaction, account_id: AccountId) -> bool:
    return await _exists(tx, _CANCELLATION, account_id)


async def has_unbilled_usage(tx: Transaction, account_id: AccountId) -> bool:
    """Pieces of a billing period not closed, reports not surely counted, or usage that the operator is to decide on."""
    return any([await _exists(tx, one, account_id) for one in (_OPEN_PIECES, _OPEN_REPORTS, _OPEN_TASKS)])


async def has_unsettled_invoices(tx: Transaction, account_id: AccountId) -> bool:
    return await _exists(tx, _OPEN_INVOICES, account_id)


async def _exists(tx: Transaction, statement: str, account_id: AccountId) -> bool:
    row = await (await tx.execute(statement, (account_id,))).fetchone()
    return row is not None and bool(row[0])
