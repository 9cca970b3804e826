"""All SQL of enforcement: facts of accounts, overrides, passes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.containers.store_holds import RESERVED
from helvetia.database.pool import Transaction
from helvetia.enforcement.model import (
    AccountFacts,
    Admitting,
    Override,
    OverrideKind,
    PassOutcome,
    PaymentFacts,
    QuotaUse,
    Resources,
)
from helvetia.kernel.identity import AccountId, new_id
from helvetia.kernel.period import Period, calendar_month
from helvetia.metering.store_storage import STORAGE_HELD
from helvetia.metering.store_usage import BANDWIDTH_USED

# Facts about payments count only for the subscription and the status they were read with.
_COLUMNS = """
       s.account_id, s.plan, s.status, s.stripe_customer_id, s.stripe_subscription_id, s.stripe_status, s.ended_at,
       s.current_period_start, s.current_period_end, m.known_until,
       CASE WHEN s.status = 'CANCELED' AND EXISTS (
           SELECT FROM plan_changes p WHERE p.account_id = s.account_id
               AND p.stripe_subscription_id = s.stripe_subscription_id AND p.direction = 'end' AND p.state = 'scheduled'
       ) THEN greatest(e.free_chosen_at, s.ended_at) ELSE e.free_chosen_at END AS free_chosen_at,
       e.noticed_failure_at, e.noticed_hold_at,
       f.stripe_subscription_id AS failed_subscription_id, f.failed_invoice_id, f.first_failed_at, f.ended_by_failure,
       f.read_at, o.overrides, coalesce(c.service_count, 0) AS service_count, coalesce(h.held_count, 0) AS held_count
"""
_FROM = """
FROM subscriptions s
JOIN accounts a ON a.account_id = s.account_id
LEFT JOIN metering_accounts m ON m.account_id = s.account_id
LEFT JOIN enforcement_accounts e ON e.account_id = s.account_id
LEFT JOIN payment_facts f ON f.account_id = s.account_id
    AND f.stripe_subscription_id = s.stripe_subscription_id AND f.stripe_status = s.stripe_status
LEFT JOIN (
    SELECT account_id, json_agg(json_build_object('override_id', override_id, 'kind', kind, 'until_at', until_at,
                                                  'reason', reason, 'actor', actor)) AS overrides
    FROM enforcement_overrides WHERE revoked_at IS NULL GROUP BY account_id
) AS o ON o.account_id = s.account_id
LEFT JOIN LATERAL (
    SELECT count(*) AS service_count FROM services v WHERE v.account_id = s.account_id AND v.deleted_at IS NULL
) AS c ON true
LEFT JOIN (
    SELECT h.account_id, count(*) AS held_count FROM service_holds h
    JOIN services v USING (account_id, service_id)
    WHERE h.cause = 'payment' AND v.deleted_at IS NULL GROUP BY h.account_id
) AS h ON h.account_id = s.account_id
"""
_WHERE = "WHERE a.deleted_at IS NULL"
_FACTS = f"SELECT {_COLUMNS} {_FROM} {_WHERE}"

_BANDWIDTH_OF_USE = BANDWIDTH_USED.format(
    account_id="s.account_id", starts_at="p.use_starts_at", ends_at="p.use_ends_at"
)

# All that an admission asks, in one statement: others wait for the lock meanwhile. Which period's use counts is the
# policy's to say: it is read of the one that nearly always counts (the subscription's while it lives, else this month).
_ADMISSION = f"""
SELECT {_COLUMNS}, r.services, r.memory_mb, r.cpu_cores, p.use_starts_at, p.use_ends_at,
       ({_BANDWIDTH_OF_USE}) AS bandwidth_bytes,
       ({STORAGE_HELD % "s.account_id"}) AS storage_bytes
{_FROM}
CROSS JOIN LATERAL ({RESERVED % "s.account_id"}) AS r
CROSS JOIN LATERAL (
    SELECT CASE WHEN l.lives THEN s.current_period_start ELSE %(month_start)s END AS use_starts_at,
           CASE WHEN l.lives THEN s.current_period_end ELSE %(month_end)s END AS use_ends_at
    FROM (SELECT s.stripe_subscription_id IS NOT NULL AND s.status <> 'CANCELED' AS lives) AS l
) AS p
{_WHERE} AND s.account_id = %(account_id)s
"""

_SAVE_FACTS = """
INSERT INTO payment_facts AS f (account_id, stripe_subscription_id, stripe_status, failed_invoice_id, first_failed_at,
                                ended_by_failure, read_at, fetch_seq)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (account_id) DO UPDATE SET stripe_subscription_id = excluded.stripe_subscription_id,
    stripe_status = excluded.stripe_status, failed_invoice_id = excluded.failed_invoice_id,
    first_failed_at = excluded.first_failed_at, ended_by_failure = excluded.ended_by_failure,
    read_at = excluded.read_at, fetch_seq = excluded.fetch_seq
