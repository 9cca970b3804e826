"""All SQL of the outbox of notices."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId, new_id
from helvetia.notifications.model import Message, Notice, NoticeState, Notification

_ROW = """account_id, notification_id, key, kind, figures, due_at, state, channel, recipients, subject, body_text,
body_html, attempt_count, sent_at, last_error, read_at"""

_SUPERSEDE = """
UPDATE notifications AS n SET state = 'superseded'
WHERE n.state = 'due' AND n.attempt_count = 0 AND n.due_at <= %(now)s AND EXISTS (
    SELECT FROM notifications l WHERE l.account_id = n.account_id AND l.series = n.series AND l.state = 'due'
      AND l.due_at <= %(now)s AND l.due_at > n.due_at)
"""

# A row that was being sent when its worker died is taken again: its message id is the same.
_CLAIM = f"""
UPDATE notifications SET state = 'sending', attempt_count = attempt_count + 1, next_try_at = %(retry_at)s
WHERE (account_id, notification_id) IN (
    SELECT account_id, notification_id FROM notifications
    WHERE state IN ('due', 'sending') AND due_at <= %(now)s AND (next_try_at IS NULL OR next_try_at <= %(wall)s)
    ORDER BY due_at, notification_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING {_ROW}
"""


async def queue(tx: Transaction, notice: Notice, *, at: datetime) -> bool:
    """Write a notice into the caller's transaction, once by its key; until it is sent, figures and due time may change.

    Says whether anything was written.
    """
    cursor = await tx.execute(
        """INSERT INTO notifications AS n
               (account_id, notification_id, key, series, kind, figures, due_at, created_at, state)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'due')
           ON CONFLICT (account_id, key) DO UPDATE SET figures = excluded.figures, due_at = excluded.due_at
           WHERE n.state = 'due'""",
        (
            *(notice.account_id, new_id(), notice.key, notice.series, notice.kind.value),
            *(Jsonb(dict(notice.figures)), notice.due_at, at),
        ),
    )
    return cursor.rowcount == 1


async def cancel_series(tx: Transaction, account_id: AccountId, series: str) -> int:
    """What is not sent yet of a series never will be: its reason is gone."""
    cursor = await tx.execute(
        "UPDATE notifications SET state = 'cancelled' WHERE account_id = %s AND series = %s AND state = 'due'",
        (account_id, series),
    )
    return cursor.rowcount


async def supersede(tx: Transaction, now: datetime) -> None:
    """After an outage, of a series only the newest that is due is sent."""
    await tx.execute(_SUPERSEDE, {"now": now})


async def claim_due(
    tx: Transaction, *, now: datetime, wall: datetime, retry_at: datetime, limit: int
) -> Sequence[Notification]:
    """Take the notices that are due, the oldest first; nobody else takes them before `retry_at` (real time)."""
    values = {"now": now, "wall": wall, "retry_at": retry_at, "limit": limit}
    async with tx.cursor(row_factory=class_row(Notification)) as cursor:
        await cursor.execute(_CLAIM, values)
        return sorted(await cursor.fetchall(), key=lambda one: (one.due_at, one.notification_id))


async def mark_sent(
    tx: Transaction, one: Notification, message: Message, *, channel: str, at: datetime, refused: Sequence[str] = ()
) -> None:
    """Keep what was sent, to whom and how, and whose addresses were refused."""
    served = [recipient for recipient in message.recipients if recipient not in refused]
    error = f"The mail server refused {', '.join(refused)}." if refused else None
    await tx.execute(
        """UPDATE notifications SET state = 'sent', sent_at = %s, channel = %s, recipients = %s, subject = %s,
               body_text = %s, body_html = %s, last_error = %s WHERE account_id = %s AND notification_id = %s""",
        (
            *(at, channel, served, message.subject, message.text, message.html, error),
            *(one.account_id, one.notification_id),
        ),
    )


async def mark_not_sent(
    tx: Transaction, one: Notification, *, state: NoticeState, error: str, retry_at: datetime
) -> None:
    await tx.execute(
        "UPDATE notifications SET state = %s, last_error = %s, next_try_at = %s"
        " WHERE account_id = %s AND notification_id = %s",
        (state.value, error, retry_at, one.account_id, one.notification_id),
    )


async def recipients_of(tx: Transaction, account_id: AccountId) -> tuple[str | None, str, Sequence[str]]:
    """Language and name of the account, and the addresses of its owners and billing admins."""
    row = await (
        await tx.execute(
            """SELECT a.language, a.name, array(
                   SELECT u.email FROM memberships m JOIN users u ON u.account_id = m.user_id
                   JOIN accounts p ON p.account_id = m.user_id AND p.deleted_at IS NULL
                   WHERE m.account_id = a.account_id AND m.role IN ('OWNER', 'BILLING_ADMIN') ORDER BY u.email)
               FROM accounts a WHERE a.account_id = %s""",
            (account_id,),
        )
    ).fetchone()
    return (None, "", ()) if row is None else (row[0], row[1], tuple(row[2]))


async def newest(
    tx: Transaction, account_id: AccountId, *, before: tuple[datetime, UUID] | None, now: datetime, limit: int
) -> Sequence[Notification]:
    """Notices of an account that are or were due, newest first."""
    where, values = "", [account_id, now]
    if before is not None:
        where = " AND (due_at, notification_id) < (%s, %s)"
        values += [before[0], before[1]]
    async with tx.cursor(row_factory=class_row(Notification)) as cursor:
        await cursor.execute(
            f"SELECT {_ROW} FROM notifications WHERE account_id = %s AND due_at <= %s{where}"
            " ORDER BY due_at DESC, notification_id DESC LIMIT %s",
            (*values, limit),
        )
        return await cursor.fetchall()


async def deliveries(
    tx: Transaction, account_id: AccountId | None, *, failed_only: bool, limit: int
) -> Sequence[Notification]:
    """Notices whatever their due time, the latest first; `failed_only`: those that some attempt did not bring home."""
    async with tx.cursor(row_factory=class_row(Notification)) as cursor:
        await cursor.execute(
            f"SELECT {_ROW} FROM notifications WHERE (%(account)s::uuid IS NULL OR account_id = %(account)s)"
            " AND (NOT %(failed)s OR state = 'failed' OR last_error IS NOT NULL)"
            " ORDER BY due_at DESC, notification_id DESC LIMIT %(limit)s",
            {"account": account_id, "failed": failed_only, "limit": limit},
        )
        return await cursor.fetchall()


async def mailbox(tx: Transaction, limit: int) -> Sequence[Notification]:
    """What stayed in the local mailbox, of all accounts, newest first."""
    async with tx.cursor(row_factory=class_row(Notification)) as cursor:
        await cursor.execute(
            f"SELECT {_ROW} FROM notifications WHERE channel = 'mailbox' ORDER BY sent_at DESC, notification_id DESC"
            " LIMIT %s",
            (limit,),
        )
        return await cursor.fetchall()


async def set_language(tx: Transaction, account_id: AccountId, language: str) -> None:
    await tx.execute("UPDATE accounts SET language = %s WHERE account_id = %s", (language, account_id))
