"""The one statement of an admission says the same as the separate reads, whichever period counts."""

from datetime import datetime, timedelta

import pytest

from helvetia.containers.store_holds import reserved
from helvetia.database.pool import Database
from helvetia.enforcement import store
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, new_id
from support.enforcement_world import EnforcementWorld

DAY = timedelta(days=1)
# what the subscription is → whether the period of its use is the one that the statement takes
CASES = {
    "never subscribed": ("stripe_subscription_id = NULL", True),
    "alive": ("stripe_subscription_id = 'sub_1', stripe_status = 'active'", True),
    "past due": ("stripe_subscription_id = 'sub_1', status = 'PAST_DUE', stripe_status = 'past_due'", True),
    "ended in another month": ("stripe_subscription_id = 'sub_1', status = 'CANCELED', ended_at = '2026-01-20Z'", True),
    "ended this month": ("stripe_subscription_id = 'sub_1', status = 'CANCELED', ended_at = '2026-03-05Z'", False),
}


@pytest.fixture
def world(database: Database, clock: ManualClock) -> EnforcementWorld:
    return EnforcementWorld(database, clock, EnforcementConfig())


async def use(world: EnforcementWorld, account_id: AccountId, at: datetime, sent_bytes: int) -> None:
    await world.execute(
        "INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, quantity, timestamp, period_start,"
        " period_end) VALUES (%s, %s, %s, 'BANDWIDTH_GB', %s, %s, %s, %s, %s)",
        *(new_id(), account_id, account_id, str(new_id()), sent_bytes, at, at, at + timedelta(hours=1)),
    )


@pytest.mark.parametrize("name", CASES)
async def test_one_statement_says_what_the_separate_reads_say(
    world: EnforcementWorld, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changes, is_taken = CASES[name]
    account_id, other = await world.account("ada", services=2), await world.account("eva", services=3)
    now = world.clock.now()
    await world.execute(
        f"UPDATE subscriptions SET current_period_start = %s, current_period_end = %s, {changes} WHERE account_id = %s",
        *(now - 20 * DAY, now + 10 * DAY, account_id),
    )
    hour = now.replace(minute=0, second=0, microsecond=0)
    for number, days in enumerate((0, 7, 15, 25)):
        await use(world, account_id, hour - days * DAY, 10**number)
        await use(world, other, hour - days * DAY, 7 * 10**number)
    async with world.database.transaction() as tx:
        facts = await store.facts_of(tx, account_id)
        assert facts is not None
        expected = await store.quota_use(tx, account_id, facts.period_at(now))
        if is_taken:
            monkeypatch.setattr(store, "quota_use", None)
        known = await store.admission_of(tx, account_id, now)
        assert known is not None
        assert (known.facts, known.use) == (facts, expected)
        assert known.use.bandwidth_bytes > 0
        amounts = await reserved(tx, account_id)
        assert (known.used.services, known.used.memory_mb, known.used.cpu_cores) == amounts
        assert await store.admission_of(tx, AccountId(new_id()), now) is None
