"""One pass over all accounts: resume first, then hold what is due, unless the brake says no.

A pass may die anywhere; the next sees what is left to do. Stripe is asked once more right before an account is held: if
it does not answer, that account waits. Nobody is held by a pass that would hold too many at once, or whose knowledge of
Stripe is old. Fails as the database fails; one account's failure never stops the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from helvetia.audit.store import record
from helvetia.enforcement import store
from helvetia.enforcement.hold_services import hold_for_payment, is_told, lift_payment_holds, tell_of_failure
from helvetia.enforcement.model import (
    AccountFacts,
    EnforcementConfig,
    EnforcementMode,
    Intent,
    PassOutcome,
)
from helvetia.enforcement.policy import decide, trips_brake
from helvetia.enforcement.read_failures import ReadParts, is_confirmed, read_again, read_failure
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId, new_id

READ_AGAIN_AFTER = timedelta(seconds=60)
READS_MAX = 100
PARALLEL_MAX = 8

_log = structlog.get_logger()


def plan_pass(facts: Sequence[AccountFacts], now: datetime) -> list[Intent]:
    """What would be done at this instant, for accounts where anything is to be done."""
    intents = [Intent(facts=one, verdict=decide(one, now)) for one in facts]
    return [intent for intent in intents if not intent.is_idle]


async def read_failures(parts: ReadParts) -> None:
    """Learn when failures began, for accounts in trouble whose payments were not read lately."""
    now = parts.clock.now()
    async with parts.database.transaction() as tx:
        due = await store.accounts_to_read(tx, read_before=now - READ_AGAIN_AFTER, limit=READS_MAX)
    await each(due, lambda account_id: read_failure(parts, account_id), "enforcement.payments_not_read")


async def run_pass(
    parts: ReadParts, config: EnforcementConfig, *, actor: str = "worker", despite_brake: str | None = None
) -> PassOutcome:
    """Read what is new, tell, resume, hold; says what was done. `despite_brake`: an operator's reason to go on."""
    await read_failures(parts)
    now, pass_id = parts.clock.now(), new_id()
    async with parts.database.transaction() as tx:
        facts = await store.facts_of_interest(tx)
        account_count = await store.count_accounts(tx)
        newest_at = await store.newest_known_until(tx)
    if config.mode is not EnforcementMode.OBSERVE:
        await _tell(parts, facts, now)
    intents = plan_pass(facts, now)
    resumed = await _resume(parts, [one.facts.account_id for one in intents if not one.wants_hold])
    to_hold = [one for one in intents if one.wants_hold]
    brake = None if despite_brake else _brake(config, to_hold, account_count, newest_at, now)
    held: list[AccountId] = []
    if brake is None and config.mode is EnforcementMode.ENFORCE:
        held = await _hold(parts, to_hold, pass_id)
    outcome = PassOutcome(
        pass_id=pass_id,
        mode=config.mode,
        account_count=account_count,
        would_hold=[one.facts.account_id for one in to_hold],
        held=held,
        resumed=resumed,
        brake=brake,
    )
    if despite_brake:
        async with parts.database.transaction() as tx:
            detail = {"pass_id": str(pass_id), "held": len(held)}
            await record(
                tx, account_id=None, actor=actor, action="brake_released", reason=despite_brake, detail=detail, at=now
            )
    return outcome


def _brake(
    config: EnforcementConfig,
    to_hold: Sequence[Intent],
    account_count: int,
    newest_at: datetime | None,
    now: datetime,
) -> str | None:
    """Why nobody may be held by this pass; None when nothing speaks against it."""
    new_count = sum(one.is_new_hold for one in to_hold)
    if not new_count:
        return None
    if newest_at is None or newest_at < now - config.stale_after:
        since = "never" if newest_at is None else f"last {newest_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"what is known of Stripe is old: read {since}"
    share, least = config.brake_share_percent, config.brake_accounts_min
    if trips_brake(new_count, account_count, share_percent=share, accounts_min=least):
        return f"{new_count} of {account_count} accounts would be held at once: more than {share} %"
    return None


async def _tell(parts: ReadParts, facts: Sequence[AccountFacts], now: datetime) -> None:
    due = [one.account_id for one in facts if not is_told(one, decide(one, now))]

    async def tell(account_id: AccountId) -> None:
        async with parts.database.transaction() as tx:
            await tell_of_failure(tx, account_id, at=now)

    await each(due, tell, "enforcement.not_told")


async def _resume(parts: ReadParts, due: Sequence[AccountId]) -> list[AccountId]:
    resumed: list[AccountId] = []

    async def resume(account_id: AccountId) -> None:
        async with parts.database.transaction() as tx:
            if await lift_payment_holds(tx, account_id, at=parts.clock.now()):
                resumed.append(account_id)

    await each(due, resume, "enforcement.not_resumed")
    return resumed


async def _hold(parts: ReadParts, due: Sequence[Intent], pass_id: UUID) -> list[AccountId]:
    held: list[AccountId] = []
    by_account = {one.facts.account_id: one for one in due}

    async def hold(account_id: AccountId) -> None:
        intent = by_account[account_id]
        due_at = intent.verdict.hold_due_at
        if due_at is None or not is_confirmed(intent.facts, due_at):
            await read_again(parts, account_id)
        async with parts.database.transaction() as tx:
            if await hold_for_payment(tx, account_id, pass_id=pass_id, at=parts.clock.now()):
                held.append(account_id)

    await each(list(by_account), hold, "enforcement.not_held")
    return held


async def each(accounts: Sequence[AccountId], work: Callable[[AccountId], Awaitable[None]], failure_event: str) -> None:
    """Do it for each account, a few at a time; an expected failure is logged, and the next pass tries again."""
    limit = asyncio.Semaphore(PARALLEL_MAX)

    async def one(account_id: AccountId) -> None:
        async with limit:
            try:
                await work(account_id)
            except HelvetiaError as error:
                _log.warning(failure_event, account_id=str(account_id), code=error.code)

    async with asyncio.TaskGroup() as group:
        for account_id in accounts:
            group.create_task(one(account_id))