WHERE f.fetch_seq < excluded.fetch_seq
"""

# Accounts in trouble whose payments were not read since their subscription was, those never read first.
_TO_READ = """
SELECT s.account_id FROM subscriptions s JOIN accounts a USING (account_id)
LEFT JOIN payment_facts f ON f.account_id = s.account_id
    AND f.stripe_subscription_id = s.stripe_subscription_id AND f.stripe_status = s.stripe_status
WHERE a.deleted_at IS NULL AND s.status <> 'ACTIVE' AND s.stripe_customer_id IS NOT NULL
  AND s.stripe_subscription_id IS NOT NULL AND (f.read_at IS NULL OR f.read_at < %s AND s.status <> 'CANCELED')
ORDER BY f.read_at NULLS FIRST, s.account_id LIMIT %s
"""

_TO_CHECK = """
SELECT a.account_id FROM accounts a
JOIN subscriptions s USING (account_id)
LEFT JOIN enforcement_accounts e USING (account_id)
WHERE a.deleted_at IS NULL AND s.plan <> 'ENTERPRISE'
  AND (e.quota_checked_at IS NULL OR e.quota_checked_at < %s)
  AND EXISTS (SELECT FROM services v WHERE v.account_id = a.account_id AND v.deleted_at IS NULL)
ORDER BY e.quota_checked_at NULLS FIRST, a.account_id LIMIT %s
"""

_BANDWIDTH_OF_PERIOD = BANDWIDTH_USED.format(
    account_id="%(account_id)s", starts_at="%(starts_at)s::timestamptz", ends_at="%(ends_at)s::timestamptz"
)
_USE = f"SELECT ({_BANDWIDTH_OF_PERIOD}), ({STORAGE_HELD % '%(account_id)s'})"


async def facts_of(tx: Transaction, account_id: AccountId) -> AccountFacts | None:
    """One account's facts; None when there is no such account."""
    found = await _facts(tx, " AND s.account_id = %s", (account_id,))
    return found[0] if found else None


async def admission_of(tx: Transaction, account_id: AccountId, now: datetime) -> Admitting | None:
    """One account's facts, what its services reserve, and its use, in one round trip; None when there is no such."""
    month = calendar_month(now)
    values = {"account_id": account_id, "month_start": month.starts_at, "month_end": month.ends_at}
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_ADMISSION, values)
        row = await cursor.fetchone()
    if row is None:
        return None
    facts = _from_row(row)
    use = QuotaUse(bandwidth_bytes=int(row["bandwidth_bytes"]), storage_bytes=int(row["storage_bytes"]))
    if facts.period_at(now) != Period(starts_at=row["use_starts_at"], ends_at=row["use_ends_at"]):
        use = await quota_use(tx, account_id, facts.period_at(now))
    used = Resources(services=row["services"], memory_mb=int(row["memory_mb"]), cpu_cores=row["cpu_cores"])
    return Admitting(facts=facts, used=used, use=use)


async def facts_of_interest(tx: Transaction) -> Sequence[AccountFacts]:
    """Every account that is not simply in order: not ACTIVE, held for payment, or told of a failure that has passed."""
    where = " AND (s.status <> 'ACTIVE' OR h.held_count > 0 OR e.noticed_failure_at IS NOT NULL) ORDER BY s.account_id"
    return await _facts(tx, where, ())


async def _facts(tx: Transaction, where: str, values: Sequence[object]) -> list[AccountFacts]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_FACTS + where, values)
        return [_from_row(row) for row in await cursor.fetchall()]


def _from_row(row: Mapping[str, Any]) -> AccountFacts:
    payment = None
    if row["read_at"] is not None:
        payment = PaymentFacts(
            stripe_subscription_id=row["failed_subscription_id"],
            failed_invoice_id=row["failed_invoice_id"],
            first_failed_at=row["first_failed_at"],
            ended_by_failure=row["ended_by_failure"],
            read_at=row["read_at"],
        )
    return AccountFacts(
        account_id=AccountId(row["account_id"]),
        plan=row["plan"],
        status=row["status"],
        stripe_customer_id=row["stripe_customer_id"],
        stripe_subscription_id=row["stripe_subscription_id"],
        stripe_status=row["stripe_status"],
        ended_at=row["ended_at"],
        period=Period(starts_at=row["current_period_start"], ends_at=row["current_period_end"]),
        known_until=row["known_until"],
        payment=payment,
        free_chosen_at=row["free_chosen_at"],
        overrides=tuple(_to_override(one) for one in row["overrides"] or ()),
        service_count=row["service_count"],
        payment_held_count=row["held_count"],
        noticed_failure_at=row["noticed_failure_at"],
        noticed_hold_at=row["noticed_hold_at"],
    )


