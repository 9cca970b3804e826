"""Every public method of SubscriptionService: success, refusal, and a Stripe that does not answer."""

import inspect
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from helvetia.accounts.errors import AccountNotFound
from helvetia.accounts.service import AccountService
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, new_account_id
from helvetia.kernel.status import SubscriptionStatus
from helvetia.metering import store as metering
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.model import Subscription
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions import store
from helvetia.subscriptions.errors import SubscriptionNotFound, SubscriptionStillLive
from helvetia.subscriptions.model import PlanIndex, StripeReading
from helvetia.subscriptions.service import SubscriptionService

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
async def service(database: Database, clock: ManualClock) -> AsyncIterator[SubscriptionService]:
    gateway = StripeClientGateway("sk_test_nobody", api_base=NOWHERE)
    yield SubscriptionService(database, clock, gateway, PriceBookHolder())
    await gateway.close()


@pytest.fixture
async def account_id(service: SubscriptionService, database: Database, clock: ManualClock) -> AccountId:
    accounts = AccountService(database, clock, service)
    return (await accounts.create_user(f"{uuid4().hex}@example.ch")).account_id


async def become_customer(database: Database, account_id: AccountId, clock: ManualClock) -> str:
    customer_id = f"cus_{uuid4().hex}"
    async with database.transaction() as tx:
        await store.save_customer(tx, account_id, customer_id, clock.now())
        await metering.set_known_until(tx, account_id, None, waits_for_stripe=True)
    return customer_id


def reading(fetch_seq: int, customer_id: str, clock: ManualClock, *said: Subscription) -> StripeReading:
    return StripeReading(
        fetch_seq=fetch_seq,
        began_at=clock.now(),
        customer_id=customer_id,
        subscriptions=said,
        periods=(),
        plans=PlanIndex(),
    )


async def test_get_subscription_finds_the_free_row_and_refuses_strangers(
    service: SubscriptionService, account_id: AccountId
) -> None:
    record = await service.get_subscription(account_id)
    assert (record.plan, record.status) == (SubscriptionPlan.FREE, SubscriptionStatus.ACTIVE)
    with pytest.raises(SubscriptionNotFound):
        await service.get_subscription(new_account_id())


async def test_upsert_stores_a_newer_reading_and_refuses_a_stale_one(
    service: SubscriptionService, account_id: AccountId, database: Database, clock: ManualClock
) -> None:
    customer_id = await become_customer(database, account_id, clock)
    older, newer = await service.next_fetch_seq(), await service.next_fetch_seq()
    assert not (await service.upsert_subscription(account_id, reading(newer, customer_id, clock))).is_stale
    outcome = await service.upsert_subscription(account_id, reading(older, customer_id, clock))
    assert outcome.is_stale
    assert outcome.record.fetch_seq == newer
    with pytest.raises(AccountNotFound):
        await service.upsert_subscription(new_account_id(), reading(newer + 1, customer_id, clock))


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("past_due", SubscriptionStatus.PAST_DUE),
        ("unpaid", SubscriptionStatus.UNPAID),
        ("paused", SubscriptionStatus.UNPAID),
        ("active", SubscriptionStatus.ACTIVE),
    ],
)
async def test_update_subscription_status_maps_stripes_word(
    service: SubscriptionService,
    account_id: AccountId,
    database: Database,
    clock: ManualClock,
    word: str,
    status: SubscriptionStatus,
) -> None:
    await become_customer(database, account_id, clock)
    seq = await service.next_fetch_seq()
    assert await service.update_subscription_status(account_id, word, fetch_seq=seq)
    assert (await service.get_subscription(account_id)).status is status
    assert await service.has_active_subscription(account_id) is (status is SubscriptionStatus.ACTIVE)
    assert not await service.update_subscription_status(account_id, "active", fetch_seq=seq)


@pytest.mark.parametrize("word", ["incomplete", "incomplete_expired", "canceled", "a word of tomorrow"])
async def test_w06_w07_words_without_say_and_unknown_accounts_change_nothing(
    service: SubscriptionService, account_id: AccountId, word: str
) -> None:
    assert not await service.update_subscription_status(account_id, word, fetch_seq=10**9)
    with pytest.raises(AccountNotFound):
        await service.update_subscription_status(new_account_id(), "past_due", fetch_seq=10**9)
    assert await service.has_active_subscription(account_id)


async def test_limits_are_the_plans(service: SubscriptionService, account_id: AccountId) -> None:
    assert await service.get_resource_limits(account_id) == PLANS[SubscriptionPlan.FREE].limits
    with pytest.raises(SubscriptionNotFound):
        await service.get_resource_limits(new_account_id())
    with pytest.raises(SubscriptionNotFound):
        await service.has_active_subscription(new_account_id())


async def test_w12_second_row_of_an_account_is_impossible(
    service: SubscriptionService, account_id: AccountId, database: Database
) -> None:
    async with database.transaction() as tx:
        cursor = await tx.execute(
            "INSERT INTO subscriptions (id, account_id, user_id, plan, status, current_period_start,"
            " current_period_end, started_at, created_at, updated_at) SELECT gen_random_uuid(), account_id, user_id,"
            " plan, status, current_period_start, current_period_end, started_at, created_at, updated_at"
            " FROM subscriptions WHERE account_id = %s ON CONFLICT DO NOTHING",
            (account_id,),
        )
        assert cursor.rowcount == 0


async def test_w15_canceled_account_has_the_limits_of_free(
    service: SubscriptionService, account_id: AccountId, database: Database, clock: ManualClock
) -> None:
    await become_customer(database, account_id, clock)
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE subscriptions SET plan = 'PRO', status = 'CANCELED', ended_at = %s WHERE account_id = %s",
            (datetime(2026, 3, 10, tzinfo=UTC), account_id),
        )
        await service.check_deletable(tx, account_id)
    assert await service.get_resource_limits(account_id) == PLANS[SubscriptionPlan.FREE].limits
    assert not await service.has_active_subscription(account_id)


