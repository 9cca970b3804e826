"""What must always hold of the outbox: SQL that returns nothing, or the rows that break it."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction

BROKEN_SHOWN_MAX = 20
# Rules that break when something is to be decided, and not by a defect.
FOR_THE_OPERATOR = frozenset({"nothing waits for the operator", "what was sent is counted within a day"})

_COUNTED = "sum(value) FILTER (WHERE state <> 'rejected')"

INVARIANTS: Mapping[str, str] = {
    "an event lies in its billing period": """
        SELECT account_id, metric, identifier, piece_start FROM meter_reports
        WHERE greatest(date_trunc('second', piece_start), billing_period_start) >= billing_period_end
    """,
    "no report is zero": "SELECT account_id, metric, identifier FROM meter_reports WHERE value = 0",
    "what was sent has an attempt on record": """
        SELECT account_id, identifier, state FROM meter_reports
        WHERE state IN ('sent', 'unknown') AND (attempt_count = 0 OR first_sent_at IS NULL)
    """,
    "what is settled says when": """
        SELECT account_id, identifier, state FROM meter_reports WHERE (state = 'due') <> (settled_at IS NULL)
    """,
    "what is dead or rejected says why": """
        SELECT account_id, identifier, state FROM meter_reports
        WHERE state IN ('dead', 'rejected') AND last_error IS NULL
    """,
    "usage is reported to the account's own customer": """
        SELECT r.account_id, r.identifier FROM meter_reports r JOIN subscriptions s USING (account_id)
        WHERE r.stripe_customer_id IS DISTINCT FROM s.stripe_customer_id AND r.state <> 'rejected'
            AND NOT EXISTS (SELECT FROM former_customers f
                WHERE f.account_id = r.account_id AND f.stripe_customer_id = r.stripe_customer_id)
    """,
    "the reports of a period never come to less than nothing": f"""
        SELECT account_id, metric, billing_period_start, {_COUNTED} AS value FROM meter_reports
        GROUP BY account_id, metric, billing_period_start HAVING {_COUNTED} < 0
    """,
    "what was sent is counted within a day": """
        SELECT account_id, metric, identifier, value, settled_at, last_error FROM meter_reports
        WHERE state = 'sent' AND last_error IS NOT NULL
    """,
    "an identifier that never arrived, or was refused, is not sent again": """
        SELECT account_id, identifier FROM meter_reports
        WHERE state = 'rejected' AND last_sent_at > settled_at
    """,
    "what was taken back is rejected": """
        SELECT d.account_id, d.identifier, r.state FROM report_redirections d JOIN meter_reports r USING (identifier)
        WHERE d.state = 'done' AND r.state <> 'rejected'
    """,
    "what is billed by hand names its invoice item and who decided": """
        SELECT account_id, task_id FROM usage_tasks
        WHERE (state = 'billed') <> (stripe_invoice_item_id IS NOT NULL)
            OR (state IN ('billing', 'billed', 'waived') AND (decided_by IS NULL OR reason IS NULL))
    """,
    "nothing waits for the operator": """
        SELECT account_id, metric::text, identifier, value, state, last_error FROM meter_reports r
        WHERE state = 'unknown' AND settled_at < (SELECT max(asked_at) FROM report_periods) - interval '1 day'
            OR state = 'dead' AND NOT EXISTS (SELECT FROM usage_tasks t
                WHERE t.account_id = r.account_id AND t.metric = r.metric AND t.starts_at = r.billing_period_start)
        UNION ALL
        SELECT account_id, metric::text, task_id::text, quantity, state, detail FROM usage_tasks
        WHERE state IN ('open', 'billing')
        UNION ALL
        SELECT account_id, metric::text, identifier, value, 'redirection', last_error FROM report_redirections
        WHERE state = 'open'
        UNION ALL
        SELECT account_id, '', stripe_subscription_id, 0, 'cancellation', last_error FROM cancellations
        WHERE finished_at IS NULL AND alarmed_at IS NOT NULL
    """,
}


async def broken_invariants(tx: Transaction) -> dict[str, Sequence[Mapping[str, Any]]]:
    """The rules that do not hold, each with the first rows that break it."""
    broken: dict[str, Sequence[Mapping[str, Any]]] = {}
    async with tx.cursor(row_factory=dict_row) as cursor:
        for rule, statement in INVARIANTS.items():
            await cursor.execute(f"SELECT * FROM ({statement}) AS broken LIMIT {BROKEN_SHOWN_MAX}")
            rows = await cursor.fetchall()
            if rows:
                broken[rule] = rows
    return broken