def _to_override(one: Mapping[str, Any]) -> Override:
    return Override(
        override_id=UUID(one["override_id"]),
        kind=OverrideKind(one["kind"]),
        until_at=datetime.fromisoformat(one["until_at"]),
        reason=one["reason"],
        actor=one["actor"],
    )


async def count_accounts(tx: Transaction) -> int:
    row = await (await tx.execute("SELECT count(*) FROM accounts WHERE deleted_at IS NULL")).fetchone()
    return 0 if row is None else int(row[0])


async def newest_known_until(tx: Transaction) -> datetime | None:
    """When the latest read of any customer began; None while nobody was read."""
    cursor = await tx.execute("SELECT max(known_until) FROM metering_accounts WHERE waits_for_stripe")
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def save_payment_facts(
    tx: Transaction, account_id: AccountId, facts: PaymentFacts, *, stripe_status: str, fetch_seq: int
) -> None:
    """Store a read, unless a newer one was stored before."""
    await tx.execute(
        _SAVE_FACTS,
        (
            *(account_id, facts.stripe_subscription_id, stripe_status, facts.failed_invoice_id),
            *(facts.first_failed_at, facts.ended_by_failure, facts.read_at, fetch_seq),
        ),
    )


async def accounts_to_read(tx: Transaction, *, read_before: datetime, limit: int) -> Sequence[AccountId]:
    """Accounts in trouble whose payments are to be read from Stripe."""
    cursor = await tx.execute(_TO_READ, (read_before, limit))
    return [AccountId(row[0]) for row in await cursor.fetchall()]


async def accounts_to_check(tx: Transaction, *, checked_before: datetime, limit: int) -> Sequence[AccountId]:
    """Accounts with services whose use of bandwidth and storage is to be looked at."""
    cursor = await tx.execute(_TO_CHECK, (checked_before, limit))
    return [AccountId(row[0]) for row in await cursor.fetchall()]


async def mark_checked(tx: Transaction, account_id: AccountId, at: datetime) -> None:
    await tx.execute(
        "INSERT INTO enforcement_accounts (account_id, quota_checked_at) VALUES (%s, %s)"
        " ON CONFLICT (account_id) DO UPDATE SET quota_checked_at = excluded.quota_checked_at",
        (account_id, at),
    )


async def quota_use(tx: Transaction, account_id: AccountId, period: Period) -> QuotaUse:
    """The period's bandwidth so far, and what is held now, in bytes."""
    values = {"account_id": account_id, "starts_at": period.starts_at, "ends_at": period.ends_at}
    row = await (await tx.execute(_USE, values)).fetchone()
    return QuotaUse() if row is None else QuotaUse(bandwidth_bytes=int(row[0]), storage_bytes=int(row[1]))


async def save_free_chosen(tx: Transaction, account_id: AccountId, at: datetime) -> None:
    await tx.execute(
        "INSERT INTO enforcement_accounts (account_id, free_chosen_at) VALUES (%s, %s)"
        " ON CONFLICT (account_id) DO UPDATE SET free_chosen_at = excluded.free_chosen_at",
        (account_id, at),
    )


async def insert_override(
    tx: Transaction,
    account_id: AccountId,
    kind: OverrideKind,
    *,
    until_at: datetime,
    reason: str,
    actor: str,
    at: datetime,
) -> UUID:
    override_id = new_id()
    await tx.execute(
        "INSERT INTO enforcement_overrides (account_id, override_id, kind, until_at, reason, actor, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (account_id, override_id, kind.value, until_at, reason, actor, at),
    )
    return override_id


async def revoke_overrides(tx: Transaction, account_id: AccountId, at: datetime) -> int:
    cursor = await tx.execute(
        "UPDATE enforcement_overrides SET revoked_at = %s WHERE account_id = %s AND revoked_at IS NULL",
        (at, account_id),
    )
    return cursor.rowcount


async def insert_pass(tx: Transaction, outcome: PassOutcome, at: datetime) -> None:
    await tx.execute(
        "INSERT INTO enforcement_passes (pass_id, began_at, mode, account_count, would_hold_count, held_count,"
        " resumed_count, brake) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *(outcome.pass_id, at, outcome.mode.value, outcome.account_count, len(outcome.would_hold)),
            *(len(outcome.held), len(outcome.resumed), outcome.brake),
        ),
    )


