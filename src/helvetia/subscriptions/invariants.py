"""What must always hold of subscriptions and billing periods: SQL that returns nothing, or the rows that break it."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction

BROKEN_SHOWN_MAX = 20

INVARIANTS: Mapping[str, str] = {
    "every account has a subscription row": """
        SELECT a.account_id FROM accounts a LEFT JOIN subscriptions s USING (account_id) WHERE s.account_id IS NULL
    """,
    "an account without a customer is FREE and ACTIVE": """
        SELECT account_id, plan, status FROM subscriptions
        WHERE stripe_customer_id IS NULL AND (plan <> 'FREE' OR status <> 'ACTIVE')
    """,
    "usage of an account with a customer waits for Stripe": """
        SELECT s.account_id FROM subscriptions s LEFT JOIN metering_accounts m USING (account_id)
        WHERE s.stripe_customer_id IS NOT NULL AND m.waits_for_stripe IS NOT TRUE
    """,
    "an ended subscription is CANCELED, and a canceled one has ended": """
        SELECT account_id, status, ended_at FROM subscriptions WHERE (status = 'CANCELED') <> (ended_at IS NOT NULL)
    """,
    "the period of a live subscription is a billing period": """
        SELECT s.account_id, s.current_period_start FROM subscriptions s
        LEFT JOIN billing_periods p ON p.account_id = s.account_id AND p.starts_at = s.current_period_start
        WHERE s.stripe_subscription_id IS NOT NULL AND s.status <> 'CANCELED' AND p.account_id IS NULL
    """,
    "billing periods do not overlap": """
        SELECT account_id, starts_at, ends_at, next_start FROM (
            SELECT account_id, starts_at, ends_at,
                lead(starts_at) OVER (PARTITION BY account_id ORDER BY starts_at) AS next_start
            FROM billing_periods
        ) AS p WHERE next_start < ends_at
    """,
    "every edge of a billing period is a cut of usage": """
        SELECT p.account_id, edge FROM billing_periods p
        CROSS JOIN LATERAL (VALUES (p.starts_at), (p.ends_at)) AS e (edge)
        LEFT JOIN metering_cuts c ON c.account_id = p.account_id AND c.cut_at = edge WHERE c.cut_at IS NULL
    """,
    "no plan is in doubt": """
        SELECT account_id, plan, plan_problem FROM subscriptions WHERE plan_problem IS NOT NULL
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
