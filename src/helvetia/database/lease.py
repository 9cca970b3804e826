"""A lease: one holder of a name at a time, with a number that grows with each new holder.

A holder that dies is replaced when its lease runs out, or at once by another process of the same machine that finds it
dead. Times are real (`wall`), because machines share real time.
"""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta

from helvetia.database.pool import Transaction

_TAKE = """
INSERT INTO leases (name, holder, fencing_number, expires_at)
VALUES (%(name)s, %(holder)s, 1, %(expires_at)s)
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder, expires_at = excluded.expires_at,
    fencing_number = leases.fencing_number + (leases.holder <> excluded.holder)::int
WHERE leases.holder = excluded.holder OR leases.expires_at <= %(now)s OR leases.holder = %(dead)s
RETURNING fencing_number
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease that is held: its fencing number goes with every batch written under it."""

    name: str
    holder: str
    fencing_number: int
    expires_at: datetime


def this_process() -> str:
    return f"{socket.gethostname()}/{os.getpid()}"


async def take_lease(tx: Transaction, name: str, *, holder: str, wall: datetime, lasts: timedelta) -> Lease | None:
    """Take or renew a lease; None while somebody else holds it."""
    row = await (await tx.execute("SELECT holder FROM leases WHERE name = %s", (name,))).fetchone()
    dead = row[0] if row and _is_dead_neighbour(row[0]) else None
    values = {"name": name, "holder": holder, "expires_at": wall + lasts, "now": wall, "dead": dead}
    taken = await (await tx.execute(_TAKE, values)).fetchone()
    if taken is None:
        return None
    return Lease(name=name, holder=holder, fencing_number=taken[0], expires_at=wall + lasts)


async def give_up_lease(tx: Transaction, lease: Lease) -> None:
    """Let the next holder take it at once."""
    await tx.execute(
        "UPDATE leases SET expires_at = '-infinity' WHERE name = %s AND holder = %s", (lease.name, lease.holder)
    )


def _is_dead_neighbour(holder: str) -> bool:
    """Whether the holder was a process of this machine that is no more."""
    host, _, process_id = holder.rpartition("/")
    if host != socket.gethostname() or not process_id.isdigit():
        return False
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
