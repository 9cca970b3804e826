"""All SQL of runs and the findings about them.

Rows of runs are locked in the order of their key by everybody, so two writers wait for each other and never deadlock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import compress
from operator import attrgetter

from psycopg.rows import class_row

from helvetia.containers.store_transfers import share_owners
from helvetia.database.array_literal import plain_array, text_array
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.metering.model import Finding, Run

_RUN = """account_id, service_id, incarnation, container_id, node, started_ns, finished_ns, seen_ns, restart_count,
exit_code, oom_killed, vanished, final_until_ns, closed_at, counts_external, run_started_ns, owned_until_ns,
base_bytes"""

_SAVE_RUNS = f"""
INSERT INTO container_runs ({_RUN})
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
    %s::bigint[], %s::integer[], %s::integer[], %s::boolean[], %s::boolean[], %s::bigint[], %s::timestamptz[],
    %s::boolean[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (account_id, service_id, incarnation) DO UPDATE SET finished_ns = EXCLUDED.finished_ns,
    seen_ns = EXCLUDED.seen_ns, restart_count = EXCLUDED.restart_count, exit_code = EXCLUDED.exit_code,
    oom_killed = EXCLUDED.oom_killed, vanished = EXCLUDED.vanished, final_until_ns = EXCLUDED.final_until_ns,
    closed_at = EXCLUDED.closed_at, counts_external = EXCLUDED.counts_external,
    run_started_ns = EXCLUDED.run_started_ns, owned_until_ns = EXCLUDED.owned_until_ns
"""

_SEE_RUNS = """
UPDATE container_runs r SET seen_ns = n.seen_ns
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::bigint[]) AS n (account_id, service_id, incarnation, seen_ns)
WHERE r.account_id = n.account_id AND r.service_id = n.service_id AND r.incarnation = n.incarnation
"""

_BUT_SEEN = attrgetter(*(name.strip() for name in _RUN.split(",") if name.strip() != "seen_ns"))

_SAVE_FINDINGS = """
INSERT INTO metering_findings AS f (account_id, service_id, incarnation, kind, cause, starts_ns, ends_ns, detail,
    recorded_at)
SELECT r.*, %s FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
    %s::text[]) AS r
ON CONFLICT (account_id, service_id, incarnation, kind, cause, starts_ns) DO UPDATE
    SET ends_ns = EXCLUDED.ends_ns, detail = EXCLUDED.detail
    WHERE (f.ends_ns, f.detail) IS DISTINCT FROM (EXCLUDED.ends_ns, EXCLUDED.detail)
"""

_SAVE_OUTAGE = """
INSERT INTO metering_findings AS f (account_id, service_id, incarnation, kind, cause, starts_ns, ends_ns, detail,
    recorded_at)
SELECT account_id, service_id, incarnation, 'gap', 'engine_unreachable', seen_ns, %(until_ns)s, %(detail)s,
    %(recorded_at)s
FROM container_runs WHERE node = %(node)s AND finished_ns IS NULL AND seen_ns < %(until_ns)s
ON CONFLICT (account_id, service_id, incarnation, kind, cause, starts_ns) DO UPDATE
    SET ends_ns = greatest(f.ends_ns, EXCLUDED.ends_ns)
"""


async def lock_node(tx: Transaction, node: str) -> None:
    """Looks at one node are written one after another, so that each sees what the one before it wrote."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('metering node ' || %s, 0))", (node,))


async def owners(tx: Transaction, service_ids: Collection[ServiceId]) -> Mapping[ServiceId, AccountId]:
    """Whose the services are now, by our own table, deleted ones included; labels are not asked.

    No service changes its owner until the transaction ends.
    """
    await share_owners(tx)
    cursor = await tx.execute(
        "SELECT service_id, account_id FROM services WHERE service_id = ANY(%s) AND transferred_at IS NULL",
        (list(service_ids),),
    )
    return {ServiceId(service_id): AccountId(account_id) for service_id, account_id in await cursor.fetchall()}


async def _fetch_runs(tx: Transaction, where: str, values: Sequence[object]) -> list[Run]:
    async with tx.cursor(row_factory=class_row(Run)) as cursor:
        await cursor.execute(f"SELECT {_RUN} FROM container_runs WHERE {where}", values)
        return await cursor.fetchall()


async def lock_runs_of_containers(tx: Transaction, container_ids: Collection[str]) -> list[Run]:
    """Every run of these containers, oldest first for each, locked until the transaction ends."""
    runs = await _fetch_runs(
        tx,
        "container_id = ANY(%s) ORDER BY account_id, service_id, incarnation FOR NO KEY UPDATE",
        (list(container_ids),),
    )
    return sorted(runs, key=lambda run: (run.container_id, run.started_ns))


async def unfinished_runs(tx: Transaction, node: str, *, seen_before_ns: int) -> list[Run]:
    """Runs of a node that go on as far as we know, and were not seen since."""
    return await _fetch_runs(tx, "node = %s AND finished_ns IS NULL AND seen_ns < %s", (node, seen_before_ns))


async def lock_unfinished_runs(tx: Transaction, node: str) -> list[Run]:
    """Runs of a node that go on as far as we know, locked until the transaction ends."""
    return await _fetch_runs(
        tx,
        "node = %s AND finished_ns IS NULL ORDER BY account_id, service_id, incarnation FOR NO KEY UPDATE",
        (node,),
    )


