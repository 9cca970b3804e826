"""All SQL of runs, their readings and the findings about them.

Rows of runs are locked in the order of their key by everybody, so two writers wait for each other and never deadlock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, compress, repeat
from operator import attrgetter

from psycopg.rows import class_row

from helvetia.containers.model import Counts
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

# Each run is sent once, however many readings of it there are.
_INSERT_READINGS = """
WITH run AS (
    SELECT * FROM unnest(%(accounts)s::uuid[], %(services)s::uuid[], %(incarnations)s::text[])
        WITH ORDINALITY AS run (account_id, service_id, incarnation, number)
), new AS (
    INSERT INTO container_readings (account_id, service_id, incarnation, sampled_ns, interval_ms, memory_bytes,
        memory_peak_bytes, cpu_ns, transmitted_bytes, received_bytes, external_bytes, recorded_at)
    SELECT run.account_id, run.service_id, run.incarnation, r.sampled_ns, %(interval_ms)s, r.memory_bytes,
        r.memory_peak_bytes, r.cpu_ns, r.transmitted_bytes, r.received_bytes, r.external_bytes, %(recorded_at)s
    FROM unnest(%(numbers)s::bigint[], %(sampled_ns)s::bigint[], %(memory_bytes)s::bigint[],
        %(memory_peak_bytes)s::bigint[], %(cpu_ns)s::bigint[], %(transmitted_bytes)s::bigint[],
        %(received_bytes)s::bigint[], %(external_bytes)s::bigint[]) AS r (number, sampled_ns, memory_bytes,
        memory_peak_bytes, cpu_ns, transmitted_bytes, received_bytes, external_bytes)
    JOIN run USING (number)
    ON CONFLICT DO NOTHING RETURNING incarnation, sampled_ns
)
SELECT incarnation, min(sampled_ns) FROM new GROUP BY incarnation
"""

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


async def insert_readings(
    tx: Transaction,
    readings: Iterable[tuple[Run, Sequence[Counts]]],
    *,
    interval_ms: int,
    recorded_at: datetime,
    siblings: Mapping[str, Sequence[Run]] | None = None,
) -> list[Run]:
    """Store readings once each, every run named once; returns the runs of which something must be counted anew.

    `siblings`: for a run of several owners, the parts of the others: a reading of one may change what another used.
    """
    runs = {run.incarnation: (run, own) for run, own in sorted(readings, key=lambda one: one[0].incarnation) if own}
    if not runs:
        return []
    columns = zip(*chain.from_iterable(own for _, own in runs.values()), strict=True)
    numbers = (repeat(number, len(own)) for number, (_, own) in enumerate(runs.values(), 1))
    values = {
        **{name: plain_array(column) for name, column in zip(Counts._fields, columns, strict=True)},
        "accounts": plain_array(run.account_id for run, _ in runs.values()),
        "services": plain_array(run.service_id for run, _ in runs.values()),
        "incarnations": text_array(runs),
        "numbers": plain_array(chain.from_iterable(numbers)),
        "interval_ms": interval_ms,
        "recorded_at": recorded_at,
    }
    cursor = await tx.execute(_INSERT_READINGS, values)
    late = []
    for incarnation, first_ns in await cursor.fetchall():
        run, _ = runs[incarnation]
        for part in (run, *(siblings or {}).get(incarnation, ())):
            changed_ns = _changes_from(part, first_ns, interval_ms * 1_000_000)
            if changed_ns is not None:
                late.append(part.reopened(changed_ns))
    return late


def _changes_from(run: Run, sampled_ns: int, interval_ns: int) -> int | None:
    """From where the first of the new readings changes what was counted: its own window, or back to a near start."""
    if run.final_until_ns is None:
        return None
    started_ns = run.started_ns if run.run_started_ns is None else run.run_started_ns
    if sampled_ns - started_ns <= interval_ns and started_ns < run.final_until_ns:
        return started_ns
    return sampled_ns - 1 if sampled_ns <= run.final_until_ns else None


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
    """Forget gaps of unread memory, in the stretches that were counted anew, that a late reading has filled."""
    keys = sorted(counted)
    if not keys:
        return
    kept = sorted(keep)
    await tx.execute(
        """DELETE FROM metering_findings f
           USING unnest(%s::uuid[], %s::text[], %s::bigint[], %s::bigint[])
               AS n (service_id, incarnation, from_ns, until_ns)
           WHERE f.account_id = %s AND f.service_id = n.service_id AND f.incarnation = n.incarnation
             AND f.kind = 'gap' AND f.cause = 'no_reading' AND f.starts_ns >= n.from_ns AND f.starts_ns < n.until_ns
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