async def last_passes(tx: Transaction, limit: int) -> Sequence[Mapping[str, Any]]:
    """Passes that did or wanted something, newest first."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            "SELECT pass_id, began_at, mode, account_count, would_hold_count, held_count, resumed_count, brake,"
            " lifted_at FROM enforcement_passes ORDER BY began_at DESC, pass_id DESC LIMIT %s",
            (limit,),
        )
        return await cursor.fetchall()


async def mark_pass_lifted(tx: Transaction, pass_id: UUID, at: datetime) -> bool:
    cursor = await tx.execute("UPDATE enforcement_passes SET lifted_at = %s WHERE pass_id = %s", (at, pass_id))
    return cursor.rowcount == 1


async def save_noticed(
    tx: Transaction, account_id: AccountId, *, failure_at: datetime | None, hold_at: datetime | None
) -> None:
    """Which failure, and which day of the hold, the account is told of."""
    await tx.execute(
        "INSERT INTO enforcement_accounts (account_id, noticed_failure_at, noticed_hold_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (account_id) DO UPDATE SET noticed_failure_at = excluded.noticed_failure_at,"
        " noticed_hold_at = excluded.noticed_hold_at",
        (account_id, failure_at, hold_at),
    )


_WITH_CARDS = """
SELECT s.account_id FROM subscriptions s JOIN accounts a USING (account_id)
LEFT JOIN enforcement_accounts e USING (account_id)
WHERE a.deleted_at IS NULL AND s.status <> 'CANCELED' AND s.stripe_customer_id IS NOT NULL
  AND s.stripe_subscription_id IS NOT NULL AND (e.card_checked_at IS NULL OR e.card_checked_at < %s)
ORDER BY e.card_checked_at NULLS FIRST, s.account_id LIMIT %s
"""


async def accounts_with_cards(tx: Transaction, *, checked_before: datetime, limit: int) -> Sequence[AccountId]:
    """Accounts that are charged by Stripe and whose card was not looked at lately."""
    cursor = await tx.execute(_WITH_CARDS, (checked_before, limit))
    return [AccountId(row[0]) for row in await cursor.fetchall()]


async def mark_card_checked(tx: Transaction, account_id: AccountId, at: datetime) -> None:
    await tx.execute(
        "INSERT INTO enforcement_accounts (account_id, card_checked_at) VALUES (%s, %s)"
        " ON CONFLICT (account_id) DO UPDATE SET card_checked_at = excluded.card_checked_at",
        (account_id, at),
    )


_NEW_INVOICES = """
SELECT i.account_id, i.stripe_invoice_id, coalesce(i.number, i.stripe_invoice_id) AS number, i.total_minor, i.currency
FROM invoices i
WHERE i.finalized_at > %s AND i.status IN ('open', 'paid') AND i.total_minor > 0
  AND NOT EXISTS (SELECT FROM notifications n
                  WHERE n.account_id = i.account_id AND n.key = 'invoice:' || i.stripe_invoice_id)
ORDER BY i.finalized_at LIMIT %s
"""

_NEW_PLANS = """
WITH now_in_force AS (
    SELECT s.account_id, CASE WHEN s.status = 'CANCELED' THEN 'FREE'::subscription_plan ELSE s.plan END AS plan
    FROM subscriptions s JOIN accounts a USING (account_id) WHERE a.deleted_at IS NULL
), changed AS (
    SELECT p.account_id, p.plan, e.noticed_plan FROM now_in_force p LEFT JOIN enforcement_accounts e USING (account_id)
    WHERE e.noticed_plan IS DISTINCT FROM p.plan ORDER BY p.account_id LIMIT %s
), saved AS (
    INSERT INTO enforcement_accounts (account_id, noticed_plan) SELECT account_id, plan FROM changed
    ON CONFLICT (account_id) DO UPDATE SET noticed_plan = excluded.noticed_plan
)
SELECT account_id, noticed_plan, plan FROM changed
"""


async def new_invoices(tx: Transaction, *, finalized_after: datetime, limit: int) -> Sequence[Mapping[str, Any]]:
    """Invoices that became final and that nobody was told of."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_NEW_INVOICES, (finalized_after, limit))
        return await cursor.fetchall()


async def new_plans(
    tx: Transaction, *, limit: int
) -> Sequence[tuple[AccountId, SubscriptionPlan | None, SubscriptionPlan]]:
    """Accounts whose plan is another than the one last noticed (None: none was), which it becomes now."""
    cursor = await tx.execute(_NEW_PLANS, (limit,))
    return [(AccountId(row[0]), row[1], row[2]) for row in await cursor.fetchall()]