async def drop_lost_gaps(tx: Transaction, revived: Collection[Run]) -> None:
    """Forget that these runs were given up with their node: they are there, and what is missing is told by itself."""
    if revived:
        await tx.execute(
            """DELETE FROM metering_findings f USING unnest(%s::uuid[], %s::uuid[], %s::text[])
                   AS n (account_id, service_id, incarnation)
               WHERE f.account_id = n.account_id AND f.service_id = n.service_id AND f.incarnation = n.incarnation
                 AND f.kind = 'gap' AND f.cause = 'node_lost'""",
            [[getattr(run, name) for run in revived] for name in ("account_id", "service_id", "incarnation")],
        )


async def lock_open_runs(tx: Transaction, account_id: AccountId) -> list[Run]:
    """Runs of an account that are not counted for good, locked until the transaction ends."""
    return await _fetch_runs(
        tx,
        "account_id = %s AND closed_at IS NULL ORDER BY account_id, service_id, incarnation FOR NO KEY UPDATE",
        (account_id,),
    )


async def closed_incarnations(
    tx: Transaction, incarnations: Collection[str], container_ids: Collection[str]
) -> set[str]:
    """Those of these runs whose record is complete: finished, and every piece of every owner written up to there."""
    cursor = await tx.execute(
        """SELECT container_id || ':' || coalesce(run_started_ns, started_ns) AS whole FROM container_runs
           WHERE container_id = ANY(%s) GROUP BY 1
           HAVING container_id || ':' || coalesce(run_started_ns, started_ns) = ANY(%s)
             AND bool_and(closed_at IS NOT NULL AND finished_ns IS NOT NULL AND NOT vanished)""",
        (list(container_ids), list(incarnations)),
    )
    return {incarnation for (incarnation,) in await cursor.fetchall()}


async def save_runs(tx: Transaction, runs: Iterable[Run], stored: Mapping[str, Run] | None = None) -> None:
    """Insert or replace runs; those that exist were locked by this transaction.

    `stored`: rows as they are, by incarnation: of one that was only seen again no more is written than when.
    """
    ordered = sorted(runs, key=lambda run: (run.account_id, run.service_id, run.incarnation))
    before = [(stored or {}).get(run.incarnation) for run in ordered]
    is_seen = [old is not None and _BUT_SEEN(old) == _BUT_SEEN(run) for old, run in zip(before, ordered, strict=True)]
    seen = list(compress(ordered, is_seen))
    if seen:
        accounts, services = (plain_array(map(attrgetter(name), seen)) for name in ("account_id", "service_id"))
        incarnations, instants = text_array(run.incarnation for run in seen), plain_array(run.seen_ns for run in seen)
        await tx.execute(_SEE_RUNS, (accounts, services, incarnations, instants))
    await _replace_runs(tx, [run for run, is_known in zip(ordered, is_seen, strict=True) if not is_known])


async def _replace_runs(tx: Transaction, ordered: Sequence[Run]) -> None:
    if not ordered:
        return
    columns = [name.strip() for name in _RUN.split(",")]
    values = [[getattr(run, name) for run in ordered] for name in columns]
    texts = {"incarnation", "container_id", "node"}
    await tx.execute(
        _SAVE_RUNS,
        [
            text_array(column) if name in texts else plain_array(column)
            for name, column in zip(columns, values, strict=True)
        ],
    )


async def save_findings(tx: Transaction, findings: Iterable[Finding], *, recorded_at: datetime) -> None:
    """Write findings; one that is known already gets its new end."""
    once = {(f.account_id, f.service_id, f.incarnation, f.kind.value, f.cause.value, f.starts_ns): f for f in findings}
    if not once:
        return
    keys = [list(column) for column in zip(*sorted(once), strict=True)]
    ordered = [once[key] for key in sorted(once)]
    rest = [[finding.ends_ns for finding in ordered], [finding.detail for finding in ordered]]
    await tx.execute(_SAVE_FINDINGS, [recorded_at, *keys, *rest])


async def save_outage(tx: Transaction, node: str, *, until_ns: int, detail: str, recorded_at: datetime) -> None:
    """A gap for every run that goes on at a node whose engine does not answer; it grows while that lasts."""
    values = {"node": node, "until_ns": until_ns, "detail": detail, "recorded_at": recorded_at}
    await tx.execute(_SAVE_OUTAGE, values)


async def drop_stale_gaps(
    tx: Transaction,
    account_id: AccountId,
    counted: Mapping[tuple[ServiceId, str], tuple[int, int]],
    keep: set[tuple[str, int]],
) -> None:
    """Forget gaps of what was not read, in the stretches that were counted anew, that a late reading has filled."""
    keys = sorted(counted)
    if not keys:
        return
    kept = sorted(keep)
    await tx.execute(
        """DELETE FROM metering_findings f
           USING unnest(%s::uuid[], %s::text[], %s::bigint[], %s::bigint[])
               AS n (service_id, incarnation, from_ns, until_ns)
           WHERE f.account_id = %s AND f.service_id = n.service_id AND f.incarnation = n.incarnation
             AND f.kind = 'gap' AND f.cause IN ('no_reading', 'egress_unknown')
             AND f.starts_ns >= n.from_ns AND f.starts_ns < n.until_ns
             AND NOT EXISTS (SELECT FROM unnest(%s::text[], %s::bigint[]) AS k (incarnation, starts_ns)
                             WHERE k.incarnation = f.incarnation AND k.starts_ns = f.starts_ns)""",
        (
            [service_id for service_id, _ in keys],
            [incarnation for _, incarnation in keys],
            [counted[key][0] for key in keys],
            [counted[key][1] for key in keys],
            account_id,
            [incarnation for incarnation, _ in kept],
            [starts_ns for _, starts_ns in kept],
        ),
    )