async def test_live_account_cannot_be_deleted(
    service: SubscriptionService, account_id: AccountId, database: Database, clock: ManualClock
) -> None:
    await become_customer(database, account_id, clock)
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE subscriptions SET stripe_subscription_id = 'sub_1' WHERE account_id = %s", (account_id,)
        )
        with pytest.raises(SubscriptionStillLive):
            await service.check_deletable(tx, account_id)


async def test_stripe_away_changes_nothing(
    service: SubscriptionService, account_id: AccountId, database: Database, clock: ManualClock
) -> None:
    assert not (await service.sync_subscription(account_id)).is_stale  # without a customer nobody is asked
    await become_customer(database, account_id, clock)
    before = await service.get_subscription(account_id)
    with pytest.raises(StripeUnavailable):
        await service.sync_account_job(str(account_id))
    with pytest.raises(StripeUnavailable):
        await service.sync_all_due()
    assert await service.get_subscription(account_id) == before
    assert await service.billing_periods(account_id) == ()


async def test_what_is_stored_is_answered_while_stripe_is_away(
    service: SubscriptionService, account_id: AccountId, database: Database, clock: ManualClock
) -> None:
    """None of these asks Stripe: a reading that failed leaves them as they were, and one that came earlier counts."""
    customer_id = await become_customer(database, account_id, clock)
    with pytest.raises(StripeUnavailable):
        await service.sync_subscription(account_id)
    assert (await service.get_subscription(account_id)).plan is SubscriptionPlan.FREE
    assert await service.get_resource_limits(account_id) == PLANS[SubscriptionPlan.FREE].limits
    seq = await service.next_fetch_seq()
    assert await service.update_subscription_status(account_id, "past_due", fetch_seq=seq)
    assert not await service.has_active_subscription(account_id)
    outcome = await service.upsert_subscription(account_id, reading(seq + 1, customer_id, clock))
    assert not outcome.is_stale


async def test_new_account_has_its_row_and_unknown_ones_have_nothing(
    service: SubscriptionService, account_id: AccountId, database: Database
) -> None:
    async with database.transaction() as tx:
        await service.check_deletable(tx, account_id)  # the row is there, made with the account
        with pytest.raises(SubscriptionNotFound):
            await service.check_deletable(tx, new_account_id())
    assert await service.billing_periods(new_account_id()) == ()
    assert await service.next_fetch_seq() < await service.next_fetch_seq()
    with pytest.raises(SubscriptionNotFound):
        await service.sync_subscription(new_account_id())
    with pytest.raises(SubscriptionNotFound):
        await service.sync_account_job(str(new_account_id()))
    assert (await service.sync_all_due()).failed_count == 0


# Each method: where it does, where it refuses, and where Stripe is away.
TABLE: dict[str, tuple[Callable[..., object], Callable[..., object], Callable[..., object]]] = {
    "get_subscription": (
        test_get_subscription_finds_the_free_row_and_refuses_strangers,
        test_get_subscription_finds_the_free_row_and_refuses_strangers,
        test_what_is_stored_is_answered_while_stripe_is_away,
    ),
    "upsert_subscription": (
        test_upsert_stores_a_newer_reading_and_refuses_a_stale_one,
        test_upsert_stores_a_newer_reading_and_refuses_a_stale_one,
        test_what_is_stored_is_answered_while_stripe_is_away,
    ),
    "update_subscription_status": (
        test_update_subscription_status_maps_stripes_word,
        test_w06_w07_words_without_say_and_unknown_accounts_change_nothing,
        test_what_is_stored_is_answered_while_stripe_is_away,
    ),
    "has_active_subscription": (
        test_update_subscription_status_maps_stripes_word,
        test_limits_are_the_plans,
        test_what_is_stored_is_answered_while_stripe_is_away,
    ),
    "get_resource_limits": (
        test_w15_canceled_account_has_the_limits_of_free,
        test_limits_are_the_plans,
        test_what_is_stored_is_answered_while_stripe_is_away,
    ),
    "sync_subscription": (
        test_stripe_away_changes_nothing,
        test_new_account_has_its_row_and_unknown_ones_have_nothing,
        test_stripe_away_changes_nothing,
    ),
    "sync_account_job": (
        test_stripe_away_changes_nothing,
        test_new_account_has_its_row_and_unknown_ones_have_nothing,
        test_stripe_away_changes_nothing,
    ),
    "sync_all_due": (
        test_new_account_has_its_row_and_unknown_ones_have_nothing,
        test_new_account_has_its_row_and_unknown_ones_have_nothing,
        test_stripe_away_changes_nothing,
    ),
}
# These neither refuse nor depend on Stripe, or belong to the making and deleting of accounts.
ELSEWHERE = {
    "account_created": test_get_subscription_finds_the_free_row_and_refuses_strangers,
    "check_deletable": test_live_account_cannot_be_deleted,
    "billing_periods": test_stripe_away_changes_nothing,
    "next_fetch_seq": test_new_account_has_its_row_and_unknown_ones_have_nothing,
}


def test_every_public_method_is_in_a_table_and_named_by_its_tests() -> None:
    methods = {name for name, _ in inspect.getmembers(SubscriptionService, inspect.isfunction) if name[0] != "_"}
    assert methods == {*TABLE, *ELSEWHERE}
    unproven = {
        (method, test.__name__)
        for method, tests in TABLE.items()
        for test in tests
        if f".{method}(" not in inspect.getsource(test)
    }
    assert unproven == set()
