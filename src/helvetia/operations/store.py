"""All SQL of the operator's overview: it only reads, and never more than a bounded number of rows."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.operations.model import ROWS_SHOWN_MAX, ListName, Sum

_LIVE = "s.stripe_subscription_id IS NOT NULL AND s.status <> 'CANCELED' AND a.deleted_at IS NULL"
_OWING = "s.status IN ('PAST_DUE', 'UNPAID') AND a.deleted_at IS NULL"

FEES = f"""
SELECT count(*) AS count, coalesce(sum(s.fee_minor), 0)::bigint AS amount_minor, s.currency
FROM subscriptions s JOIN accounts a USING (account_id) WHERE {_LIVE} GROUP BY s.currency ORDER BY s.currency
"""
PAST_DUE = f"""
SELECT count(*) AS count, coalesce(sum(i.amount_remaining_minor), 0)::bigint AS amount_minor, i.currency
FROM subscriptions s JOIN accounts a USING (account_id) JOIN invoices i USING (account_id)
WHERE {_OWING} AND i.status = 'open' AND i.amount_remaining_minor > 0 GROUP BY i.currency ORDER BY i.currency
"""
TASKS = """
SELECT count(*) AS count, coalesce(sum(amount_minor), 0)::bigint AS amount_minor, currency
FROM usage_tasks WHERE state IN ('open', 'billing') GROUP BY currency ORDER BY currency
"""
# A registered node that does not report, or any host (our own too) whose containers or volumes nobody looked at lately.
_LATE_HOSTS = """
SELECT coalesce(n.node, l.node) AS host, to_timestamp(l.seen_ns / 1e9) AS read_until_at, n.seen_at AS heard_at,
       coalesce(l.account_count, 0) AS accounts, coalesce(l.service_count, 0) AS services
FROM (SELECT node, seen_at FROM nodes WHERE revoked_at IS NULL) AS n FULL JOIN (
    SELECT node, max(seen_ns) AS seen_ns, count(DISTINCT account_id) AS account_count,
           count(DISTINCT service_id) AS service_count
    FROM (SELECT node, seen_ns, account_id, service_id FROM container_runs
          WHERE closed_at IS NULL AND finished_ns IS NULL
          UNION ALL SELECT node, seen_ns, account_id, service_id FROM storage_holders
          WHERE closed_at IS NULL AND gone_ns IS NULL) AS life GROUP BY node
) AS l USING (node)
WHERE (n.node IS NOT NULL AND (n.seen_at IS NULL OR n.seen_at < %(heard_since)s)) OR l.seen_ns < %(read_since_ns)s
"""
FIGURES = f"""
SELECT
  (SELECT count(*) FROM subscriptions s JOIN accounts a USING (account_id) WHERE {_OWING}) AS past_due_count,
  (SELECT count(DISTINCT h.account_id) FROM service_holds h JOIN services v USING (account_id, service_id)
   WHERE v.deleted_at IS NULL AND v.transferred_at IS NULL) AS held_account_count,
  (SELECT count(*) FROM stripe_events WHERE handled_at IS NULL AND parked_at IS NULL) AS waiting_count,
  (SELECT count(*) FROM stripe_events WHERE handled_at IS NULL AND parked_at IS NOT NULL) AS parked_count,
  (SELECT min(received_at) FROM stripe_events WHERE handled_at IS NULL AND parked_at IS NULL) AS oldest_waiting_at,
  (SELECT complete_until_at FROM stripe_event_walk) AS complete_until_at,
  (SELECT min(created_at) FROM meter_reports WHERE state = 'due') AS oldest_due_at,
  (SELECT count(*) FROM metering_findings WHERE kind = 'gap' AND recorded_at >= %(gaps_since)s) AS open_gap_count,
  (SELECT count(*) FROM ({_LATE_HOSTS}) AS late) AS late_host_count,
  (SELECT count(*) FROM container_runs WHERE closed_at IS NULL) AS running_count,
  (SELECT min(seen_ns) FROM container_runs WHERE closed_at IS NULL) AS read_until_ns
"""
HELD_BY_CAUSE = """
SELECT h.cause AS name, count(*) AS count FROM service_holds h JOIN services v USING (account_id, service_id)
WHERE v.deleted_at IS NULL AND v.transferred_at IS NULL GROUP BY h.cause ORDER BY h.cause
"""
OUTBOX_BY_STATE = "SELECT state AS name, count(*) AS count FROM meter_reports GROUP BY state ORDER BY state"

LISTS: Mapping[ListName, LiteralString] = {
    ListName.SUBSCRIBERS: f"""
