"""All SQL of metering begins here: the account's lock, its boundaries, and what other packages call.

The rest stands beside: store_runs (runs and findings), store_storage (holders and sizes), store_pieces (the
ledger's rows), store_usage (totals and external records), lifecycle/store_readings (what looks read).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from psycopg.rows import class_row

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import from_ns, to_ns
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR
from helvetia.metering.model import MeteringAccount, floor_hour_ns
from helvetia.metering.store_usage import closed_totals, open_piece_count, totals

__all__ = [
    "closed_totals",
    "create_metering_account",
    "cuts_after",
    "lock_account",
    "metering_account",
    "open_piece_count",
    "raise_known_until",
    "readings_from_ns",
    "set_known_until",
    "totals",
    "write_cuts",
]

_LOCK_RUNS = """
SELECT FROM container_runs
WHERE account_id = %(account_id)s AND started_ns < %(last_ns)s AND coalesce(finished_ns, seen_ns) >= %(first_ns)s
ORDER BY account_id, service_id, incarnation FOR NO KEY UPDATE
"""

_REOPEN_RUNS = """
UPDATE container_runs r SET final_until_ns = hit.from_ns, closed_at = NULL
FROM (SELECT r.service_id, r.incarnation, min(c.hour_ns) AS from_ns
      FROM unnest(%(cuts)s::bigint[], %(hours)s::bigint[]) AS c (cut_ns, hour_ns)
      JOIN container_runs r ON r.account_id = %(account_id)s AND r.final_until_ns > c.cut_ns
           AND r.started_ns < c.hour_ns + %(hour)s AND coalesce(r.finished_ns, r.seen_ns) >= c.hour_ns
      GROUP BY r.service_id, r.incarnation) AS hit
WHERE r.account_id = %(account_id)s AND r.service_id = hit.service_id AND r.incarnation = hit.incarnation
"""

_LOCK_HOLDERS = """
SELECT FROM storage_holders
WHERE account_id = %(account_id)s AND first_ns < %(last_ns)s AND coalesce(gone_ns, seen_ns) >= %(first_ns)s
ORDER BY account_id, service_id, holder FOR NO KEY UPDATE
"""

_REOPEN_HOLDERS = """
UPDATE storage_holders s SET final_until_ns = hit.from_ns, closed_at = NULL
FROM (SELECT s.service_id, s.holder, min(c.hour_ns) AS from_ns
      FROM unnest(%(cuts)s::bigint[], %(hours)s::bigint[]) AS c (cut_ns, hour_ns)
      JOIN storage_holders s ON s.account_id = %(account_id)s AND s.final_until_ns > c.cut_ns
           AND s.first_ns < c.hour_ns + %(hour)s AND coalesce(s.gone_ns, s.seen_ns) >= c.hour_ns
      GROUP BY s.service_id, s.holder) AS hit
WHERE s.account_id = %(account_id)s AND s.service_id = hit.service_id AND s.holder = hit.holder
"""


async def lock_account(tx: Transaction, account_id: AccountId) -> None:
    """The account's row lock; usage of a deleted account is counted like any other."""
    await tx.execute("SELECT FROM accounts WHERE account_id = %s FOR NO KEY UPDATE", (account_id,))


async def create_metering_account(tx: Transaction, account_id: AccountId) -> None:
    """The row of a new account: it waits for nobody. Creating it twice is creating it once."""
    await tx.execute(
        "INSERT INTO metering_accounts (account_id, waits_for_stripe) VALUES (%s, false) ON CONFLICT DO NOTHING",
        (account_id,),
    )


async def metering_account(tx: Transaction, account_id: AccountId) -> MeteringAccount:
    """Whether closing waits for Stripe; an account without a row waits for nobody."""
    async with tx.cursor(row_factory=class_row(MeteringAccount)) as cursor:
        await cursor.execute(
            "SELECT account_id, waits_for_stripe, known_until FROM metering_accounts WHERE account_id = %s",
            (account_id,),
        )
        return await cursor.fetchone() or MeteringAccount(
            account_id=account_id, waits_for_stripe=False, known_until=None
        )


async def set_known_until(
    tx: Transaction, account_id: AccountId, known_until: datetime | None, *, waits_for_stripe: bool
) -> None:
    """Every boundary before `known_until` is known; it never goes back."""
    await tx.execute(
        """INSERT INTO metering_accounts AS m (account_id, waits_for_stripe, known_until) VALUES (%s, %s, %s)
           ON CONFLICT (account_id) DO UPDATE SET waits_for_stripe = EXCLUDED.waits_for_stripe,
               known_until = greatest(m.known_until, EXCLUDED.known_until)""",
        (account_id, waits_for_stripe, known_until),
    )


async def raise_known_until(tx: Transaction, account_ids: Sequence[AccountId], known_until: datetime) -> None:
    """The same for many accounts that wait for Stripe, where it is older."""
    await tx.execute(
        "UPDATE metering_accounts SET known_until = %s"
        " WHERE account_id = ANY(%s) AND waits_for_stripe AND (known_until IS NULL OR known_until < %s)",
        (known_until, list(account_ids), known_until),
    )


async def write_cuts(
    tx: Transaction, account_id: AccountId, cuts: Iterable[datetime], *, reason: str, recorded_at: datetime
) -> None:
    """Boundaries of the account, early or late; what is counted already around a new one is counted anew.

    Takes the account's row lock. Writing a boundary twice changes nothing; none is ever taken back.
    """
    await lock_account(tx, account_id)
    cursor = await tx.execute(
        """INSERT INTO metering_cuts (account_id, cut_at, reason, recorded_at)
           SELECT %s, cut_at, %s, %s FROM unnest(%s::timestamptz[]) AS cut_at
           ON CONFLICT DO NOTHING RETURNING cut_at""",
        (account_id, reason, recorded_at, sorted(set(cuts))),
    )
    cuts_ns = [to_ns(cut_at) for (cut_at,) in await cursor.fetchall()]
    inside_hours_ns = [cut_ns for cut_ns in cuts_ns if cut_ns % NS_PER_HOUR]
    if inside_hours_ns:
        await _count_anew(tx, account_id, inside_hours_ns)


async def cuts_after(tx: Transaction, account_id: AccountId, after_ns: int) -> Sequence[int]:
    """Boundaries after an instant, in nanoseconds since the epoch."""
    cursor = await tx.execute(
        "SELECT cut_at FROM metering_cuts WHERE account_id = %s AND cut_at > %s ORDER BY cut_at",
        (account_id, from_ns(after_ns)),
    )
    return [to_ns(cut_at) for (cut_at,) in await cursor.fetchall()]


async def readings_from_ns(tx: Transaction) -> int:
    """From when on every reading that counts is there; earlier ones may have been dropped."""
    row = await (await tx.execute("SELECT readings_from_ns FROM metering_horizon")).fetchone()
    return 0 if row is None else int(row[0])


async def _count_anew(tx: Transaction, account_id: AccountId, cuts_ns: Sequence[int]) -> None:
    """Reopen, in the order that everybody locks in, what was counted for good in an hour that is now cut."""
    hours_ns = [floor_hour_ns(cut_ns) for cut_ns in cuts_ns]
    values = {
        "account_id": account_id,
        "cuts": cuts_ns,
        "hours": hours_ns,
        "first_ns": min(hours_ns),
        "last_ns": max(hours_ns) + NS_PER_HOUR,
        "hour": NS_PER_HOUR,
    }
    for statement in (_LOCK_RUNS, _REOPEN_RUNS, _LOCK_HOLDERS, _REOPEN_HOLDERS):
        await tx.execute(statement, values)
