"""All SQL of clock steps: stretches of a node's wall-clock time that it jumped over, and what they were counted to."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from helvetia.database.pool import Transaction
from helvetia.metering.model import floor_hour_ns

# Time after an instant that the clock jumped back to is lived once more: what was skipped of it is not skipped.
_FORGET = (
    "DELETE FROM metering_clock_steps WHERE node = %(node)s AND step_ns > 0 AND stepped_to_ns - step_ns >= %(to_ns)s"
)
_TRIM = """
UPDATE metering_clock_steps SET step_ns = step_ns - (stepped_to_ns - %(to_ns)s), stepped_to_ns = %(to_ns)s
WHERE node = %(node)s AND step_ns > 0 AND stepped_to_ns > %(to_ns)s
"""
_SAVE = """
INSERT INTO metering_clock_steps (node, stepped_to_ns, step_ns, recorded_at)
VALUES (%(node)s, %(to_ns)s, %(step_ns)s, %(at)s) ON CONFLICT DO NOTHING
"""
_REOPEN = (
    """SELECT FROM container_runs WHERE node = %(node)s AND final_until_ns > %(hour_ns)s
       ORDER BY account_id, service_id, incarnation FOR NO KEY UPDATE""",
    """UPDATE container_runs SET final_until_ns = %(hour_ns)s, closed_at = NULL
       WHERE node = %(node)s AND final_until_ns > %(hour_ns)s""",
    """SELECT FROM storage_holders WHERE node = %(node)s AND final_until_ns > %(hour_ns)s
       ORDER BY account_id, service_id, holder FOR NO KEY UPDATE""",
    """UPDATE storage_holders SET final_until_ns = %(hour_ns)s, closed_at = NULL
       WHERE node = %(node)s AND final_until_ns > %(hour_ns)s""",
)


async def save_clock_step(
    tx: Transaction, node: str, *, stepped_to_ns: int, step_ns: int, recorded_at: datetime
) -> None:
    """A node's clock jumped by `step_ns` to an instant; what was counted for good around it is counted anew."""
    from_ns = stepped_to_ns - max(0, step_ns)
    values = {"node": node, "to_ns": stepped_to_ns, "step_ns": step_ns, "at": recorded_at}
    if step_ns < 0:
        row = await (
            await tx.execute(
                """SELECT min(stepped_to_ns - step_ns) FROM metering_clock_steps
                   WHERE node = %(node)s AND step_ns > 0 AND stepped_to_ns > %(to_ns)s""",
                values,
            )
        ).fetchone()
        from_ns = stepped_to_ns if row is None or row[0] is None else min(from_ns, row[0])
        await tx.execute(_FORGET, values)
        await tx.execute(_TRIM, values)
    await tx.execute(_SAVE, values)
    for statement in _REOPEN:
        await tx.execute(statement, {"node": node, "hour_ns": floor_hour_ns(from_ns)})


async def skipped_stretches(tx: Transaction) -> Mapping[str, Sequence[tuple[int, int]]]:
    """For each node the stretches that its clock jumped over, in order."""
    cursor = await tx.execute(
        """SELECT node, stepped_to_ns - step_ns, stepped_to_ns FROM metering_clock_steps WHERE step_ns > 0
           ORDER BY node, stepped_to_ns"""
    )
    found: dict[str, list[tuple[int, int]]] = {}
    for node, starts_ns, ends_ns in await cursor.fetchall():
        found.setdefault(node, []).append((starts_ns, ends_ns))
    return found