SELECT a.name AS account, a.account_id, s.plan::text AS plan, s.status::text AS status, s.fee_minor, s.currency,
       s.current_period_end AS period_ends_at, s.stripe_customer_id AS customer
FROM subscriptions s JOIN accounts a USING (account_id) WHERE {_LIVE} ORDER BY s.fee_minor DESC, a.account_id
""",
    ListName.PAST_DUE: f"""
SELECT a.name AS account, a.account_id, s.plan::text AS plan, s.status::text AS status, f.first_failed_at,
       coalesce(o.open_minor, 0) AS open_minor, coalesce(o.currency, s.currency) AS currency,
       s.stripe_customer_id AS customer
FROM subscriptions s JOIN accounts a USING (account_id) LEFT JOIN payment_facts f USING (account_id)
LEFT JOIN LATERAL (
    SELECT sum(i.amount_remaining_minor)::bigint AS open_minor, min(i.currency) AS currency FROM invoices i
    WHERE i.account_id = s.account_id AND i.status = 'open'
) o ON true
WHERE {_OWING} ORDER BY f.first_failed_at NULLS LAST, a.account_id
""",
    ListName.HELD: """
SELECT a.name AS account, v.account_id, v.name AS service, h.cause, h.reason, h.placed_at, h.placed_by
FROM service_holds h JOIN services v USING (account_id, service_id) JOIN accounts a USING (account_id)
WHERE v.deleted_at IS NULL AND v.transferred_at IS NULL ORDER BY h.placed_at DESC, v.service_id, h.cause
""",
    ListName.TASKS: """
SELECT a.name AS account, t.account_id, t.metric::text AS metric, t.cause, t.quantity, t.amount_minor, t.currency,
       t.starts_at, t.ends_at, t.opened_at
FROM usage_tasks t JOIN accounts a USING (account_id) WHERE t.state IN ('open', 'billing')
ORDER BY t.opened_at, t.task_id
""",
    ListName.WEBHOOKS: """
SELECT event_id AS event, event_type AS type, customer_id AS customer, received_at, attempt_count AS attempts,
       CASE WHEN parked_at IS NULL THEN 'waiting' ELSE 'parked' END AS state, outcome
FROM stripe_events WHERE handled_at IS NULL ORDER BY parked_at NULLS FIRST, received_at, event_id
""",
    ListName.OUTBOX: """
SELECT a.name AS account, r.account_id, r.metric::text AS metric, r.piece_start, r.revision, r.value, r.state,
       r.attempt_count AS attempts, r.created_at, r.last_error
FROM meter_reports r JOIN accounts a USING (account_id) WHERE r.state <> 'confirmed'
ORDER BY r.created_at, r.account_id, r.metric, r.piece_start, r.revision
""",
    ListName.GAPS: """
SELECT a.name AS account, g.account_id, v.name AS service, g.cause, to_timestamp(g.starts_ns / 1e9) AS starts_at,
       to_timestamp(g.ends_ns / 1e9) AS ends_at, g.recorded_at, g.detail
FROM metering_findings g JOIN accounts a USING (account_id) LEFT JOIN services v USING (account_id, service_id)
WHERE g.kind = 'gap' AND g.recorded_at >= %(gaps_since)s ORDER BY g.recorded_at DESC, g.incarnation
""",
    ListName.HOSTS: f"{_LATE_HOSTS} ORDER BY read_until_at NULLS LAST, host",
}


async def sums(tx: Transaction, query: LiteralString) -> Sequence[Sum]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query)
        return [Sum(**row) for row in await cursor.fetchall()]


async def counts(tx: Transaction, query: LiteralString) -> Mapping[str, int]:
    return dict(await (await tx.execute(query)).fetchall())


async def figures(tx: Transaction, values: Mapping[str, object]) -> Mapping[str, Any]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(FIGURES, values)
        row = await cursor.fetchone()
    return row or {}


async def rows_of(
    tx: Transaction, name: ListName, values: Mapping[str, object]
) -> tuple[Sequence[Mapping[str, object]], int]:
    """The first ROWS_SHOWN_MAX rows of a list, and how many it has."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT l.*, count(*) OVER () AS of_all FROM ({LISTS[name]}) l LIMIT {ROWS_SHOWN_MAX}", values
        )
        rows = await cursor.fetchall()
    return rows, int(rows[0]["of_all"]) if rows else 0


async def names_of(tx: Transaction, account_ids: Sequence[AccountId]) -> Mapping[AccountId, str]:
    cursor = await tx.execute("SELECT account_id, name FROM accounts WHERE account_id = ANY(%s)", (list(account_ids),))
    return {AccountId(account_id): name for account_id, name in await cursor.fetchall()}
